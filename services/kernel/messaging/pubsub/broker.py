"""Publishing, subscribing and checking on Pub/Sub."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import TYPE_CHECKING, Any

from contracts import manifest
from contracts.manifest import Subscription
from services.kernel.errors import PermanentError
from services.kernel.messaging.broker import Stream
from services.kernel.messaging.envelope import Envelope
from services.kernel.messaging.limits import refusal

if TYPE_CHECKING:
    from services.kernel.messaging.pubsub.polled import PolledStream
    from services.kernel.messaging.pubsub.publisher import Publisher
    from services.kernel.messaging.pubsub.stream import PubSubStream

_CHECKS_AT_ONCE = 8
_CHECK_TIMEOUT = 20.0
_ACK_IDS_A_REQUEST = 1000
_HAND_BACK_TIMEOUT = 5.0


class PubSubBroker:
    """``Broker`` over google-cloud-pubsub; credentials are the environment's.

    ``publish_timeout``: seconds within which every message published has an outcome.
    ``max_lease``: seconds after which a delivery that was never settled goes to others, however
    long its consumer lives; longer than the longest work on one message.
    ``polling``: fetch by unary pull instead of a streaming one; ordered subscriptions stream all the same.
    ``topics``: what may be published to; the manifest's unless a test has its own.
    """

    def __init__(
        self,
        project: str,
        *,
        publish_timeout: float = 30.0,
        max_lease: float = 900.0,
        polling: bool = False,
        topics: Sequence[str] | None = None,
    ) -> None:
        self._project = project
        self._publish_timeout = publish_timeout
        self._max_lease = max_lease
        self._polling = polling
        self._topics = frozenset([topic.name for topic in manifest.TOPICS] if topics is None else topics)
        self._made_publisher: Publisher | None = None
        self._made_subscriber: Any = None

    async def publish(self, envelopes: Sequence[Envelope]) -> list[Exception | None]:
        """See ``Broker.publish``."""
        outcomes: list[Exception | None] = [self._refusal(envelope) for envelope in envelopes]
        accepted = [position for position, outcome in enumerate(outcomes) if outcome is None]
        published = await self._publisher.publish([envelopes[position] for position in accepted])
        for position, outcome in zip(accepted, published, strict=True):
            outcomes[position] = outcome
        return outcomes

    def subscribe(self, subscription: Subscription, *, capacity: int) -> AbstractAsyncContextManager[Stream]:
        """See ``Broker.subscribe``."""
        return self._open(subscription, capacity)

    async def missing(self, topics: Sequence[str], subscriptions: Sequence[Subscription]) -> list[str]:
        """See ``Broker.missing``. Raises TransientError: the service cannot be asked."""
        from google.cloud import pubsub_v1

        publisher = pubsub_v1.PublisherClient()
        subscriber = self._subscriber
        checks: list[tuple[str, Callable[..., Any], dict[str, str]]] = [
            (name, publisher.get_topic, {"topic": f"projects/{self._project}/topics/{name}"}) for name in topics
        ]
        checks += [
            (sub.name, subscriber.get_subscription, {"subscription": self._subscription_path(sub)})
            for sub in subscriptions
        ]
        loop = asyncio.get_running_loop()
        with ThreadPoolExecutor(_CHECKS_AT_ONCE) as threads:
            found = await asyncio.gather(
                *(loop.run_in_executor(threads, _exists, get, path) for _, get, path in checks)
            )
        publisher.transport.close()
        return [name for (name, _, _), exists in zip(checks, found, strict=True) if not exists]

    async def close(self) -> None:
        """Send what waits and end the clients. Streams are closed by their own contexts."""
        if self._made_publisher is not None:
            await self._made_publisher.close()
            self._made_publisher = None
        if self._made_subscriber is not None:
            self._made_subscriber.close()
            self._made_subscriber = None

    @property
    def _publisher(self) -> "Publisher":
        if self._made_publisher is None:
            from services.kernel.messaging.pubsub.publisher import Publisher

            self._made_publisher = Publisher(self._project, self._publish_timeout)
        return self._made_publisher

    @property
    def _subscriber(self) -> Any:
        if self._made_subscriber is None:
            from services.kernel.messaging.pubsub.clients import subscriber_client

            self._made_subscriber = subscriber_client()
        return self._made_subscriber

    def _refusal(self, envelope: Envelope) -> PermanentError | None:
        if envelope.topic not in self._topics:
            return PermanentError(f"no topic {envelope.topic!r} in the manifest", code="unknown_topic")
        return refusal(envelope)

    def _subscription_path(self, subscription: Subscription) -> str:
        return f"projects/{self._project}/subscriptions/{subscription.name}"

    def _hand_back(self, path: str, ack_ids: list[str]) -> None:
        from services.kernel.messaging.pubsub.failures import typed

        with typed("hand back deliveries"):
            for start in range(0, len(ack_ids), _ACK_IDS_A_REQUEST):
                self._subscriber.modify_ack_deadline(
                    subscription=path,
                    ack_ids=ack_ids[start : start + _ACK_IDS_A_REQUEST],
                    ack_deadline_seconds=0,
                    timeout=_HAND_BACK_TIMEOUT,
                )

    @asynccontextmanager
    async def _open(self, subscription: Subscription, capacity: int) -> AsyncIterator[Stream]:
        stream = self._stream(subscription, capacity)
        try:
            yield stream
        finally:
            await stream.close()

    def _stream(self, subscription: Subscription, capacity: int) -> "PolledStream | PubSubStream":
        path = self._subscription_path(subscription)
        if self._polling and not subscription.ordered:
            from services.kernel.messaging.pubsub.polled import PolledStream

            return PolledStream(subscription, path, capacity, self._max_lease, self._subscriber)
        from services.kernel.messaging.pubsub.stream import PubSubStream

        return PubSubStream(subscription, path, capacity, self._max_lease, self._hand_back)


def _exists(get: Callable[..., Any], path: dict[str, str]) -> bool:
    from google.api_core.exceptions import NotFound

    from services.kernel.messaging.pubsub.failures import typed

    with typed(f"look up {next(iter(path.values()))}"):
        try:
            get(**path, timeout=_CHECK_TIMEOUT)
        except NotFound:
            return False
    return True
