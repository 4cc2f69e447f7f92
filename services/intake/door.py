"""Taking jobs in: limit, idempotency, routing, and waiting for the end where the client is to wait."""

import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from contracts.jobs import JobCancelled
from services.intake.adapters import jobs
from services.intake.adapters.batching import MicroBatcher
from services.intake.adapters.creation import Admission, JobCreation, RateLimit
from services.intake.adapters.jobs import OwnJob
from services.intake.dispatcher import Dispatcher
from services.intake.domain.idempotency import Verdict, judge
from services.intake.domain.jobs import Caller, Job, NewJob, Status, worker_of
from services.intake.domain.routing import Route
from services.intake.estimates import Estimates
from services.intake.watch import Watch
from services.kernel import metrics
from services.kernel.database.unit_of_work import Database


@dataclass(frozen=True, slots=True)
class Accepted:
    """The job goes on by itself; ``body`` is the 202's JSON."""

    job_id: uuid.UUID
    body: str
    admission: Admission


@dataclass(frozen=True, slots=True)
class Answered:
    """The job ended while its client waited."""

    job: Job
    admission: Admission


@dataclass(frozen=True, slots=True)
class NotAnswered:
    """Not done in time, and nothing may be queued: the job was cancelled."""

    admission: Admission


@dataclass(frozen=True, slots=True)
class Limited:
    """The caller is over the rate limit."""

    admission: Admission


@dataclass(frozen=True, slots=True)
class Conflict:
    """The idempotency key is in use: with another payload, or by a request still being answered."""

    verdict: Verdict
    admission: Admission


@dataclass(frozen=True, slots=True)
class Retrial:
    """A new job made from a failed one, and its 202 answer."""

    job: NewJob
    body: str


Outcome = Accepted | Answered | NotAnswered | Limited | Conflict


class Door:
    def __init__(
        self,
        database: Database,
        creation: JobCreation,
        dispatcher: Dispatcher,
        watch: Watch,
        estimates: Estimates,
    ) -> None:
        self.database = database
        self.watch = watch
        self.estimates = estimates
        self._creation = creation
        self._dispatcher = dispatcher
        pool = database.pool

        async def create(batch: Sequence[NewJob]) -> list[Admission]:
            return await creation.create(pool, batch)

        async def read(batch: Sequence[uuid.UUID]) -> list[Job | None]:
            return await jobs.read_many(pool, batch)

        self._creating: MicroBatcher[NewJob, Admission] = MicroBatcher(create, key=_idempotency_key)
        self._reading: MicroBatcher[uuid.UUID, Job | None] = MicroBatcher(read)

    @property
    def limit(self) -> RateLimit:
        return self._creation.limit

    async def read(self, job_id: uuid.UUID) -> Job | None:
        """Raises BusyError, asyncpg.PostgresError or OSError."""
        return await self._reading.submit(job_id)

    async def submit(self, job: NewJob, body: str, route: Route) -> Outcome:
        """Create ``job`` and wait as ``route`` says; ``body`` is its 202 answer.

        Raises:
            BusyError: too many requests wait for the database.
            asyncpg.PostgresError, OSError: as the database says; nothing was created.
        """
        admission = await self._creating.submit(job)
        return await self.settle(job, body, route, admission)

    async def settle(self, job: NewJob, body: str, route: Route, admission: Admission) -> Outcome:
        """What follows from ``admission``, once it is committed."""
        if admission.limited:
            return Limited(admission)
        if not admission.created:
            return await self._replayed(job, admission)
        metrics.JOBS_CREATED.add(1, {"type": job.type})
        self._dispatcher.created(job.worker)
        if not route.wait:
            return Accepted(job.id, body, admission)
        return await self._awaited(job, body, route, admission)

    async def _awaited(self, job: NewJob, body: str, route: Route, admission: Admission) -> Outcome:
        ended = await self.watch.wait_for_end(job.id, route.wait)
        if not ended and not route.may_queue:
            await self.cancel(job.id, job.caller)
            # It may have ended in the last moment: then the client gets what it waited for.
        found = await self.read(job.id)
        if found is not None and found.is_terminal and (ended or found.status != Status.CANCELLED):
            await self._creation.answered(self.database.pool, job, 200)
            return Answered(found, admission)
        if not route.may_queue:
            return NotAnswered(admission)
        await self._creation.answered(self.database.pool, job, 202)
        return Accepted(job.id, body, admission)

    async def _replayed(self, job: NewJob, admission: Admission) -> Outcome:
        stored, claim = admission.stored, job.idempotency
        if stored is None or claim is None:
            raise AssertionError(f"job {job.id} was neither created nor held back by a key")
        verdict = judge(stored, claim.fingerprint)
        if verdict is not Verdict.REPLAY:
            return Conflict(verdict, admission)
        if stored.status == 200:
            # A terminal job never changes, so its representation is the body that was sent.
            found = await self.read(stored.job_id)
            if found is not None:
                return Answered(found, admission)
        return Accepted(stored.job_id, stored.answer, admission)

    async def cancel(self, job_id: uuid.UUID, caller: Caller) -> bool:
        """End the caller's open job and say so to its worker; False when there was none to end.

        Raises:
            asyncpg.PostgresError, OSError: as the database says; nothing was cancelled.
        """
        async with self.database.transaction() as unit:
            cancelled = await jobs.cancel(unit, job_id, caller)
            if cancelled is not None:
                unit.emit(
                    JobCancelled(
                        job_id=str(job_id),
                        job_type=cancelled.type,
                        user_id=cancelled.user_id or "",
                        fence=cancelled.fence,
                        was_running=cancelled.was_running,
                        cancelled_at=datetime.now(UTC),
                    ),
                    message_id=f"{job_id}:cancelled",
                )
        if cancelled is None:
            return False
        metrics.JOBS_ENDED.add(1, {"type": cancelled.type, "status": Status.CANCELLED})
        metrics.JOB_SECONDS.record(cancelled.seconds, {"type": cancelled.type})
        self.watch.wake([str(job_id)])
        if (worker := worker_of(cancelled.type)) is not None:
            self._dispatcher.ended(worker)
        return True

    async def retry(self, job_id: uuid.UUID, caller: Caller, again: Callable[[OwnJob], Retrial]) -> Outcome | None:
        """Create the job that ``again`` makes of the caller's own failed job; None when there is no such job.

        Raises:
            Exception: what ``again`` raises about a job that cannot be tried again.
            asyncpg.PostgresError, OSError: as the database says; nothing was created.
        """
        async with self.database.transaction() as unit:
            own = await jobs.lock_own(unit, job_id, caller)
            if own is None:
                return None
            retrial = again(own)
            [admission] = await self._creation.create(unit.connection, [retrial.job])
        return await self.settle(retrial.job, retrial.body, Route(), admission)


def _idempotency_key(job: NewJob) -> tuple[str, str] | None:
    return None if job.idempotency is None else (job.idempotency.scope, job.idempotency.key)
