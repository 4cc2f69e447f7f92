"""Rows that no longer mean anything: an expired key, a limit fully recovered, a turn already passed, an old job."""

import asyncpg

_BATCH = 10_000
_JOBS = 1_000
"""A job goes with its whole log, so fewer at once."""
_EXPIRED = """
DELETE FROM idempotency_keys WHERE (scope, key) IN (
    SELECT scope, key FROM idempotency_keys WHERE expires_at < now() LIMIT $1 FOR UPDATE SKIP LOCKED
)
"""
_RECOVERED = """
DELETE FROM rate_limits WHERE caller IN (
    SELECT caller FROM rate_limits WHERE tat < now() LIMIT $1 FOR UPDATE SKIP LOCKED
)
"""
# A user whose last turn is not ahead of the queue stands where a newcomer stands.
_PASSED = """
DELETE FROM turn_users WHERE (worker, rank, caller) IN (
    SELECT last.worker, last.rank, last.caller FROM turn_users AS last JOIN turn_queues AS queue USING (worker, rank)
    WHERE last.vtime <= queue.vtime LIMIT $1 FOR UPDATE OF last SKIP LOCKED
)
"""
_OLD = """
WITH old AS (
    SELECT id FROM ai_jobs
    WHERE created_at < now() - make_interval(days => $2) AND completed_at < now() - make_interval(days => $2)
    ORDER BY created_at LIMIT $1 FOR UPDATE SKIP LOCKED
), gone AS (
    DELETE FROM ai_jobs USING old WHERE ai_jobs.id = old.id RETURNING ai_jobs.id
)
DELETE FROM ai_job_logs USING gone WHERE job_id = gone.id
"""


async def sweep(pool: asyncpg.Pool, job_retention_days: int) -> None:
    """One bounded round; what is left goes with the next. With 0 days jobs are kept for ever."""
    for statement in (_EXPIRED, _RECOVERED, _PASSED):
        await pool.execute(statement, _BATCH)
    if job_retention_days:
        await pool.execute(_OLD, _JOBS, job_retention_days)
