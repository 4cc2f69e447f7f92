"""A message of every revision that was ever published can still be read by today's consumers."""

import json

import pytest

from contracts.exports.catalog import declared, read_golden, revisions
from contracts.message import Message
from services.kernel.messaging.envelope import Envelope, seal, unseal

CATALOG = declared()
EVERY_REVISION = [(message, revision) for message in CATALOG.messages for revision in revisions(message)]


def _name(value: object) -> str:
    return value.event_type() if isinstance(value, type) and issubclass(value, Message) else f"r{value}"


@pytest.mark.parametrize(("message", "revision"), EVERY_REVISION, ids=_name)
def test_consumers_read_it_from_the_wire(message: type[Message], revision: int) -> None:
    golden = read_golden(CATALOG.golden(message, revision))
    decoded = unseal(Envelope(message.topic(), golden.attributes, golden.data_bytes), message)
    written = json.loads(decoded.to_bytes())
    assert {name: written[name] for name in golden.data} == golden.data


@pytest.mark.parametrize("message", CATALOG.messages, ids=_name)
def test_producers_write_what_the_current_example_shows(message: type[Message]) -> None:
    golden = read_golden(CATALOG.golden(message, message.REVISION))
    source = golden.attributes["ce-source"].removeprefix("/querycraft/")
    sealed = seal(
        message.from_bytes(golden.data_bytes),
        source,
        traceparent=golden.attributes["traceparent"],
        message_id=golden.attributes["ce-id"],
    )
    assert json.loads(sealed.data) == golden.data
    assert {**sealed.attributes, "ce-time": ""} == {**golden.attributes, "ce-time": ""}


@pytest.mark.parametrize("message", CATALOG.messages, ids=_name)
def test_the_example_comes_from_a_producer_of_its_topic(message: type[Message]) -> None:
    golden = read_golden(CATALOG.golden(message, message.REVISION))
    producers = {
        f"/querycraft/{name}" for topic in CATALOG.topics if topic.message is message for name in topic.producers
    }
    assert golden.attributes["ce-source"] in producers


def test_job_failed_has_two_revisions_and_the_first_lacks_retryable() -> None:
    by_name = {message.NAME: message for message in CATALOG.messages}
    assert list(revisions(by_name["job.failed"])) == [1, 2]
    first, second = (read_golden(CATALOG.golden(by_name["job.failed"], revision)) for revision in (1, 2))
    assert set(second.data) - set(first.data) == {"retryable"}
