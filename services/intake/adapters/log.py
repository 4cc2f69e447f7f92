"""The event log of jobs, as watchers read it."""

import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

import asyncpg

from services.intake.domain.jobs import TERMINAL

MAX_EVENTS = 2_000
_SINCE = """
SELECT log.job_id, log.seq, log.status, log.progress, log.step, log.error, log.details,
    log.reported_at, log.created_at
FROM unnest($1::uuid[], $2::integer[]) AS watched(job_id, after)
JOIN ai_job_logs AS log ON log.job_id = watched.job_id AND log.seq > watched.after
ORDER BY log.job_id, log.seq LIMIT $3
"""
_LAST = "SELECT coalesce(max(seq), 0) FROM ai_job_logs WHERE job_id = $1"


@dataclass(frozen=True, slots=True)
class Event:
    """``seq`` counts a job's events from 1. ``details``: JSON text of an object, or None.
    ``reported_at``: by the worker's clock; None when no worker said it. ``at``: when it was written."""

    job_id: uuid.UUID
    seq: int
    status: str
    progress: int
    step: str | None
    error: str | None
    details: str | None
    reported_at: datetime | None
    at: datetime

    @property
    def is_last(self) -> bool:
        return self.status in TERMINAL


async def since(pool: asyncpg.Pool, after: Mapping[uuid.UUID, int], limit: int = MAX_EVENTS) -> list[Event]:
    """Events of each job past its number in ``after``, in order; what exceeds ``limit`` comes with the next call."""
    rows = await pool.fetch(_SINCE, list(after), list(after.values()), limit)
    return [Event(*row) for row in rows]


async def last_seq(pool: asyncpg.Pool, job_id: uuid.UUID) -> int:
    """The number of the job's latest event; 0 when there is no such job."""
    return await pool.fetchval(_LAST, job_id)  # type: ignore[no-any-return]
