"""Reading jobs, and the changes a client makes to its own."""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import asyncpg

from services.intake.domain.jobs import Caller, Job, Status
from services.kernel.database.unit_of_work import UnitOfWork

_FIELDS = (
    "id, user_id, type, priority, status, progress, current_step, error, created_at, started_at, completed_at, result"
)
_READ = f"SELECT {_FIELDS} FROM ai_jobs WHERE id = ANY($1::uuid[])"
_EXISTS = "SELECT 1 FROM ai_jobs WHERE id = $1"
# A page leaves out the results: each may be megabytes long.
_LIST = f"""
SELECT {_FIELDS.replace("result", "NULL AS result")} FROM ai_jobs
WHERE ($1::text IS NULL OR status = $1) AND ($2::text IS NULL OR type = $2) AND ($3::text IS NULL OR user_id = $3)
    AND ($4::timestamptz IS NULL OR (created_at, id) < ($4, $5::uuid))
ORDER BY created_at DESC, id DESC LIMIT $6
"""
_AS_CLIENT = "SELECT set_config('role', 'intake_client', true), set_config('querycraft.user_id', $1, true)"
_AS_SERVICE = "RESET ROLE"
_CANCEL = """
UPDATE ai_jobs SET status = 'cancelled', completed_at = now(), log_seq = log_seq + 1
FROM (SELECT id AS old_id, status AS old_status FROM ai_jobs WHERE id = $1 FOR UPDATE) AS old
WHERE id = old_id AND status IN ('queued', 'processing')
RETURNING old_status, type, user_id, fence, log_seq, progress, current_step,
    extract(epoch FROM now() - created_at)::float8 AS seconds
"""
_LOG = """
INSERT INTO ai_job_logs (job_id, seq, status, progress, step) VALUES ($1, $2, 'cancelled', $3, $4)
"""
_OWN = """
SELECT status, type, worker, query, priority, options, metadata FROM ai_jobs WHERE id = $1 FOR UPDATE
"""


@dataclass(frozen=True, slots=True)
class Filter:
    """None does not filter. ``before``: (created_at, id) of the last job of the previous page."""

    status: str | None = None
    type: str | None = None
    user: str | None = None
    before: tuple[datetime, uuid.UUID] | None = None


@dataclass(frozen=True, slots=True)
class Cancelled:
    """``seconds``: from creation."""

    type: str
    user_id: str | None
    fence: int
    was_running: bool
    seconds: float


@dataclass(frozen=True, slots=True)
class OwnJob:
    """A job its owner may try again; ``options`` and ``metadata`` are JSON text."""

    status: str
    type: str
    worker: str
    query: str
    priority: str
    options: str
    metadata: str


async def read_many(pool: asyncpg.Pool, ids: Sequence[uuid.UUID]) -> list[Job | None]:
    """The jobs in the order of ``ids``; None where there is none."""
    found = {row["id"]: _job(row) for row in await pool.fetch(_READ, ids)}
    return [found.get(job_id) for job_id in ids]


async def exists(connection: asyncpg.Connection, job_id: uuid.UUID) -> bool:
    return await connection.fetchval(_EXISTS, job_id) is not None


async def page(pool: asyncpg.Pool, chosen: Filter, limit: int) -> list[Job]:
    """Newest first; ``result`` is left out."""
    created_at, job_id = chosen.before or (None, None)
    rows = await pool.fetch(_LIST, chosen.status, chosen.type, chosen.user, created_at, job_id, limit)
    return [_job(row) for row in rows]


async def cancel(unit: UnitOfWork, job_id: uuid.UUID, caller: Caller) -> Cancelled | None:
    """End the caller's open job; None when it has ended, is somebody else's, or does not exist.

    The change runs as the client's role, so row-level security decides who may make it.
    """
    await unit.connection.execute(_AS_CLIENT, caller.user_id or "")
    row = await unit.connection.fetchrow(_CANCEL, job_id)
    await unit.connection.execute(_AS_SERVICE)
    if row is None:
        return None
    await unit.connection.execute(_LOG, job_id, row["log_seq"], row["progress"], row["current_step"])
    return Cancelled(row["type"], row["user_id"], row["fence"], row["old_status"] == Status.PROCESSING, row["seconds"])


async def lock_own(unit: UnitOfWork, job_id: uuid.UUID, caller: Caller) -> OwnJob | None:
    """The caller's own job, locked until the transaction ends; None when row-level security shows none."""
    await unit.connection.execute(_AS_CLIENT, caller.user_id or "")
    row = await unit.connection.fetchrow(_OWN, job_id)
    await unit.connection.execute(_AS_SERVICE)
    return None if row is None else OwnJob(**row)


def _job(row: asyncpg.Record) -> Job:
    return Job(
        row["id"],
        row["user_id"],
        row["type"],
        row["priority"],
        Status(row["status"]),
        row["progress"],
        row["current_step"],
        row["result"],
        row["error"],
        row["created_at"],
        row["started_at"],
        row["completed_at"],
    )
