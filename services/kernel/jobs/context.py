"""What a job's handler works with: its request, its progress, its deadline, and the word to stop."""

import asyncio
import time
import uuid
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from contracts.jobs import JobProgressed, JobRequested
from services.kernel.database.unit_of_work import Database, UnitOfWork
from services.kernel.errors import PermanentError, QueryCraftError
from services.kernel.jobs import runs

PROGRESS_BURST = 3
PROGRESS_INTERVAL_SECONDS = 0.5
"""After a burst, a chattering job reports at most this often; the latest report wins."""


class JobStopped(QueryCraftError):
    """Raised at a job's next step after its client cancelled it or a newer copy took it over."""

    code = "job_stopped"


class JobFailedError(PermanentError):
    """The job ends as failed with this message, which its client reads."""

    code = "job_failed"


@dataclass(frozen=True)
class JobResult:
    """What the client gets, and what else becomes true in the same transaction as the job's end."""

    result: dict[str, Any]
    effects: Callable[[UnitOfWork], Awaitable[None]] | None = None


JobHandler = Callable[["JobContext"], Awaitable[JobResult]]


@dataclass
class JobContext:
    """``deadline``: monotonic seconds by which the work should be done, for passing to slow calls."""

    job: JobRequested
    token: uuid.UUID
    database: Database
    deadline: float
    attempt: int = 1
    _tokens: float = PROGRESS_BURST
    _refilled: float = field(default_factory=time.monotonic)
    _latest: tuple[int, str] = (0, "started")

    @property
    def remaining(self) -> float:
        """Seconds left until the deadline, never negative."""
        return max(0.0, self.deadline - time.monotonic())

    async def step(self, name: str, progress: int) -> None:
        """Report that step ``name`` begins at ``progress`` percent.

        Raises:
            JobStopped: the job was cancelled or taken over; nothing more may happen.
        """
        self._latest = (max(self._latest[0], min(progress, 99)), name)
        if self._may_report():
            await self.report()
        else:
            await self._check(await runs.beat(self.database.pool, self.job.job_id, self.token))

    async def report(self) -> None:
        """Send the latest step; it doubles as the heartbeat that keeps the job from being taken away.

        Raises:
            JobStopped: see ``step``.
        """
        async with self.database.transaction() as unit:
            sequence = await self._check(await runs.beat(unit.connection, self.job.job_id, self.token))
            unit.emit(self.progressed(sequence))

    def progressed(self, sequence: int) -> JobProgressed:
        progress, step = self._latest
        return JobProgressed(
            job_id=self.job.job_id,
            job_type=self.job.job_type,
            fence=self.job.fence,
            sequence=sequence,
            progress=progress,
            step=step,
            reported_at=datetime.now(UTC),
        )

    async def keep_alive(self, interval: float) -> None:
        """Report every ``interval`` seconds until cancelled; returns when the job must stop."""
        while True:
            await asyncio.sleep(interval)
            try:
                await self.report()
            except JobStopped:
                return

    async def _check(self, sequence: int | None) -> int:
        if sequence is None:
            raise JobStopped(f"job {self.job.job_id} was cancelled or taken over by another copy")
        return sequence

    def _may_report(self) -> bool:
        now = time.monotonic()
        earned = (now - self._refilled) / PROGRESS_INTERVAL_SECONDS
        self._tokens = min(float(PROGRESS_BURST), self._tokens + earned)
        self._refilled = now
        if self._tokens < 1:
            return False
        self._tokens -= 1
        return True
