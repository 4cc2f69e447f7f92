"""Letting jobs out to the broker, and taking them back from workers that went silent."""

import json
from dataclasses import dataclass
from datetime import datetime

import asyncpg

from contracts.jobs import JobRequested
from contracts.message import json_text

_REGISTER = "INSERT INTO dispatch_windows (worker) VALUES ($1) ON CONFLICT DO NOTHING"
# The row lock lets one replica at a time dispatch for a worker; what is out is counted after it is held.
_WINDOW = """
SELECT out, rate, extract(epoch FROM clock_timestamp() - updated_at)::float8 AS elapsed
FROM dispatch_windows WHERE worker = $1 FOR UPDATE
"""
_OUT = """
SELECT count(*) FROM ai_jobs
WHERE worker = $1 AND released_at IS NOT NULL AND status IN ('queued', 'processing')
"""
_RELEASED = """job.id, job.type, job.user_id, job.query, job.priority, job.fence, job.options, job.metadata,
    job.traceparent, job.released_at"""
_RELEASE = f"""
WITH next AS (
    SELECT id FROM ai_jobs
    WHERE worker = $1 AND status = 'queued' AND released_at IS NULL
    ORDER BY rank, vtime, created_at LIMIT $2 FOR UPDATE SKIP LOCKED
), released AS (
    UPDATE ai_jobs AS job SET released_at = now(), heartbeat_at = now(), fence = job.fence + 1
    FROM next WHERE job.id = next.id
    RETURNING {_RELEASED}, job.rank, job.vtime, job.created_at
), moved AS (
    INSERT INTO turn_queues AS queue (worker, rank, vtime)
    SELECT $1, rank, max(vtime) - 1 FROM released GROUP BY rank
    ON CONFLICT (worker, rank) DO UPDATE SET vtime = greatest(queue.vtime, EXCLUDED.vtime)
), noted AS (
    UPDATE dispatch_windows SET out = $3 + (SELECT count(*) FROM released), rate = $4, updated_at = clock_timestamp()
    WHERE worker = $1
)
SELECT * FROM released AS job ORDER BY rank, vtime, created_at
"""
_SILENT = f"""
WITH silent AS (
    SELECT id FROM ai_jobs
    WHERE released_at IS NOT NULL AND status IN ('queued', 'processing')
        AND heartbeat_at < now() - make_interval(
            secs => CASE status WHEN 'processing' THEN $1::float8 ELSE $2::float8 END)
    ORDER BY heartbeat_at LIMIT $4 FOR UPDATE SKIP LOCKED
), again AS (
    UPDATE ai_jobs AS job SET released_at = now(), heartbeat_at = now(), fence = job.fence + 1, sequence = 0
    FROM silent WHERE job.id = silent.id AND job.fence < $3
    RETURNING {_RELEASED}, job.status, false AS lost
), lost AS (
    UPDATE ai_jobs AS job SET status = 'failed', completed_at = now(), heartbeat_at = NULL,
        log_seq = job.log_seq + 1, error = $5
    FROM silent WHERE job.id = silent.id AND job.fence >= $3
    RETURNING {_RELEASED}, job.started_at, job.log_seq, job.progress, job.current_step, job.error
), logged AS (
    INSERT INTO ai_job_logs (job_id, seq, status, progress, step, error)
    SELECT id, log_seq, 'failed', progress, current_step, error FROM lost
)
SELECT * FROM again AS job
UNION ALL
SELECT {_RELEASED}, CASE WHEN started_at IS NULL THEN 'queued' ELSE 'processing' END, true FROM lost AS job
"""


@dataclass(frozen=True, slots=True)
class Release:
    """A job let out, and the trace it belongs to."""

    request: JobRequested
    traceparent: str


@dataclass(frozen=True, slots=True)
class Taken:
    """A job taken from a silent worker: ``lost`` for good, or released again. ``started``: it had begun."""

    release: Release
    started: bool
    lost: bool


@dataclass(frozen=True, slots=True)
class WindowState:
    """``out``: jobs out after the last dispatch; ``now_out``: at present; ``elapsed``: seconds between the two."""

    out: int
    rate: float
    elapsed: float
    now_out: int


async def lock_window(connection: asyncpg.Connection, worker: str) -> WindowState:
    """Become the one dispatcher of ``worker`` until the transaction ends."""
    row = await connection.fetchrow(_WINDOW, worker)
    if row is None:  # a worker service new to the manifest
        await connection.execute(_REGISTER, worker)
        row = await connection.fetchrow(_WINDOW, worker)
    return WindowState(row["out"], row["rate"], row["elapsed"], await connection.fetchval(_OUT, worker))


async def release(connection: asyncpg.Connection, worker: str, free: int, out: int, rate: float) -> list[Release]:
    """Let out the next ``free`` jobs of ``worker``, in their turn."""
    return [_release(row) for row in await connection.fetch(_RELEASE, worker, free, out, rate)]


async def take_silent(
    connection: asyncpg.Connection, *, silence: float, start: float, max_releases: int, limit: int, error: str
) -> list[Taken]:
    """Jobs whose worker has not reported for ``silence`` seconds, or not begun for ``start`` seconds."""
    rows = await connection.fetch(_SILENT, silence, start, max_releases, limit, error)
    return [Taken(_release(row), row["status"] == "processing", row["lost"]) for row in rows]


def _release(row: asyncpg.Record) -> Release:
    released_at: datetime = row["released_at"]
    return Release(
        JobRequested(
            job_id=str(row["id"]),
            job_type=row["type"],
            user_id=row["user_id"] or "",
            query=row["query"],
            priority=row["priority"],
            fence=row["fence"],
            options=_options(row["options"], row["metadata"]),
            requested_at=released_at,
        ),
        row["traceparent"],
    )


def _options(options: str, metadata: str) -> str:
    """What the client asked for besides the priority, with the metadata under its own name."""
    if metadata == "{}":
        return options
    return json_text({**json.loads(options), "metadata": json.loads(metadata)})
