"""The inbox: which messages have had their effect, written in the effect's own transaction."""

from collections.abc import Sequence

import asyncpg

from services.kernel.messaging.envelope import Envelope

_CLAIM = """
INSERT INTO inbox (subscription, source, message_id)
SELECT $1, source, message_id FROM unnest($2::text[], $3::text[]) AS arrived(source, message_id)
ORDER BY source, message_id
ON CONFLICT DO NOTHING
RETURNING source, message_id
"""
_PRUNE = "DELETE FROM inbox WHERE processed_at < now() - make_interval(days => $1)"


async def claim(connection: asyncpg.Connection, subscription: str, envelopes: Sequence[Envelope]) -> set[int]:
    """Record the arrivals on the caller's transaction; the positions of those never seen before.

    The same message twice in one batch is new once. Rows go in by key order, so that two
    consumers holding the same duplicates wait for each other instead of deadlocking.
    """
    keys = [(envelope.source, envelope.id) for envelope in envelopes]
    rows = await connection.fetch(_CLAIM, subscription, [key[0] for key in keys], [key[1] for key in keys])
    fresh = {(row["source"], row["message_id"]) for row in rows}
    positions: set[int] = set()
    for position, key in enumerate(keys):
        if key in fresh:
            fresh.discard(key)
            positions.add(position)
    return positions


async def prune(pool: asyncpg.Pool, older_than_days: int) -> None:
    """Forget arrivals that no broker can deliver again."""
    await pool.execute(_PRUNE, older_than_days)
