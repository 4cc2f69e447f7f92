"""Builds intake: the only place of this service that opens clients."""

from collections.abc import Callable, Sequence
from functools import partial

from contracts import manifest
from contracts.jobs import JobFailed, JobProgressed, JobSucceeded, ScheduleDue
from contracts.message import Message
from services.intake import handlers
from services.intake.adapters import housekeeping
from services.intake.adapters.creation import JobCreation, RateLimit
from services.intake.api.app import build_app
from services.intake.clock import Clock
from services.intake.dispatcher import Dispatcher
from services.intake.domain.jobs import worker_of
from services.intake.door import Door
from services.intake.estimates import Estimates
from services.intake.reaper import Patience, Reaper
from services.intake.settings import IntakeSettings
from services.intake.watch import Watch
from services.kernel.assembly import lay_foundation
from services.kernel.loops import every
from services.kernel.messaging.consumer import Handler
from services.kernel.runtime import Background, Service

NAME = "intake"
SWEEP_SECONDS = 60.0

AfterCommit = Callable[[Sequence[Message]], None]


async def build(settings: IntakeSettings) -> Service:
    """Raises OSError, asyncpg.PostgresError: the database cannot be reached or refuses the role."""
    foundation = await lay_foundation(NAME, settings)
    database = foundation.database
    creation = JobCreation(RateLimit(settings.rate_limit_per_second, settings.rate_limit_burst))
    dispatcher = Dispatcher(
        database, manifest.WORKERS, capacity=settings.window_capacity, seconds_ahead=settings.window_seconds
    )
    watch = Watch(database.pool)
    estimates = Estimates(database.pool, settings.window_capacity)
    door = Door(database, creation, dispatcher, watch, estimates)
    patience = Patience(settings.silence_timeout, settings.start_timeout, settings.max_releases)
    reaper = Reaper(database, patience, dispatcher.ended, project_id=settings.google_cloud_project)

    def moved(messages: Sequence[Message]) -> None:
        watch.wake(handlers.job_ids(messages))
        for job_type in {message.job_type for message in messages if isinstance(message, JobSucceeded | JobFailed)}:
            if (worker := worker_of(job_type)) is not None:
                dispatcher.ended(worker)

    def scheduled(_: Sequence[Message]) -> None:
        for worker in manifest.WORKERS:
            dispatcher.created(worker)

    reported: dict[type[Message], Handler] = {
        JobProgressed: handlers.job_progressed,
        JobSucceeded: handlers.job_succeeded,
        JobFailed: handlers.job_failed,
    }
    consumers = [
        *foundation.consumers(reported, moved),
        *foundation.consumers({ScheduleDue: handlers.ScheduledJobs(creation).due}, scheduled),
    ]
    sweep = partial(housekeeping.sweep, database.pool, settings.job_retention_days)
    background: list[Background] = [
        dispatcher.run,
        watch.run,
        reaper.run,
        estimates.run,
        partial(every, SWEEP_SECONDS, "housekeeping", sweep),
    ]
    if settings.run_clock:
        background.append(Clock(database).run)
    return foundation.service(build_app(door, settings, database.ping), consumers, background=background)
