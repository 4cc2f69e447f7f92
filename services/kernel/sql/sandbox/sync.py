"""The pool for scripts that have no event loop of their own."""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import Coroutine, Generator, Iterable, Mapping
from concurrent.futures import Future
from types import TracebackType
from typing import Any, Self, TypeVar

from services.kernel.errors import QueryCraftError
from services.kernel.sql.sandbox.datasets import DatasetFiles
from services.kernel.sql.sandbox.limits import Limits
from services.kernel.sql.sandbox.pool import DEFAULT_LIMITS, SandboxPool
from services.kernel.sql.sandbox.tasks import DEFAULT_TASKS, Json

T = TypeVar("T")


class SyncSandbox:
    """A SandboxPool behind a thread of its own, used as ``with SyncSandbox(2) as sandbox``; errors as SandboxPool's."""

    def __init__(self, size: int = 1, *, tasks: Mapping[str, str] = DEFAULT_TASKS) -> None:
        self._size = size
        self._tasks = tasks
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="sandbox", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        try:
            self._pool = self._run(self._open())
        except BaseException:
            self._stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # After an error nobody is going to read what is still running.
        self._run(self._pool.close() if kind is None else self._pool.close(drain_seconds=0))
        self._stop()

    def call(self, task: str, payload: Json, limits: Limits = DEFAULT_LIMITS) -> Json:
        return self._run(self._pool.call(task, payload, limits))

    def store(self, name: str, source: DatasetFiles) -> None:
        self._run(self._pool.store(name, source))

    def map(
        self, task: str, payloads: Iterable[Json], limits: Limits = DEFAULT_LIMITS
    ) -> Generator[Json | QueryCraftError, None, None]:
        """The outcome of each payload, in order, ``size`` at a time: its result, or the error ``call`` would raise.

        ``payloads`` is read only a few items ahead. Closed early, it ends the calls whose outcomes nobody will read.
        """
        ahead: deque[Future[Json]] = deque()
        try:
            for payload in payloads:
                ahead.append(asyncio.run_coroutine_threadsafe(self._pool.call(task, payload, limits), self._loop))
                if len(ahead) > self._size * 2:
                    yield _outcome(ahead.popleft())
            while ahead:
                yield _outcome(ahead.popleft())
        finally:
            for future in ahead:
                future.cancel()

    async def _open(self) -> SandboxPool:
        # One more may wait than ``map`` keeps ahead, so that it never meets a full line.
        return await SandboxPool(self._size, max_waiting=self._size * 2 + 1, tasks=self._tasks).__aenter__()

    def _run(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()

    def _stop(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


def _outcome(future: Future[Json]) -> Json | QueryCraftError:
    try:
        return future.result()
    except QueryCraftError as error:
        return error
