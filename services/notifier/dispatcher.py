"""Delivers what is due through one channel: claims with a lease, attempts, writes down what became of it.

At least once: a crash between the receiver's answer and our note of it sends again, under the same id, by
which the receiver recognises it.
"""

import asyncio
import logging
from collections.abc import Collection, Sequence
from typing import Generic, Protocol, TypeVar

from services.kernel.database.pool import OUTAGE

_logger = logging.getLogger(__name__)

LEASE_SECONDS = 60.0
"""At least twice the longest attempt: a lease that ends belongs to a process that died."""
TICK_SECONDS = 1.0
DRAIN_SECONDS = 3.0

Claim = TypeVar("Claim")


class Channel(Protocol[Claim]):
    """How one kind of delivery is claimed and attempted. Every method but ``attempt`` raises what asyncpg raises."""

    name: str
    capacity: int
    """Attempts under way at a time."""

    async def claim(self, free: int, under_way: Collection[Claim]) -> Sequence[Claim]:
        """Lease at most ``free`` of what is due."""
        ...

    async def attempt(self, claim: Claim) -> None:
        """Deliver once and note the outcome, at once or with the next ``note``."""
        ...

    async def note(self) -> None:
        """Write down the outcomes that were gathered."""
        ...

    async def hand_back(self, claims: Sequence[Claim]) -> None:
        """As if they had never been claimed."""
        ...


class Dispatcher(Generic[Claim]):
    def __init__(self, channel: Channel[Claim]) -> None:
        self._channel = channel
        self._under_way: dict[asyncio.Task[None], Claim] = {}
        self._work = asyncio.Event()

    def wake(self) -> None:
        """Something may have become due."""
        self._work.set()

    async def run(self) -> None:
        """Deliver until cancelled; what is then under way gets a moment to end, the rest is handed back."""
        try:
            while True:
                self._work.clear()
                try:
                    await self._channel.note()
                    started = await self._start_due()
                except OUTAGE as error:
                    _logger.warning("%s waits: %s", self._channel.name, error, extra={"action": "dispatch.wait"})
                    started = 0
                await self._wait(may_be_more=started > 0)
        finally:
            await self._drain()

    async def _start_due(self) -> int:
        free = self._channel.capacity - len(self._under_way)
        if free <= 0:
            return 0
        claims = await self._channel.claim(free, self._under_way.values())
        for claim in claims:
            task = asyncio.create_task(self._channel.attempt(claim))
            self._under_way[task] = claim
            task.add_done_callback(self._ended)
        return len(claims)

    def _ended(self, task: "asyncio.Task[None]") -> None:
        self._under_way.pop(task, None)
        self._work.set()
        if not task.cancelled() and (error := task.exception()) is not None:
            # Its lease will end, and then it is attempted again.
            _logger.error(
                "an attempt by %s broke off", self._channel.name, exc_info=error, extra={"action": "dispatch.broken"}
            )

    async def _wait(self, *, may_be_more: bool) -> None:
        if may_be_more and len(self._under_way) < self._channel.capacity:
            await asyncio.sleep(0)
            return
        try:
            async with asyncio.timeout(TICK_SECONDS):
                await self._work.wait()
        except TimeoutError:
            return

    async def _drain(self) -> None:
        under_way = dict(self._under_way)
        unfinished: set[asyncio.Task[None]] = set()
        if under_way:
            _, unfinished = await asyncio.wait(under_way, timeout=DRAIN_SECONDS)
        for task in unfinished:
            task.cancel()
        await asyncio.gather(*unfinished, return_exceptions=True)
        await self._channel.note()
        await self._channel.hand_back([under_way[task] for task in unfinished])
