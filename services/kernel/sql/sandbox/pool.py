"""A pool of processes for untrusted work: one task, one fresh process."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Coroutine, Mapping
from types import TracebackType
from typing import Any, Final, Self, TypeVar

from services.kernel.sql.sandbox import wire
from services.kernel.sql.sandbox.confinement import Report
from services.kernel.sql.sandbox.datasets import DatasetFiles
from services.kernel.sql.sandbox.errors import (
    LIMIT_KINDS,
    LimitExceeded,
    SandboxBusy,
    SandboxUnavailable,
    TaskFailed,
    WorkerDied,
)
from services.kernel.sql.sandbox.limits import Limits
from services.kernel.sql.sandbox.process import WorkerProcess
from services.kernel.sql.sandbox.stock import WorkerStock
from services.kernel.sql.sandbox.tasks import DEFAULT_TASKS, Json

T = TypeVar("T")

DEFAULT_LIMITS: Final = Limits()
# Room for the envelope around a result whose own size the worker has checked already.
_ENVELOPE_BYTES: Final = 64 * 1024


class SandboxPool:
    """At most ``size`` tasks run at once, each in a process forked for it and ended after it; ``max_waiting`` may wait.

    As many workers stand by, already forked. Use as ``async with SandboxPool(2) as pool``.
    """

    def __init__(self, size: int = 2, *, max_waiting: int = 64, tasks: Mapping[str, str] = DEFAULT_TASKS) -> None:
        if size < 1:
            raise ValueError("a pool needs at least one worker")
        self._size = size
        self._max_waiting = max_waiting
        self._tasks = dict(tasks)
        self._stock = WorkerStock(size, self._tasks)
        self._slots = asyncio.Semaphore(size)
        self._waiting = 0
        self._running: set[asyncio.Task[Any]] = set()
        self._workers: set[WorkerProcess] = set()
        self._calls = 0
        self._idle = asyncio.Event()
        self._idle.set()
        self._closing = False
        self._peak_worker_bytes = 0

    async def __aenter__(self) -> Self:
        try:
            await self._own(self._stock.refill())
        except BaseException:
            await self.close(drain_seconds=0)
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    @property
    def confinement(self) -> Report:
        """What holds around a worker, by measure: "held", or the reason why the kernel refused it."""
        return self._stock.confinement

    @property
    def peak_worker_bytes(self) -> int:
        """The most memory that any worker so far has had resident, the pages it shares with the others included."""
        return self._peak_worker_bytes

    @property
    def zygote_process_id(self) -> int | None:
        """The process that workers are forked from, for monitoring; None while there is none."""
        return self._stock.zygote_process_id

    async def call(self, task: str, payload: Json, limits: Limits = DEFAULT_LIMITS) -> Json:
        """Runs the registered ``task`` on ``payload`` (JSON) in a fresh process and returns its JSON result.

        Raises LimitExceeded, WorkerDied and TaskFailed for what the task did; SandboxBusy when too many calls wait;
        SandboxUnavailable when the pool is closed or its process was lost. A cancelled call ends its process.
        """
        if task not in self._tasks:
            raise ValueError(f"no task named {task!r}; this pool runs {sorted(self._tasks)}")
        request = wire.encode({"task": task, "payload": payload, "limits": limits.to_json()})
        self._enter()
        try:
            await self._wait_for_slot(limits)
            return await self._call_in_slot(request, limits)
        finally:
            self._leave()

    async def store(self, name: str, source: DatasetFiles) -> None:
        """Loads a trusted data set for every later task, under ``name``; replaces one of that name.

        Raises ValueError when it cannot be loaded; the data set of that name, if any, then stays.
        """
        await self._own(self._stock.store(name, source))

    async def drop(self, name: str) -> None:
        """Forgets a stored data set. Tasks that already run keep it. Unknown names are no error."""
        await self._own(self._stock.drop(name))

    async def close(self, drain_seconds: float = 10.0) -> None:
        """Takes no more calls, gives the running ones ``drain_seconds``, then ends them and every process."""
        self._closing = True
        try:
            async with asyncio.timeout(drain_seconds):
                await self._idle.wait()
        except TimeoutError:
            for worker in self._workers:
                worker.kill()
            await self._idle.wait()
        while self._running:
            await asyncio.wait(self._running)
        await self._own(self._stock.close())

    def _enter(self) -> None:
        if self._closing:
            raise SandboxUnavailable("the sandbox is closed")
        self._calls += 1
        self._idle.clear()

    def _leave(self) -> None:
        self._calls -= 1
        if self._calls == 0:
            self._idle.set()

    async def _wait_for_slot(self, limits: Limits) -> None:
        if self._slots.locked() and self._waiting >= self._max_waiting:
            rounds = self._max_waiting / self._size
            raise SandboxBusy(f"{self._waiting} calls are waiting already", retry_after=rounds * limits.wall_seconds)
        self._waiting += 1
        try:
            await self._slots.acquire()
        finally:
            self._waiting -= 1
        if self._closing:
            self._slots.release()
            raise SandboxUnavailable("the sandbox is closed")

    async def _call_in_slot(self, request: bytes, limits: Limits) -> Json:
        """Holds a slot on entry; the slot is free again once the worker's memory is."""
        try:
            worker = await self._take()
        except BaseException:
            self._slots.release()
            raise
        self._workers.add(worker)
        ending: asyncio.Task[dict[str, Any]] | None = None
        try:
            return await self._converse(worker, request, limits)
        except (asyncio.IncompleteReadError, ConnectionError):
            ending = self._spawn(self._retire(worker))
            raise self._death(await asyncio.shield(ending), limits) from None
        finally:
            if ending is None:
                worker.kill()
                self._spawn(self._retire(worker))

    async def _take(self) -> WorkerProcess:
        while (worker := self._stock.take()) is None:
            await self._own(self._stock.refill(at_least=1))
        return worker

    async def _converse(self, worker: WorkerProcess, request: bytes, limits: Limits) -> Json:
        try:
            async with asyncio.timeout(limits.wall_seconds):
                worker.writer.write(request)
                await worker.writer.drain()
                body = await wire.read_frame(worker.reader, limits.result_bytes + _ENVELOPE_BYTES)
        except TimeoutError:
            raise LimitExceeded("wall", f"the task ran longer than {limits.wall_seconds:g} s") from None
        except wire.FrameTooLong:
            raise LimitExceeded("bytes") from None
        return _result(body)

    async def _retire(self, worker: WorkerProcess) -> dict[str, Any]:
        try:
            ending = await self._stock.retire(worker)
            self._peak_worker_bytes = max(self._peak_worker_bytes, int(ending.get("peak_bytes", 0)))
        finally:
            self._workers.discard(worker)
            self._slots.release()
        if not self._closing:
            self._spawn(self._refill())
        return ending

    async def _refill(self) -> None:
        """Ahead of need, so a failure here is only put off: the next call meets it and raises it."""
        try:
            await self._stock.refill()
        except SandboxUnavailable:
            return

    @staticmethod
    def _death(ending: Mapping[str, Any], limits: Limits) -> Exception:
        if not ending:
            return SandboxUnavailable("the sandbox's process was lost under the call")
        status = int(ending["status"])
        if status == -signal.SIGALRM:
            return LimitExceeded("wall")
        if status == -signal.SIGXCPU or (status == -signal.SIGKILL and ending["cpu_seconds"] >= limits.cpu_seconds):
            return LimitExceeded("cpu", f"the task used more than {limits.cpu_seconds} s of processor time")
        return WorkerDied(f"the worker ended without an answer ({_status_name(status)})", status=status)

    def _spawn(self, work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        task = asyncio.create_task(work)
        self._running.add(task)
        task.add_done_callback(self._running.discard)
        return task

    async def _own(self, work: Coroutine[Any, Any, T]) -> T:
        """Runs ``work`` to its end even when the caller is cancelled."""
        return await asyncio.shield(self._spawn(work))


def _result(body: bytes) -> Json:
    """What the worker answered, of which nothing is taken on trust. Raises what the task ended with."""
    try:
        answer: Json = wire.decode(body)
        if "ok" in answer:
            return answer["ok"]
        if answer.get("limit") in LIMIT_KINDS:
            raise LimitExceeded(answer["limit"], str(answer["message"]))
        raise TaskFailed(str(answer["failed"]), str(answer["message"]), dict(answer["details"]))
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise WorkerDied(f"the worker's answer cannot be read: {error}") from error


def _status_name(status: int) -> str:
    return f"signal {signal.Signals(-status).name}" if status < 0 else f"exit code {status}"
