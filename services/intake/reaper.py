"""Takes jobs back from workers that died: released again under a higher fence, and at last given up.

Any number of replicas reap at once: each takes rows nobody else holds (SKIP LOCKED) and waits for none.
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

from contracts.jobs import JobCancelled, JobFailed
from services.intake.adapters import releases
from services.intake.adapters.releases import Taken
from services.intake.dispatcher import announce
from services.intake.domain.jobs import Status, worker_of
from services.kernel import metrics, telemetry
from services.kernel.alerts import alert
from services.kernel.database.unit_of_work import Database, UnitOfWork
from services.kernel.loops import every

_logger = logging.getLogger(__name__)

BATCH = 100
WORKER_LOST = "worker_lost"


@dataclass(frozen=True, slots=True)
class Patience:
    """``silence``, ``start``: seconds a worker may be silent within a job, and before it begins one.
    ``max_releases``: of one job, the first included."""

    silence: float
    start: float
    max_releases: int

    @property
    def interval(self) -> float:
        """Seconds between two rounds."""
        return min(5.0, self.silence / 4)


class Reaper:
    """``on_lost(worker)`` is called after each job given up on: its place has fallen free."""

    def __init__(
        self, database: Database, patience: Patience, on_lost: Callable[[str], None], *, project_id: str = ""
    ) -> None:
        self._database = database
        self._patience = patience
        self._on_lost = on_lost
        self._project_id = project_id

    async def run(self) -> None:
        """Reap until cancelled."""
        await every(self._patience.interval, "reaper", self.reap)

    async def reap(self) -> int:
        """Take back every silent job; how many.

        Raises:
            asyncpg.PostgresError, OSError: as the database says; what was taken before stays taken.
        """
        total = 0
        while True:
            async with self._database.transaction() as unit:
                taken = await releases.take_silent(
                    unit.connection,
                    silence=self._patience.silence,
                    start=self._patience.start,
                    max_releases=self._patience.max_releases,
                    limit=BATCH,
                    error=self._error,
                )
                for job in taken:
                    self._announce(unit, job)
            for job in taken:
                self._report(job)
            total += len(taken)
            if len(taken) < BATCH:
                return total

    @property
    def _error(self) -> str:
        return (
            f"the worker went silent {self._patience.max_releases} times while running this job; "
            "it may be retried with POST /api/ai/jobs/{id}/retry"
        )

    def _announce(self, unit: UnitOfWork, job: Taken) -> None:
        if not job.lost:
            announce(unit, job.release)
            return
        request = job.release.request
        now = datetime.now(UTC)
        with telemetry.span("give up job", parent=job.release.traceparent):
            unit.emit(
                JobFailed(
                    job_id=request.job_id,
                    job_type=request.job_type,
                    user_id=request.user_id,
                    fence=request.fence,
                    error_code=WORKER_LOST,
                    error_message=self._error,
                    retryable=True,
                    finished_at=now,
                ),
                message_id=f"{request.job_id}:{request.fence}:lost",
            )
            # A worker that is only slow must learn that nobody waits for it any more.
            unit.emit(
                JobCancelled(
                    job_id=request.job_id,
                    job_type=request.job_type,
                    user_id=request.user_id,
                    fence=request.fence,
                    was_running=job.started,
                    cancelled_at=now,
                ),
                message_id=f"{request.job_id}:{request.fence}:given-up",
            )
            unit.emit(
                alert(
                    "job_failed",
                    source=self._database.source,
                    about=request.job_id,
                    user_id=request.user_id,
                    message=self._error,
                    project_id=self._project_id,
                )
            )

    def _report(self, job: Taken) -> None:
        request = job.release.request
        metrics.JOBS_REAPED.add(1, {"type": request.job_type, "lost": job.lost})
        _logger.warning(
            "job was %s after its worker went silent",
            "given up" if job.lost else "released again",
            extra={"action": "job.reaped", "job_id": request.job_id, "fence": request.fence, "lost": job.lost},
        )
        worker = worker_of(request.job_type)
        if job.lost and worker is not None:
            metrics.JOBS_ENDED.add(1, {"type": request.job_type, "status": Status.FAILED})
            self._on_lost(worker)
