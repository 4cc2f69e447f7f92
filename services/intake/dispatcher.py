"""Lets waiting jobs out to their workers: by priority, then by turn, never more than a window ahead."""

import asyncio
from collections.abc import Iterable
from contextlib import suppress

from services.intake.adapters import releases
from services.intake.domain import fairness
from services.kernel import telemetry
from services.kernel.database.unit_of_work import Database, UnitOfWork
from services.kernel.loops import attempt

TICK_SECONDS = 0.5
"""Without a wake-up (the end of a job was seen by another replica) a free place waits at most this long."""


class Dispatcher:
    """One loop per worker service. Replicas take turns through a row lock per worker."""

    def __init__(self, database: Database, workers: Iterable[str], *, capacity: int, seconds_ahead: float) -> None:
        self._database = database
        self._capacity = capacity
        self._seconds_ahead = seconds_ahead
        self._work = {worker: asyncio.Event() for worker in workers}
        self._full: set[str] = set()

    def created(self, worker: str) -> None:
        """A job waits. With a full window there is nothing to do until another one ends."""
        if worker not in self._full:
            self._work[worker].set()

    def ended(self, worker: str) -> None:
        """A place has fallen free."""
        self._work[worker].set()

    async def run(self) -> None:
        """Dispatch until cancelled."""
        async with asyncio.TaskGroup() as group:
            for worker in self._work:
                group.create_task(self._serve(worker), name=f"dispatch.{worker}")

    async def dispatch(self, worker: str) -> int:
        """Release what the window allows; how many jobs that were.

        Raises:
            asyncpg.PostgresError, OSError: as the database says; nothing was released.
        """
        async with self._database.transaction() as unit:
            state = await releases.lock_window(unit.connection, worker)
            rate = fairness.moving_rate(state.rate, state.out - state.now_out, state.elapsed)
            free = fairness.window(self._capacity, rate, self._seconds_ahead) - state.now_out
            if free <= 0:
                self._full.add(worker)
                return 0
            released = await releases.release(unit.connection, worker, free, state.now_out, rate)
            for release in released:
                announce(unit, release)
        if len(released) == free:
            self._full.add(worker)
        else:
            self._full.discard(worker)
        return len(released)

    async def _serve(self, worker: str) -> None:
        work = self._work[worker]
        while True:
            work.clear()
            await attempt("dispatch", lambda: self.dispatch(worker))
            with suppress(TimeoutError):
                async with asyncio.timeout(TICK_SECONDS):
                    await work.wait()


def announce(unit: UnitOfWork, release: releases.Release) -> None:
    """Ask the worker for the job, within the trace of the request that created it."""
    request = release.request
    attributes = {"querycraft.job.id": request.job_id, "querycraft.job.type": request.job_type}
    with telemetry.span("release job", parent=release.traceparent, attributes=attributes):
        unit.emit(request, message_id=f"{request.job_id}:{request.fence}")
