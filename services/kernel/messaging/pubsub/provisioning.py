"""Creates a project's topics, subscriptions, dead letter topics and schemas; idempotent."""

import json
import logging
from collections.abc import Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

from google.api_core.exceptions import AlreadyExists, NotFound
from google.cloud import pubsub_v1
from google.pubsub_v1.types import (
    CommitSchemaRequest,
    DeadLetterPolicy,
    Encoding,
    ExpirationPolicy,
    ListSchemaRevisionsRequest,
    PushConfig,
    RetryPolicy,
    Schema,
    SchemaSettings,
    SchemaView,
    Topic,
)
from google.pubsub_v1.types import Subscription as PubSubSubscription

from contracts.manifest import RETENTION_SECONDS, Subscription
from services.kernel.errors import ConfigurationError

_logger = logging.getLogger(__name__)

RETENTION = timedelta(seconds=RETENTION_SECONDS)
_LEAST_ATTEMPTS = 5
_SHORTEST_DEADLINE, _LONGEST_DEADLINE = 10, 600
_LONGEST_BACKOFF = 600.0
_MUTABLE = ("ack_deadline_seconds", "retry_policy", "dead_letter_policy", "message_retention_duration", "push_config")


class Provisioner:
    """Blocking; not for services. ``schemas`` holds ``<topic>.r<N>.avsc`` files. ``push``: base URL of each
    consumer that is pushed to; the others pull."""

    def __init__(self, project: str, schemas: Path, push: Mapping[str, str] | None = None) -> None:
        self._project = project
        self._push = push or {}
        self._schemas_directory = schemas
        self._publisher = pubsub_v1.PublisherClient()
        self._subscriber = pubsub_v1.SubscriberClient()
        self._schemas = pubsub_v1.SchemaServiceClient()

    def provision(self, topics: Sequence[str], subscriptions: Sequence[Subscription]) -> None:
        """Raises ConfigurationError: what exists cannot be changed into what is declared."""
        for topic in topics:
            self.ensure_topic(topic, self.ensure_schema(topic))
        for subscription in subscriptions:
            self.ensure_subscription(subscription)

    def close(self) -> None:
        for client in (self._publisher, self._subscriber, self._schemas):
            client.transport.close()

    def ensure_schema(self, topic: str) -> SchemaSettings | None:
        """Register every revision in order; the settings that bind the topic to them, None when there is no file."""
        files = self._revision_files(topic)
        if not files:
            return None
        path = f"projects/{self._project}/schemas/{topic}"
        registered = self._registered(path)
        for file in files[len(registered) :]:
            definition = Schema(name=path, type_=Schema.Type.AVRO, definition=file.read_text(encoding="utf-8"))
            if registered:
                made = self._schemas.commit_schema(CommitSchemaRequest(name=path, schema=definition))
            else:
                made = self._schemas.create_schema(
                    parent=f"projects/{self._project}", schema=definition, schema_id=topic
                )
            registered.append(made)
        for file, revision in zip(files, registered, strict=False):
            if json.loads(revision.definition) != json.loads(file.read_text(encoding="utf-8")):
                raise ConfigurationError(
                    f"{path} revision {revision.revision_id} differs from {file.name}: "
                    "a published revision never changes, add another"
                )
        return SchemaSettings(
            schema=path,
            encoding=Encoding.JSON,
            first_revision_id=registered[0].revision_id,
            last_revision_id=registered[-1].revision_id,
        )

    def ensure_topic(self, topic: str, schema: SchemaSettings | None = None) -> str:
        path = f"projects/{self._project}/topics/{topic}"
        wanted = Topic(name=path, schema_settings=schema)
        try:
            self._publisher.create_topic(request=wanted)
        except AlreadyExists:
            if schema is not None:
                self._publisher.update_topic(request={"topic": wanted, "update_mask": {"paths": ["schema_settings"]}})
        return path

    def ensure_subscription(self, subscription: Subscription) -> None:
        dead_letters = self._ensure_dead_letters(subscription)
        wanted = PubSubSubscription(
            name=self._path(subscription.name),
            topic=f"projects/{self._project}/topics/{subscription.topic}",
            ack_deadline_seconds=min(max(subscription.ack_deadline, _SHORTEST_DEADLINE), _LONGEST_DEADLINE),
            filter=subscription.filter_expression(),
            enable_message_ordering=subscription.ordered,
            message_retention_duration=RETENTION,
            expiration_policy=ExpirationPolicy(),  # without a ttl: never
            retry_policy=RetryPolicy(
                minimum_backoff=_duration(subscription.min_backoff), maximum_backoff=_duration(subscription.max_backoff)
            ),
            dead_letter_policy=DeadLetterPolicy(
                dead_letter_topic=dead_letters,
                max_delivery_attempts=max(subscription.backstop_attempts, _LEAST_ATTEMPTS),
            ),
            push_config=self._push_config(subscription),
        )
        try:
            self._subscriber.create_subscription(request=wanted)
        except AlreadyExists:
            self._update(wanted)

    def _update(self, wanted: PubSubSubscription) -> None:
        existing = self._subscriber.get_subscription(subscription=wanted.name)
        for attribute in ("topic", "filter", "enable_message_ordering"):
            if getattr(existing, attribute) != getattr(wanted, attribute):
                raise ConfigurationError(
                    f"{wanted.name}: {attribute} is {getattr(existing, attribute)!r} and should be "
                    f"{getattr(wanted, attribute)!r}, which Pub/Sub cannot change; "
                    "drain the subscription, delete it and provision again"
                )
        self._subscriber.update_subscription(request={"subscription": wanted, "update_mask": {"paths": list(_MUTABLE)}})

    def _push_config(self, subscription: Subscription) -> PushConfig:
        base = self._push.get(subscription.consumer)
        return PushConfig(push_endpoint=f"{base}/push/{subscription.name}") if base else PushConfig()

    def _ensure_dead_letters(self, subscription: Subscription) -> str:
        name = subscription.dead_letter_topic
        topic = self.ensure_topic(name)
        keeper = PubSubSubscription(
            name=self._path(name),
            topic=topic,
            message_retention_duration=RETENTION,
            expiration_policy=ExpirationPolicy(),
        )
        try:  # a topic without a subscription forgets
            self._subscriber.create_subscription(request=keeper)
        except AlreadyExists:
            _logger.debug("%s is already there", keeper.name)
        return topic

    def _revision_files(self, topic: str) -> list[Path]:
        files = {_revision(file): file for file in self._schemas_directory.glob(f"{topic}.r*.avsc")}
        if sorted(files) != list(range(1, len(files) + 1)):
            raise ConfigurationError(
                f"{self._schemas_directory} lacks a revision of {topic}: it has {sorted(files)}, they count from 1"
            )
        return [files[number] for number in sorted(files)]

    def _registered(self, path: str) -> list[Any]:
        """Every revision, oldest first."""
        request = ListSchemaRevisionsRequest(name=path, view=SchemaView.FULL)
        try:
            revisions = list(self._schemas.list_schema_revisions(request=request))
        except NotFound:
            return []
        return sorted(revisions, key=lambda revision: revision.revision_create_time)

    def _path(self, name: str) -> str:
        return f"projects/{self._project}/subscriptions/{name}"


def _revision(file: Path) -> int:
    return int(file.name.rsplit(".r", 1)[1].removesuffix(".avsc"))


def _duration(seconds: float) -> timedelta:
    return timedelta(seconds=min(seconds, _LONGEST_BACKOFF))
