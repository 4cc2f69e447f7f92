"""One message evolves: readers take both revisions, and the schema service holds writers to them."""

import io
import json
from collections.abc import Iterator
from dataclasses import dataclass

import fastavro
import grpc
import pytest
from google.api_core.exceptions import InvalidArgument
from google.cloud import pubsub_v1
from google.pubsub_v1.services.schema_service import SchemaServiceClient
from google.pubsub_v1.services.schema_service.transports import SchemaServiceGrpcTransport
from google.pubsub_v1.types import Encoding, Schema

from contracts.exports.catalog import Golden, declared, read_golden, read_json, revisions
from contracts.jobs import JobFailed
from contracts.message import Message
from scripts.emulators.pubsub import PubSubEmulator
from services.kernel.messaging.envelope import Envelope, MalformedMessage, unseal

CATALOG = declared()
OLD, NEW = (read_golden(CATALOG.golden(JobFailed, revision)) for revision in (1, 2))


def _without(golden: Golden, name: str) -> bytes:
    return json.dumps({key: value for key, value in golden.data.items() if key != name}).encode()


MALFORMED = {
    "a required field is absent": _without(NEW, "job_id"),
    "a number is text": json.dumps({**NEW.data, "fence": "two"}).encode(),
    "the new field has another type": json.dumps({**NEW.data, "retryable": "yes"}).encode(),
    "not JSON": b"{",
    "empty": b"",
}


class TestReaders:
    def test_the_consumer_reads_the_old_and_the_new_revision(self) -> None:
        old = unseal(Envelope(JobFailed.topic(), OLD.attributes, OLD.data_bytes), JobFailed)
        new = unseal(Envelope(JobFailed.topic(), NEW.attributes, NEW.data_bytes), JobFailed)
        assert isinstance(old, JobFailed)
        assert isinstance(new, JobFailed)
        assert (old.retryable, new.retryable) == (False, True)

    def test_a_revision_from_the_future_is_read_without_its_new_field(self) -> None:
        future = json.dumps({**NEW.data, "retry_after": 30}).encode()
        read = JobFailed.from_bytes(future)
        assert json.loads(read.to_bytes()) == NEW.data

    @pytest.mark.parametrize("data", MALFORMED.values(), ids=MALFORMED)
    def test_the_consumer_refuses_what_is_malformed(self, data: bytes) -> None:
        damaged = Envelope(JobFailed.topic(), NEW.attributes, data)
        with pytest.raises(MalformedMessage, match=r"data is not a querycraft\.job\.failed\.v1 message"):
            unseal(damaged, JobFailed)


class TestAvro:
    """Avro's own resolution rules, for readers that use the schemas and not the models."""

    @pytest.mark.parametrize(("written", "read"), [(1, 2), (2, 1)])
    def test_each_revision_reads_the_other(self, written: int, read: int) -> None:
        writer, reader = (fastavro.parse_schema(read_json(CATALOG.avro(JobFailed, r))) for r in (written, read))
        data = {1: OLD, 2: NEW}[written].data
        buffer = io.BytesIO()
        fastavro.schemaless_writer(buffer, writer, data)
        buffer.seek(0)
        resolved = fastavro.schemaless_reader(buffer, writer, reader)
        expected = {**data, "retryable": False} if read == 2 else {k: v for k, v in data.items() if k != "retryable"}
        assert resolved == expected


@dataclass(frozen=True)
class SchemaService:
    """The emulator's schema service and a topic of a project of its own."""

    schemas: SchemaServiceClient
    publisher: pubsub_v1.PublisherClient
    subscriber: pubsub_v1.SubscriberClient
    project: str

    @property
    def schema(self) -> str:
        return f"projects/{self.project}/schemas/{JobFailed.topic()}"

    @property
    def topic(self) -> str:
        return f"projects/{self.project}/topics/{JobFailed.topic()}"

    @property
    def subscription(self) -> str:
        return f"projects/{self.project}/subscriptions/intake.{JobFailed.topic()}"

    def publish(self, data: bytes, golden: Golden) -> None:
        """Raises InvalidArgument: the data matches no revision of the topic's schema."""
        self.publisher.publish(self.topic, data, **golden.attributes).result(timeout=20)


