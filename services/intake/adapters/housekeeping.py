"""Rows that no longer mean anything: an expired key, a limit fully recovered, a turn already passed."""

import asyncpg

_BATCH = 10_000
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


async def sweep(pool: asyncpg.Pool) -> None:
    """One bounded round; what is left goes with the next."""
    for statement in (_EXPIRED, _RECOVERED, _PASSED):
        await pool.execute(statement, _BATCH)
