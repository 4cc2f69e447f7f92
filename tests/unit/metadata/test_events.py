"""Change events in every shape and envelope they come in, and what is none of them."""

from __future__ import annotations

import contextlib
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.metadata.domain.envelopes import arrival_of, log_entry
from services.metadata.domain.events import EventRefused, HintKind, hints_in
from tests.support import audit_logs

TABLE = "some-project.shop.orders"
KINDS = {
    "table_creation": HintKind.CREATED,
    "table_deletion": HintKind.DELETED,
    "legacy_delete": HintKind.DELETED,
    "legacy_ddl": HintKind.DELETED,
}


@pytest.mark.parametrize("envelope", audit_logs.ENVELOPES.values(), ids=audit_logs.ENVELOPES)
@pytest.mark.parametrize("shape", audit_logs.SHAPES)
def test_every_shape_in_every_envelope_names_its_table(shape: str, envelope: Any) -> None:
    headers, body = envelope(audit_logs.SHAPES[shape](TABLE))
    [hint] = hints_in(log_entry(headers, body))
    assert (str(hint.table), hint.kind) == (TABLE, KINDS.get(shape, HintKind.CHANGED))


def test_a_truncated_schema_is_still_a_hint() -> None:
    cut = '{"fields":[{"name":"a","type":"STRING"},{"name":"b","ty'
    [hint] = hints_in(audit_logs.table_change(TABLE, schema_json=cut))
    assert str(hint.table) == TABLE


def test_partitions_and_snapshots_are_their_table() -> None:
    for decorated in ("orders$20260101", "orders@-3600000"):
        [hint] = hints_in(audit_logs.table_change(f"some-project.shop.{decorated}"))
        assert str(hint.table) == TABLE


def test_a_refused_request_and_a_query_that_reads_change_nothing() -> None:
    refused = audit_logs.table_change(TABLE)
    refused["protoPayload"]["status"] = {"code": 7, "message": "PERMISSION_DENIED"}
    assert hints_in(refused) == ()
    assert hints_in(audit_logs.ddl_job(TABLE, "SELECT")) == ()
    assert hints_in(audit_logs.entry("projects/p/jobs/j", {"jobInsertion": {}}, method="x")) == ()


def test_one_event_about_several_tables_gives_each_once() -> None:
    event = audit_logs.alter_table(TABLE)
    event["protoPayload"]["metadata"] |= audit_logs.ddl_job("some-project.shop.other")["protoPayload"]["metadata"]
    assert {str(hint.table) for hint in hints_in(event)} == {TABLE, "some-project.shop.other"}


@pytest.mark.parametrize(
    ("headers", "body", "where"),
    [
        ({}, b"", "body"),
        ({}, b"not json", "body"),
        ({}, b"[]", "event"),
        ({}, b"{}", "protoPayload"),
        ({}, b'{"protoPayload": []}', "protoPayload"),
        ({}, b"[" * 100_000, "body"),
        ({}, b'{"message": {"data": "***"}}', "message.data"),
        ({}, b'{"message": {"data": 5}}', "message.data"),
        ({}, b'{"message": []}', "message"),
        ({"ce-id": "1", "ce-specversion": "0.3", "ce-type": "x"}, b"{}", "specversion"),
        ({"ce-id": "1", "ce-specversion": "1.0", "ce-type": "google.cloud.storage.object.v1.deleted"}, b"{}", "type"),
        ({"content-type": "application/cloudevents+json"}, b"[]", "body"),
        ({"content-type": "application/cloudevents+json"}, b'{"specversion": "1.0"}', "type"),
    ],
)
def test_what_is_malformed_is_refused_by_place(headers: dict[str, str], body: bytes, where: str) -> None:
    with pytest.raises(EventRefused, match=f"^{where}"):
        hints_in(log_entry(headers, body))
    assert arrival_of(headers, body).id


@pytest.mark.parametrize(
    "resource", ["", "projects/p/datasets/d", "projects/X/datasets/shop/tables/orders", "a" * 9_999]
)
def test_names_that_cannot_be_are_refused(resource: str) -> None:
    event = audit_logs.entry(resource, {"tableChange": {"reason": "JOB"}}, method="x")
    with pytest.raises(EventRefused, match="resourceName"):
        hints_in(event)


def test_other_services_events_are_refused() -> None:
    event = audit_logs.table_change(TABLE)
    event["protoPayload"]["serviceName"] = "storage.googleapis.com"
    with pytest.raises(EventRefused, match="serviceName"):
        hints_in(event)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=12), inner, max_size=3),
    max_leaves=12,
)
FIELDS = ("metadata", "serviceData", "resourceName", "methodName", "serviceName", "status", "tableChange", "table")


@given(st.dictionaries(st.sampled_from(FIELDS), JSON), JSON)
def test_any_json_is_understood_or_refused(payload: dict[str, Any], metadata: Any) -> None:
    for event in ({"protoPayload": payload}, {"protoPayload": {**payload, "metadata": {"tableChange": metadata}}}):
        with contextlib.suppress(EventRefused):
            assert all(hint.table.table for hint in hints_in(event))


@given(st.binary(max_size=200), st.sampled_from(["application/json", "application/cloudevents+json", ""]))
def test_any_bytes_are_understood_or_refused(body: bytes, content_type: str) -> None:
    headers = {"content-type": content_type}
    arrival_of(headers, body)
    with pytest.raises(EventRefused):
        hints_in(log_entry(headers, body))


def test_an_event_keeps_its_identity_however_it_is_delivered() -> None:
    event = audit_logs.table_change(TABLE)
    assert arrival_of(*audit_logs.binary(event)).id == arrival_of(*audit_logs.structured(event)).id
    assert arrival_of(*audit_logs.pubsub_push(event)).id == "11223344"
    assert arrival_of({}, json.dumps(event).encode()).transport == "direct"
