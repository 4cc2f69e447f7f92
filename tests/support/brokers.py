"""Both brokers behind one face, for scenarios that must hold on either."""

from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import AbstractAsyncContextManager, AbstractContextManager, asynccontextmanager, contextmanager
from dataclasses import dataclass
from typing import ClassVar, Protocol

import asyncpg

from contracts.manifest import Subscription
from contracts.message import Message
from scripts.embedded.postgres import PostgresServer
from scripts.emulators.pubsub import PubSubEmulator
from services.kernel.messaging.broker import Broker
from services.kernel.messaging.embedded import EmbeddedBroker
from services.kernel.messaging.provision import provision_embedded, provision_pubsub
from services.kernel.messaging.pubsub import PubSubBroker


class Ping(Message):
    """The message of the conformance scenarios."""

    NAME: ClassVar[str] = "ping.sent"
    FILTERABLE: ClassVar[tuple[str, ...]] = ("kind", "size")
    SUBJECT: ClassVar[str] = "number"

    number: int
    kind: str = "plain"
    size: str = "small"
    text: str = ""


TOPICS = (Ping.topic(),)
PLAIN = Subscription(Ping, "reader", ack_deadline=10, min_backoff=0.1, max_backoff=0.2)
OTHER = Subscription(Ping, "listener", ack_deadline=10, min_backoff=0.1, max_backoff=0.2)
FILTERED = Subscription(
    Ping, "chooser", filter={"kind": ("red", "blue"), "size": ("big",)}, ack_deadline=10, min_backoff=0.1
)
ORDERED = Subscription(Ping, "sorter", ordered=True, ack_deadline=10, min_backoff=0.1, max_backoff=0.2)
SUBSCRIPTIONS = (PLAIN, OTHER, FILTERED, ORDERED)

EMBEDDED_LEASE = 2.0


class BrokerKit(Protocol):
    """One provisioned broker service.

    ``lease``: seconds a silent consumer keeps its deliveries. ``hand_back_seconds``: within which
    what a closed stream held comes to another one.
    """

    kind: str
    lease: float
    hand_back_seconds: float

    async def provision(self, subscriptions: Sequence[Subscription] = SUBSCRIPTIONS) -> None: ...

    def connect(self) -> AbstractAsyncContextManager[Broker]:
        """A broker with connections of its own, as another process would have."""
        ...

    def outage(self) -> AbstractContextManager[None]:
        """Inside, the service does not answer."""
        ...

    def consumer_arguments(self) -> list[str]:
        """For ``tests.support.hanging_consumer``."""
        ...


@dataclass
class EmbeddedKit:
    server: PostgresServer
    url: str
    kind: str = "embedded"
    lease: float = EMBEDDED_LEASE
    hand_back_seconds: float = 20.0

    async def provision(self, subscriptions: Sequence[Subscription] = SUBSCRIPTIONS) -> None:
        connection = await asyncpg.connect(self.url)
        try:
            await provision_embedded(connection, topics=TOPICS, subscriptions=subscriptions)
        finally:
            await connection.close()

    @asynccontextmanager
    async def connect(self) -> AsyncIterator[Broker]:
        async with asyncpg.create_pool(self.url, min_size=1, max_size=4) as pool:
            broker = EmbeddedBroker(pool, lease=EMBEDDED_LEASE, topics=TOPICS, subscriptions=SUBSCRIPTIONS)
            try:
                yield broker
            finally:
                await broker.close()

    @contextmanager
    def outage(self) -> Iterator[None]:
        self.server.stop("immediate")
        try:
            yield
        finally:
            self.server.start()

    def consumer_arguments(self) -> list[str]:
        return [self.kind, self.url]


@dataclass
class PubSubKit:
    emulator: PubSubEmulator
    project: str
    polling: bool = False
    kind: str = "pubsub"
    lease: float = 10.0
    hand_back_seconds: float = 8.0

    async def provision(self, subscriptions: Sequence[Subscription] = SUBSCRIPTIONS) -> None:
        provision_pubsub(self.project, topics=TOPICS, subscriptions=subscriptions)

    @asynccontextmanager
    async def connect(self) -> AsyncIterator[Broker]:
        broker = PubSubBroker(self.project, publish_timeout=3.0, polling=self.polling, topics=TOPICS)
        try:
            yield broker
        finally:
            await broker.close()

    @contextmanager
    def outage(self) -> Iterator[None]:
        self.emulator.pause()
        try:
            yield
        finally:
            self.emulator.resume()

    def consumer_arguments(self) -> list[str]:
        return ["polled" if self.polling else self.kind, self.project]