def _definition(message: type[Message], revision: int) -> Schema:
    text = CATALOG.avro(message, revision).read_text(encoding="utf-8")
    return Schema(type_=Schema.Type.AVRO, definition=text)


@pytest.fixture
def service(pubsub_emulator: PubSubEmulator, pubsub_project: str) -> Iterator[SchemaService]:
    """A topic whose schema has revision 1, with one subscription."""
    channel = grpc.insecure_channel(pubsub_emulator.host)
    schemas = SchemaServiceClient(transport=SchemaServiceGrpcTransport(channel=channel))
    with pubsub_v1.SubscriberClient() as subscriber:
        made = SchemaService(schemas, pubsub_v1.PublisherClient(), subscriber, pubsub_project)
        schemas.create_schema(
            parent=f"projects/{pubsub_project}", schema=_definition(JobFailed, 1), schema_id=JobFailed.topic()
        )
        settings = {"schema": made.schema, "encoding": Encoding.JSON}
        made.publisher.create_topic(request={"name": made.topic, "schema_settings": settings})
        subscriber.create_subscription(request={"name": made.subscription, "topic": made.topic})
        yield made
    channel.close()


def _commit_revision_2(service: SchemaService) -> str:
    """Returns the id that the service gave the revision."""
    revised = _definition(JobFailed, 2)
    revised.name = service.schema
    committed: Schema = service.schemas.commit_schema(name=service.schema, schema=revised)
    return committed.revision_id


@pytest.mark.pubsub
class TestSchemaService:
    def test_a_topic_narrowed_to_the_new_revision_refuses_the_old(self, service: SchemaService) -> None:
        revision_2 = _commit_revision_2(service)
        service.publish(OLD.data_bytes, OLD)

        settings = {"schema": service.schema, "encoding": Encoding.JSON, "first_revision_id": revision_2}
        topic = {"name": service.topic, "schema_settings": settings}
        service.publisher.update_topic(request={"topic": topic, "update_mask": {"paths": ["schema_settings"]}})
        service.publish(NEW.data_bytes, NEW)
        with pytest.raises(InvalidArgument):
            service.publish(OLD.data_bytes, OLD)

    def test_after_the_commit_both_pass_and_one_consumer_reads_both(self, service: SchemaService) -> None:
        _commit_revision_2(service)
        service.publish(OLD.data_bytes, OLD)
        service.publish(NEW.data_bytes, NEW)

        read: dict[str, bool] = {}
        while len(read) < 2:  # bounded by the pull's own deadline, which raises
            answer = service.subscriber.pull(subscription=service.subscription, max_messages=2, timeout=20)
            for received in answer.received_messages:
                envelope = Envelope(JobFailed.topic(), dict(received.message.attributes), received.message.data)
                failed = unseal(envelope, JobFailed)
                assert isinstance(failed, JobFailed)
                read[envelope.id] = failed.retryable
        assert read == {OLD.attributes["ce-id"]: False, NEW.attributes["ce-id"]: True}
        listed = service.schemas.list_schema_revisions(name=service.schema)
        assert len(list(listed)) == 2

    # A wrong type in the new field is no use here: the service skips fields that a revision does not
    # know, so revision 1 would take it. The consumer refuses it (above).
    @pytest.mark.parametrize("case", sorted(set(MALFORMED) - {"the new field has another type"}))
    def test_what_is_malformed_never_enters_the_topic(self, service: SchemaService, case: str) -> None:
        _commit_revision_2(service)
        with pytest.raises(InvalidArgument):
            service.publish(MALFORMED[case], NEW)

    def test_it_takes_every_exported_schema_and_example(self, service: SchemaService) -> None:
        for message in CATALOG.messages:
            for revision in revisions(message):
                schema = _definition(message, revision)
                data = read_golden(CATALOG.golden(message, revision)).data_bytes
                request = {"parent": f"projects/{service.project}", "schema": schema}
                service.schemas.validate_schema(request=request)
                service.schemas.validate_message(request={**request, "message": data, "encoding": Encoding.JSON})
                with pytest.raises(InvalidArgument):
                    service.schemas.validate_message(request={**request, "message": b"{}", "encoding": Encoding.JSON})
