"""One statement for whatever waits: a batch grows exactly while the one before it runs.

An idle door answers at once, a busy one spends one round trip on many requests; nothing is
ever delayed on purpose.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Hashable, Sequence
from typing import Generic, TypeVar

from services.kernel.database.pool import OUTAGE
from services.kernel.errors import BusyError

I = TypeVar("I")  # noqa: E741 - item
O = TypeVar("O")  # noqa: E741 - outcome

Execute = Callable[[Sequence[I]], Awaitable[Sequence[O]]]


class MicroBatcher(Generic[I, O]):
    """``execute`` gets up to ``limit`` items and returns their outcomes in order.

    Items with the same ``key`` (other than None) never share a batch: the later one goes in the
    next. When a batch fails for another reason than an outage, its items are executed one by
    one, so that one bad item costs the others nothing. More than ``max_waiting`` items are
    refused, which bounds memory and waiting time.
    """

    def __init__(
        self,
        execute: Execute[I, O],
        *,
        limit: int = 200,
        max_waiting: int = 5_000,
        key: Callable[[I], Hashable | None] | None = None,
    ) -> None:
        self._execute = execute
        self._limit = limit
        self._max_waiting = max_waiting
        self._key = key
        self._waiting: deque[tuple[I, asyncio.Future[O]]] = deque()
        self._runner: asyncio.Task[None] | None = None

    async def submit(self, item: I) -> O:
        """The outcome of ``item``.

        Raises:
            BusyError: too many items are waiting.
            Exception: what ``execute`` raised for this item.
        """
        if len(self._waiting) >= self._max_waiting:
            raise BusyError("too many requests are waiting for the database", retry_after=1.0)
        future: asyncio.Future[O] = asyncio.get_running_loop().create_future()
        self._waiting.append((item, future))
        if self._runner is None:
            self._runner = asyncio.create_task(self._run(), name="micro-batcher")
        return await future

    async def _run(self) -> None:
        try:
            while self._waiting:
                await self._settle(self._take())
        finally:
            self._runner = None

    def _take(self) -> list[tuple[I, asyncio.Future[O]]]:
        batch: list[tuple[I, asyncio.Future[O]]] = []
        later: list[tuple[I, asyncio.Future[O]]] = []
        keys: set[Hashable] = set()
        while self._waiting and len(batch) < self._limit:
            entry = self._waiting.popleft()
            if entry[1].done():  # its client has gone
                continue
            key = self._key(entry[0]) if self._key else None
            if key is not None and key in keys:
                later.append(entry)
                continue
            keys.add(key)
            batch.append(entry)
        self._waiting.extendleft(reversed(later))
        return batch

    async def _settle(self, batch: list[tuple[I, asyncio.Future[O]]]) -> None:
        if not batch:
            return
        try:
            outcomes = await self._execute([item for item, _ in batch])
        except Exception as error:
            if len(batch) > 1 and not isinstance(error, OUTAGE):
                for entry in batch:
                    await self._settle([entry])
                return
            for _, future in batch:
                if not future.done():
                    future.set_exception(error)
            return
        for (_, future), outcome in zip(batch, outcomes, strict=True):
            if not future.done():
                future.set_result(outcome)
