"""Workers in stock: the zygote they come from, the spares standing by, and the data sets they see."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Mapping
from typing import Any

from services.kernel.sql.sandbox.confinement import HELD, Report
from services.kernel.sql.sandbox.datasets import DatasetFiles, HeldDataset
from services.kernel.sql.sandbox.errors import SandboxUnavailable
from services.kernel.sql.sandbox.process import WorkerProcess, Zygote

logger = logging.getLogger(__name__)


class WorkerStock:
    """Keeps ``spares`` workers forked ahead.

    Its coroutines must not be cancelled: the pool runs them in tasks of its own.
    """

    def __init__(self, spares: int, tasks: Mapping[str, str]) -> None:
        self._spares = spares
        self._tasks = tasks
        self._ready: deque[WorkerProcess] = deque()
        self._datasets: dict[str, HeldDataset] = {}
        self._generation = 0
        self._starting = asyncio.Lock()
        self._refilling = asyncio.Lock()
        self._zygote: Zygote | None = None
        self._closed = False

    @property
    def confinement(self) -> Report:
        return dict(self._zygote.confinement) if self._zygote is not None else {}

    @property
    def zygote_process_id(self) -> int | None:
        return self._zygote.process_id if self._zygote is not None and self._zygote.alive else None

    def take(self) -> WorkerProcess | None:
        """A spare that sees the present data sets, or None when a new one must be made."""
        for worker in self._ready:
            if self._is_current(worker):
                self._ready.remove(worker)
                return worker
        return None

    async def refill(self, at_least: int = 0) -> None:
        """Brings the spares to their number (or ``at_least``), replacing the stale ones.

        Raises SandboxUnavailable or ConfigurationError when no worker can be made.
        """
        async with self._refilling:
            await self._discard_stale()
            while len(self._ready) < max(self._spares, at_least) and not self._closed:
                zygote = await self._running_zygote()
                self._ready.append(await zygote.fork(self._generation))

    async def retire(self, worker: WorkerProcess) -> dict[str, Any]:
        """Ends ``worker`` and waits until its memory is free; {} when it was lost together with its zygote."""
        worker.kill()
        await worker.closed()
        try:
            return await worker.zygote.reap(worker)
        except SandboxUnavailable:
            return {}
        finally:
            worker.release()

    async def store(self, name: str, source: DatasetFiles) -> None:
        """Raises ValueError when the data cannot be loaded, OSError when there is no memory to hold it."""
        held = HeldDataset(source)
        try:
            zygote = await self._running_zygote()
            await zygote.store(name, held.kind, held.tables, held.descriptors)
        except BaseException:
            held.close()
            raise
        previous = self._datasets.pop(name, None)
        if previous is not None:
            previous.close()
        self._datasets[name] = held
        self._generation += 1
        await self.refill()

    async def drop(self, name: str) -> None:
        held = self._datasets.pop(name, None)
        if held is None:
            return
        held.close()
        self._generation += 1
        zygote = await self._running_zygote()
        await zygote.drop(name)
        await self.refill()

    async def close(self) -> None:
        self._closed = True
        self._generation += 1
        await self._discard_stale()
        if self._zygote is not None:
            await self._zygote.stop()
        for held in self._datasets.values():
            held.close()
        self._datasets.clear()

    def _is_current(self, worker: WorkerProcess) -> bool:
        return worker.generation == self._generation and worker.zygote.alive

    async def _discard_stale(self) -> None:
        stale = [worker for worker in self._ready if not self._is_current(worker)]
        for worker in stale:
            self._ready.remove(worker)
        for worker in stale:
            await self.retire(worker)

    async def _running_zygote(self) -> Zygote:
        async with self._starting:
            if self._zygote is not None and self._zygote.alive:
                return self._zygote
            if self._zygote is not None:
                logger.warning("the sandbox's process was lost; starting another", extra={"action": "sandbox_restart"})
                await self._zygote.stop()
            zygote = await Zygote.start(self._tasks)
            for name, held in self._datasets.items():
                await zygote.store(name, held.kind, held.tables, held.descriptors)
            self._zygote = zygote
            self._report(zygote.confinement)
            return zygote

    @staticmethod
    def _report(confinement: Report) -> None:
        missing = {measure: reason for measure, reason in confinement.items() if reason != HELD}
        if missing:
            logger.warning(
                "the sandbox runs without: %s",
                "; ".join(f"{measure} ({reason})" for measure, reason in missing.items()),
                extra={"action": "sandbox_degraded", "missing": missing},
            )
