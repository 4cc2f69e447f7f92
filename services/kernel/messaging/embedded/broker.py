"""Publishing, subscribing and checking on the embedded broker."""

import asyncio
import logging
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from datetime import timedelta

import asyncpg

from contracts import manifest
from contracts.manifest import Subscription
from services.kernel.errors import ConfigurationError, PermanentError, TransientError
from services.kernel.messaging.broker import Stream
from services.kernel.messaging.embedded import keeper
from services.kernel.messaging.embedded.schema import ORDERING_KEY
from services.kernel.messaging.embedded.store import Row, Store
from services.kernel.messaging.embedded.stream import EmbeddedStream
from services.kernel.messaging.envelope import Envelope
from services.kernel.messaging.limits import own_attributes, refusal

_logger = logging.getLogger(__name__)

_MAX_ROWS = 1000
_MAX_BYTES = 16_000_000
"""Of one insert: bounds what a publisher holds in memory as bind parameters."""
_POLL_SECONDS = 1.0
_RENEWALS_PER_LEASE = 3


class EmbeddedBroker:
    """``Broker`` over a pool whose connections see the schema ``broker``.

    ``lease``: seconds a silent consumer keeps its deliveries; None takes each subscription's
    ``ack_deadline``. One connection of the pool listens for wake-ups while anything is
    subscribed, so the pool needs at least two. The pool must leave ``jsonb`` as text and is
    not closed here. ``topics`` and ``subscriptions`` are the manifest's unless a test has its own.
    """

    def __init__(
        self,
        pool: asyncpg.Pool,
        *,
        lease: float | None = None,
        topics: Sequence[str] | None = None,
        subscriptions: Sequence[Subscription] = manifest.SUBSCRIPTIONS,
    ) -> None:
        names = [topic.name for topic in manifest.TOPICS] if topics is None else topics
        self._subscriptions: dict[str, list[Subscription]] = {name: [] for name in names}
        for subscription in subscriptions:
            self._subscriptions[subscription.topic].append(subscription)
        self._pool = pool
        self._store = Store(pool)
        self._lease = lease
        self._streams: dict[str, list[EmbeddedStream]] = {}
        self._background: list[asyncio.Task[None]] = []

    async def publish(self, envelopes: Sequence[Envelope]) -> list[Exception | None]:
        """See ``Broker.publish``."""
        outcomes: list[Exception | None] = [self._refusal(envelope) for envelope in envelopes]
        accepted = [position for position, outcome in enumerate(outcomes) if outcome is None]
        outage: Exception | None = None
        for chunk in self._chunks(envelopes, accepted):
            if outage is None:
                outage = await self._insert([row for position in chunk for row in self._rows(envelopes[position])])
            if outage is not None:  # and the rest stays behind, in order
                for position in chunk:
                    outcomes[position] = outage
        return outcomes

    def subscribe(self, subscription: Subscription, *, capacity: int) -> AbstractAsyncContextManager[Stream]:
        """See ``Broker.subscribe``."""
        return self._open(subscription, capacity)

    async def missing(self, topics: Sequence[str], subscriptions: Sequence[Subscription]) -> list[str]:
        """See ``Broker.missing``. Raises TransientError: Postgres cannot be reached."""
        return await self._store.unknown(topics, [subscription.name for subscription in subscriptions])

    async def close(self) -> None:
        """Stop the background work. Streams are closed by their own contexts."""
        tasks, self._background = self._background, []
        for task in tasks:
            task.cancel()
        for task in tasks:
            with suppress(asyncio.CancelledError):
                await task

    def _refusal(self, envelope: Envelope) -> PermanentError | None:
        if envelope.topic not in self._subscriptions:
            return PermanentError(f"no topic {envelope.topic!r} in the manifest", code="unknown_topic")
        return refusal(envelope)

    def _rows(self, envelope: Envelope) -> list[Row]:
        attributes = own_attributes(envelope.attributes)
        headers = {**attributes, ORDERING_KEY: envelope.ordering_key} if envelope.ordering_key else attributes
        return [
            Row(subscription.name, headers, envelope.data)
            for subscription in self._subscriptions[envelope.topic]
            if subscription.accepts(attributes)
        ]

    def _chunks(self, envelopes: Sequence[Envelope], positions: list[int]) -> Iterator[list[int]]:
        chunk: list[int] = []
        rows = size = 0
        for position in positions:
            copies = len(self._subscriptions[envelopes[position].topic])
            if chunk and (rows + copies > _MAX_ROWS or size + copies * len(envelopes[position].data) > _MAX_BYTES):
                yield chunk
                chunk, rows, size = [], 0, 0
            chunk.append(position)
            rows += copies
            size += copies * len(envelopes[position].data)
        if chunk:
            yield chunk

    async def _insert(self, rows: list[Row]) -> Exception | None:
        if not rows:
            return None  # every subscription's filter declined: published to nobody, as on Pub/Sub
        try:
            await self._store.insert(rows)
        except TransientError as error:
            return error
        except ConfigurationError as error:
            # The messages are good: they wait until somebody has provisioned the broker.
            return TransientError(str(error))
        return None

    @asynccontextmanager
    async def _open(self, subscription: Subscription, capacity: int) -> AsyncIterator[Stream]:
        lease = timedelta(seconds=self._lease or subscription.ack_deadline)
        stream = EmbeddedStream(self._store, subscription, capacity, lease, _POLL_SECONDS)
        self._streams.setdefault(subscription.name, []).append(stream)
        self._start()
        try:
            yield stream
        finally:
            self._streams[subscription.name].remove(stream)
            await stream.close()

    def _start(self) -> None:
        if self._background:
            return
        shortest = self._lease or min(sub.ack_deadline for subs in self._subscriptions.values() for sub in subs)
        self._background = [
            asyncio.create_task(keeper.keep_leases(self._store, self._all_streams, shortest / _RENEWALS_PER_LEASE)),
            asyncio.create_task(keeper.listen(self._pool, self._wake)),
            asyncio.create_task(keeper.expire(self._store)),
        ]
        for task in self._background:
            task.add_done_callback(_report_crash)

    def _all_streams(self) -> list[EmbeddedStream]:
        return [stream for streams in self._streams.values() for stream in streams]

    def _wake(self, subscription: str) -> None:
        for stream in self._streams.get(subscription, ()) if subscription else self._all_streams():
            stream.wake()


def _report_crash(task: "asyncio.Task[None]") -> None:
    """These tasks wait every outage out; one that ends by itself is a defect nobody would see otherwise."""
    if not task.cancelled() and (error := task.exception()) is not None:
        _logger.critical("a background task died", exc_info=error, extra={"action": "broker.background_died"})
