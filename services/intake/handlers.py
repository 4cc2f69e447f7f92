"""What intake does with messages: workers' reports move jobs, due schedules become jobs."""

import json
import logging
import uuid
from collections.abc import Sequence

from contracts.jobs import JobFailed, JobProgressed, JobSucceeded, JobType, Priority, ScheduleDue
from contracts.message import json_text
from services.intake.adapters import jobs, reports, schedules
from services.intake.adapters.creation import JobCreation
from services.intake.adapters.reports import End, Progress
from services.intake.domain.documents import keepable_json, keepable_text
from services.intake.domain.jobs import SCHEDULE_CALLER, Caller, NewJob, Status, worker_of
from services.intake.domain.progress import rounds
from services.intake.domain.schedules import Schedule, job_id_of
from services.kernel import metrics, telemetry
from services.kernel.database.unit_of_work import UnitOfWork
from services.kernel.errors import PermanentError, TransientError

_logger = logging.getLogger(__name__)


async def job_progressed(message: JobProgressed, unit: UnitOfWork) -> None:
    step = keepable_text(message.step)
    report = Progress(
        _job_id(message.job_id), message.fence, message.sequence, message.progress, step, message.reported_at
    )
    unit.defer(_apply_progress, report)


async def job_succeeded(message: JobSucceeded, unit: UnitOfWork) -> None:
    result, note = keepable_json(message.result)
    if note:
        _logger.warning("%s", note, extra={"action": "job.result_repaired", "job_id": message.job_id})
    unit.defer(
        _apply_ends,
        End(_job_id(message.job_id), message.fence, Status.COMPLETED, message.finished_at, result=result, note=note),
    )


async def job_failed(message: JobFailed, unit: UnitOfWork) -> None:
    error = keepable_text(message.error_message) or message.error_code
    unit.defer(
        _apply_ends, End(_job_id(message.job_id), message.fence, Status.FAILED, message.finished_at, error=error)
    )


async def _apply_progress(unit: UnitOfWork, batch: list[Progress]) -> None:
    await reports.lock(unit.connection, [report.job_id for report in batch])
    for turn in rounds(batch):
        await reports.progress(unit.connection, turn)


async def _apply_ends(unit: UnitOfWork, batch: list[End]) -> None:
    await reports.lock(unit.connection, [report.job_id for report in batch])
    for turn in rounds(batch):
        for ended in await reports.end(unit.connection, turn):
            metrics.JOBS_ENDED.add(1, {"type": ended.type, "status": ended.status})
            metrics.JOB_SECONDS.record(ended.seconds, {"type": ended.type})


def _job_id(text: str) -> str:
    try:
        return str(uuid.UUID(text))
    except ValueError as error:
        raise PermanentError(f"{text!r} is no job id: not a UUID", code="bad_job_id") from error


class ScheduledJobs:
    """Handler of ``schedule-due``: one job per schedule and due time, whoever published it and however often."""

    def __init__(self, creation: JobCreation) -> None:
        self._creation = creation

    async def due(self, message: ScheduleDue, unit: UnitOfWork) -> None:
        """Raises PermanentError: no such schedule, or its job type is served by nobody."""
        schedule = await schedules.read(unit.connection, message.schedule_name)
        if schedule is None:
            raise PermanentError(f"no schedule is named {message.schedule_name!r}", code="unknown_schedule")
        if not schedule.enabled:
            _logger.info("schedule is off", extra={"action": "schedule.off", "schedule": schedule.name})
            return
        job = _scheduled_job(schedule, message)
        if await jobs.exists(unit.connection, job.id):
            return
        [admission] = await self._creation.create(unit.connection, [job])
        if admission.limited:
            raise TransientError(f"schedule {schedule.name!r} creates jobs too fast", retry_after=admission.debt)
        metrics.JOBS_CREATED.add(1, {"type": job.type})


def _scheduled_job(schedule: Schedule, message: ScheduleDue) -> NewJob:
    worker = worker_of(schedule.type)
    if worker is None:
        raise PermanentError(f"schedule {schedule.name!r}: no worker serves {schedule.type!r}", code="not_served")
    platform = {"schedule": schedule.name, "dueAt": message.due_at.isoformat()}
    return NewJob(
        id=job_id_of(schedule.name, message.due_at),
        caller=Caller(None, f"{SCHEDULE_CALLER}{schedule.name}"),
        type=JobType(schedule.type),
        worker=worker,
        query=schedule.query,
        priority=Priority(schedule.priority),
        metadata=json_text({**json.loads(schedule.metadata), **platform}),
        options=schedule.options,
        traceparent=telemetry.current_traceparent(),
    )


def job_ids(messages: Sequence[object]) -> list[str]:
    """Ids of the jobs that ``messages`` report on."""
    return [message.job_id for message in messages if isinstance(message, JobProgressed | JobSucceeded | JobFailed)]
