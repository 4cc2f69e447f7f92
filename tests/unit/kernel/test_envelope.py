"""Messages on the wire: CloudEvents in binary mode, and what is no message of ours."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.jobs import JobFailed, JobProgressed, JobSucceeded
from services.kernel.errors import PermanentError
from services.kernel.messaging.envelope import MAX_DATA_BYTES, MalformedMessage, seal, unseal

NOW = datetime(2026, 11, 21, 9, 0, tzinfo=UTC)


def progressed(step: str = "collecting") -> JobProgressed:
    return JobProgressed(job_id="j-1", job_type="grading", fence=2, sequence=3, progress=20, step=step, reported_at=NOW)


def test_a_sealed_message_carries_the_context_attributes_and_the_filterable_fields() -> None:
    envelope = seal(progressed(), "grader", traceparent="00-abc-def-01", message_id="m-1")
    assert envelope.topic == "job-progressed.v1"
    assert {name: envelope.attributes[name] for name in envelope.attributes if name != "ce-time"} == {
        "ce-id": "m-1",
        "ce-type": "querycraft.job.progressed.v1",
        "ce-source": "/querycraft/grader",
        "ce-specversion": "1.0",
        "ce-subject": "j-1",
        "content-type": "application/json",
        "job_type": "grading",
        "traceparent": "00-abc-def-01",
    }


@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=200))
def test_what_was_sealed_is_unsealed(step: str) -> None:
    message = progressed(step)
    assert unseal(seal(message, "grader"), JobProgressed) == message


def test_two_messages_never_share_an_id() -> None:
    assert seal(progressed(), "grader").id != seal(progressed(), "grader").id


def test_a_message_too_large_for_any_broker_is_refused_at_the_edge() -> None:
    huge = JobSucceeded(job_id="j", job_type="grading", fence=1, result=f'"{"x" * MAX_DATA_BYTES}"', finished_at=NOW)
    with pytest.raises(PermanentError, match="object storage"):
        seal(huge, "grader")


def test_a_newer_revision_is_read_by_ignoring_what_it_added() -> None:
    envelope = seal(progressed(), "grader")
    newer = replace(envelope, data=envelope.data.replace(b'"job_id"', b'"added_later": [1], "job_id"'))
    assert unseal(newer, JobProgressed) == progressed()


@pytest.mark.parametrize("name", ["ce-id", "ce-type", "ce-source", "ce-specversion"])
def test_a_missing_context_attribute_is_named(name: str) -> None:
    envelope = seal(progressed(), "grader")
    attributes = {key: value for key, value in envelope.attributes.items() if key != name}
    with pytest.raises(MalformedMessage, match=name):
        unseal(replace(envelope, attributes=attributes), JobProgressed)


def test_another_type_is_not_read_as_the_expected_one() -> None:
    with pytest.raises(MalformedMessage, match=r"querycraft\.job\.failed\.v1"):
        unseal(seal(progressed(), "grader"), JobFailed)


@given(st.binary(max_size=300))
def test_no_bytes_crash_the_reader(data: bytes) -> None:
    envelope = replace(seal(progressed(), "grader"), data=data)
    with pytest.raises(MalformedMessage):
        unseal(envelope, JobProgressed)


def test_the_pubsub_clients_own_trace_attribute_is_read_too() -> None:
    envelope = seal(progressed(), "grader")
    theirs = replace(envelope, attributes={**envelope.attributes, "googclient_traceparent": "00-1-2-01"})
    assert theirs.traceparent == "00-1-2-01"
