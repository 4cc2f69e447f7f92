"""One open subscription of the embedded broker."""

import asyncio
import logging
import uuid
from collections import deque
from collections.abc import Sequence
from datetime import timedelta

from pgqueuer.domain.models import Job

from contracts.manifest import Subscription
from services.kernel.errors import TransientError
from services.kernel.messaging.broker import Delivery
from services.kernel.messaging.embedded.schema import ORDERING_KEY
from services.kernel.messaging.embedded.store import Store
from services.kernel.messaging.envelope import Envelope

_logger = logging.getLogger(__name__)

_CLOCK_STEP = 0.001
"""Seconds past a delivery's due time at which it is surely due."""


class EmbeddedStream:
    """Deliveries claimed under one token. ``held`` are leased; the broker extends them.

    ``poll``: seconds after which an idle stream looks again even when nobody woke it.
    """

    def __init__(self, store: Store, subscription: Subscription, capacity: int, lease: timedelta, poll: float) -> None:
        self.token = uuid.uuid4()
        self.held: set[int] = set()
        self._store = store
        self._subscription = subscription
        self._capacity = capacity
        self._lease = lease
        self._poll = poll
        self._ready: deque[Delivery] = deque()
        self._claiming = asyncio.Lock()
        self._changed = asyncio.Event()
        self._acked: set[int] = set()
        self._acking = asyncio.Lock()
        self._claim_task: asyncio.Task[None] | None = None

    def wake(self) -> None:
        """Something was published, handed back or settled: an idle pull looks again."""
        self._changed.set()

    async def pull(self, limit: int, wait: float) -> list[Delivery]:
        """See ``Stream.pull``."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + wait
        while True:
            self._changed.clear()
            pause = await self._fill(limit)
            if self._ready:
                return [self._ready.popleft() for _ in range(min(limit, len(self._ready)))]
            remaining = deadline - loop.time()
            if remaining <= 0:
                return []
            try:
                await asyncio.wait_for(self._changed.wait(), min(pause, remaining))
            except TimeoutError:
                continue

    async def ack(self, deliveries: Sequence[Delivery]) -> None:
        """See ``Stream.ack``. Acks that arrive while one is on its way share the next statement."""
        self._acked.update(_row_id(delivery) for delivery in deliveries)
        try:
            await self.flush_acks()
        except TransientError as error:
            # Kept and sent with the next ones: the leases are extended meanwhile.
            _logger.warning("acks are waiting: %s", error, extra={"action": "broker.ack_waits"})

    async def flush_acks(self) -> None:
        async with self._acking:
            batch = list(self._acked)
            if not batch:
                return
            await self._store.ack(batch, self.token)
            self._acked.difference_update(batch)
            self._let_go(batch)

    async def nack(self, delivery: Delivery, delay: float) -> None:
        """See ``Stream.nack``. When it cannot be said now, the lease runs out instead."""
        row_id = _row_id(delivery)
        try:
            await self._store.nack(row_id, self.token, timedelta(seconds=delay))
        except TransientError as error:
            _logger.warning("a nack was lost: %s", error, extra={"action": "broker.nack_lost"})
        finally:
            self._let_go([row_id])
            self.wake()  # an idle pull computes anew when the next delivery is due

    def forget(self, lost: set[int]) -> None:
        """Another consumer has taken these: their leases had run out."""
        _logger.warning(
            "%s lost the leases of %d deliveries", self._subscription.name, len(lost), extra={"action": "broker.lost"}
        )
        self._acked -= lost
        self._ready = deque(delivery for delivery in self._ready if _row_id(delivery) not in lost)
        self._let_go(lost)

    async def close(self) -> None:
        """Hand back everything unsettled."""
        if self._claim_task is not None:
            await asyncio.wait([self._claim_task])
        try:
            await self.flush_acks()
            await self._store.hand_back(self.token, self._subscription.name)
        except TransientError as error:
            _logger.warning(
                "%s could not hand back %d deliveries, their leases will run out: %s",
                self._subscription.name,
                len(self.held),
                error,
                extra={"action": "broker.hand_back_failed"},
            )
        self.held.clear()
        self._ready.clear()

    async def _fill(self, limit: int) -> float:
        """Claim into ``_ready`` unless something is there; seconds after which looking again makes sense."""
        async with self._claiming:
            room = min(limit, self._capacity - len(self.held))
            if self._ready or room <= 0:
                return self._poll
            # A caller that gives up half way must not lose what Postgres has already claimed:
            # its claim goes on, and the next caller waits for that one.
            if self._claim_task is None or self._claim_task.done():
                self._claim_task = asyncio.create_task(self._claim(room))
            await asyncio.shield(self._claim_task)
        if self._ready:
            return 0.0
        due = await self._store.next_due(self._subscription.name)
        return self._poll if due is None else min(self._poll, max(0.0, due.total_seconds()) + _CLOCK_STEP)

    async def _claim(self, room: int) -> None:
        jobs = await self._store.claim(
            self._subscription.name, room, self.token, self._lease, ordered=self._subscription.ordered
        )
        for job in jobs:
            self.held.add(job.id)
            self._ready.append(_delivery(self._subscription.topic, job))

    def _let_go(self, ids: Sequence[int] | set[int]) -> None:
        was_full = len(self.held) >= self._capacity
        self.held.difference_update(ids)
        if was_full or self._subscription.ordered:
            self.wake()


def _delivery(topic: str, job: Job) -> Delivery:
    attributes = {name: str(value) for name, value in (job.headers or {}).items()}
    ordering_key = attributes.pop(ORDERING_KEY, "")
    envelope = Envelope(topic, attributes, job.payload or b"", ordering_key)
    return Delivery(envelope, attempt=job.attempts + 1, receipt=int(job.id))


def _row_id(delivery: Delivery) -> int:
    if not isinstance(delivery.receipt, int):
        raise TypeError(f"a delivery of another broker cannot be settled here: {delivery!r}")
    return delivery.receipt
