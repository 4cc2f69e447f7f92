"""What workers report, applied to ``ai_jobs``: an older fence, an older sequence number and
anything after a terminal state change nothing."""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import asyncpg

# Rows are locked in one order, so that two batches with the same jobs wait instead of deadlocking.
_LOCK = "SELECT 1 FROM ai_jobs WHERE id = ANY($1::uuid[]) ORDER BY id FOR NO KEY UPDATE"
# A heartbeat that brings no news leaves log_seq, and the row it would log is already there.
_PROGRESS = """
WITH moved AS (
    UPDATE ai_jobs AS job SET
        status = 'processing', started_at = coalesce(job.started_at, now()), heartbeat_at = now(),
        progress = greatest(job.progress, report.progress), current_step = report.step, sequence = report.sequence,
        log_seq = job.log_seq + (
            job.status = 'queued' OR job.progress < report.progress OR job.current_step IS DISTINCT FROM report.step
        )::integer
    FROM unnest($1::uuid[], $2::integer[], $3::integer[], $4::integer[], $5::text[], $6::timestamptz[])
        AS report(id, fence, sequence, progress, step, reported_at)
    WHERE job.id = report.id AND job.fence = report.fence AND job.sequence < report.sequence
        AND job.status IN ('queued', 'processing')
    RETURNING job.id, job.log_seq, job.progress, job.current_step, report.reported_at
)
INSERT INTO ai_job_logs (job_id, seq, status, progress, step, reported_at)
SELECT id, log_seq, 'processing', progress, current_step, reported_at FROM moved
ON CONFLICT DO NOTHING
"""
# The routing that explains where a query was answered joins the result's own metadata, if it is an object.
_END = """
WITH ended AS (
    UPDATE ai_jobs AS job SET
        status = report.status, completed_at = now(), started_at = coalesce(job.started_at, now()),
        heartbeat_at = NULL, log_seq = job.log_seq + 1, error = report.error,
        progress = CASE report.status WHEN 'completed' THEN 100 ELSE job.progress END,
        result = CASE
            WHEN job.metadata ? 'routing' AND jsonb_typeof(report.result) = 'object'
                AND coalesce(jsonb_typeof(report.result->'metadata'), 'object') = 'object'
            THEN report.result || jsonb_build_object('metadata', coalesce(report.result->'metadata', '{}')
                || jsonb_build_object('routing', job.metadata->'routing'))
            ELSE report.result END
    FROM unnest($1::uuid[], $2::integer[], $3::text[], $4::jsonb[], $5::text[], $6::text[],
        $7::timestamptz[]) AS report(id, fence, status, result, error, note, reported_at)
    WHERE job.id = report.id AND job.fence = report.fence AND job.status IN ('queued', 'processing')
    RETURNING job.id, job.type, job.worker, job.status, job.progress, job.current_step, job.error, job.log_seq,
        report.note, report.reported_at, extract(epoch FROM now() - job.created_at)::float8 AS seconds
), logged AS (
    INSERT INTO ai_job_logs (job_id, seq, status, progress, step, error, details, reported_at)
    SELECT id, log_seq, status, progress, current_step, error,
        CASE WHEN note <> '' THEN jsonb_build_object('note', note) END, reported_at
    FROM ended
)
SELECT type, worker, status, seconds FROM ended
"""


@dataclass(frozen=True, slots=True)
class Progress:
    job_id: str
    fence: int
    sequence: int
    progress: int
    step: str
    reported_at: datetime


@dataclass(frozen=True, slots=True)
class End:
    """``status``: completed or failed. ``result``: JSON text. ``note``: what intake had to change in it."""

    job_id: str
    fence: int
    status: str
    reported_at: datetime
    result: str | None = None
    error: str | None = None
    note: str = ""


@dataclass(frozen=True, slots=True)
class Ended:
    """``seconds``: from creation to the end."""

    type: str
    worker: str
    status: str
    seconds: float


async def lock(connection: asyncpg.Connection, job_ids: Sequence[str]) -> None:
    await connection.execute(_LOCK, [uuid.UUID(job_id) for job_id in job_ids])


async def progress(connection: asyncpg.Connection, reports: Sequence[Progress]) -> None:
    """Apply reports about different jobs."""
    await connection.execute(
        _PROGRESS,
        [uuid.UUID(report.job_id) for report in reports],
        [report.fence for report in reports],
        [report.sequence for report in reports],
        [report.progress for report in reports],
        [report.step for report in reports],
        [report.reported_at for report in reports],
    )


async def end(connection: asyncpg.Connection, reports: Sequence[End]) -> list[Ended]:
    """Apply ends of different jobs; those that took effect."""
    rows = await connection.fetch(
        _END,
        [uuid.UUID(report.job_id) for report in reports],
        [report.fence for report in reports],
        [report.status for report in reports],
        [report.result for report in reports],
        [report.error for report in reports],
        [report.note for report in reports],
        [report.reported_at for report in reports],
    )
    return [Ended(row["type"], row["worker"], row["status"], row["seconds"]) for row in rows]
