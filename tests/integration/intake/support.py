"""Jobs written straight through the repository, for tests below HTTP."""

from collections.abc import Sequence
from typing import Any

from contracts.jobs import JobType, Priority
from services.intake.adapters.creation import Admission, JobCreation, RateLimit
from services.intake.domain.jobs import Caller, NewJob
from services.kernel.database.unit_of_work import Database

UNLIMITED = JobCreation(RateLimit(per_second=1e6, burst=1_000_000))


def new_job(user: str | None = None, priority: Priority = Priority.NORMAL, **fields: Any) -> NewJob:
    caller = Caller(user, f"user:{user}" if user else "ip:test")
    return NewJob(
        **{"caller": caller, "type": JobType.GRADING, "worker": "grader", "query": "q", "priority": priority, **fields}
    )


async def add_jobs(database: Database, jobs: Sequence[NewJob]) -> list[Admission]:
    return await UNLIMITED.create(database.pool, jobs)
