"""Dead letters: messages given up on, kept with the reason until someone replays or discards them.

They live in the consuming service's own schema, so that listing, inspecting and replaying work
the same on every broker, and a replay reaches only the subscription that failed.
"""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import asyncpg

from services.kernel.messaging.broker import Delivery
from services.kernel.messaging.envelope import Envelope

_BURY = """
INSERT INTO dead_letters
    (subscription, topic, message_id, source, attributes, data, error_code, reason, handler, attempt)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
ON CONFLICT (subscription, source, message_id) DO UPDATE
SET reason = EXCLUDED.reason, error_code = EXCLUDED.error_code, attempt = dead_letters.attempt + EXCLUDED.attempt,
    died_at = now(), replay_requested_at = NULL, resolved_at = NULL
RETURNING id
"""
_COLUMNS = """id, subscription, topic, message_id, source, attributes, data, error_code, reason, handler, attempt,
    died_at, replays, replay_requested_at, resolved_at"""
_LIST = f"""
SELECT {_COLUMNS} FROM dead_letters
WHERE resolved_at IS NULL AND ($1 = '' OR subscription = $1) AND ($2 = '' OR error_code = $2) AND id > $3
ORDER BY id LIMIT $4
"""
_REQUEST = """
UPDATE dead_letters SET replay_requested_at = now()
WHERE id = ANY($1::bigint[]) AND resolved_at IS NULL AND replay_requested_at IS NULL RETURNING id
"""
_TAKE = f"""
UPDATE dead_letters SET replays = replays + 1, replay_requested_at = now() + make_interval(secs => 60)
WHERE id IN (
    SELECT id FROM dead_letters
    WHERE resolved_at IS NULL AND replay_requested_at <= now() AND subscription = ANY($1::text[])
    ORDER BY id LIMIT $2 FOR UPDATE SKIP LOCKED
)
RETURNING {_COLUMNS}
"""
_RESOLVE = "UPDATE dead_letters SET resolved_at = now() WHERE id = ANY($1::bigint[])"
_OPEN = "SELECT count(*) FROM dead_letters WHERE subscription = $1 AND resolved_at IS NULL"


@dataclass(frozen=True)
class DeadLetter:
    id: int
    subscription: str
    envelope: Envelope
    error_code: str
    reason: str
    handler: str
    attempt: int
    died_at: datetime
    replays: int


async def bury(
    connection: asyncpg.Connection, subscription: str, delivery: Delivery, *, code: str, reason: str, handler: str
) -> int:
    """Keep the message with why, where and after how many attempts; the dead letter's id."""
    envelope = delivery.envelope
    return await connection.fetchval(  # type: ignore[no-any-return]
        _BURY,
        subscription,
        envelope.topic,
        envelope.id or _fingerprint(envelope),
        envelope.source,
        json.dumps(dict(envelope.attributes), ensure_ascii=False),
        envelope.data,
        code,
        reason[:4000],
        handler,
        delivery.attempt,
    )


def _fingerprint(envelope: Envelope) -> str:
    """In an id's place, so that a message without one is the same dead letter when it is delivered again."""
    attributes = json.dumps(dict(envelope.attributes), sort_keys=True).encode()
    return f"sha256:{hashlib.sha256(attributes + envelope.data).hexdigest()}"


async def listing(
    pool: asyncpg.Pool, *, subscription: str = "", code: str = "", after: int = 0, limit: int = 100
) -> list[DeadLetter]:
    """Open dead letters, oldest first; an empty filter accepts all."""
    return [_read(row) for row in await pool.fetch(_LIST, subscription, code, after, limit)]


async def request_replay(pool: asyncpg.Pool, ids: Sequence[int]) -> list[int]:
    """Ask the consuming service to run these again; ids that were open and not already asked for."""
    return [row["id"] for row in await pool.fetch(_REQUEST, list(ids))]


async def take_replays(pool: asyncpg.Pool, subscriptions: Sequence[str], limit: int) -> list[DeadLetter]:
    """Claim requested replays for a minute; a claim whose replayer dies comes due again."""
    return [_read(row) for row in await pool.fetch(_TAKE, list(subscriptions), limit)]


async def resolve(pool: asyncpg.Pool, ids: Sequence[int]) -> None:
    """Close them: replayed with success, or discarded by a person."""
    await pool.execute(_RESOLVE, list(ids))


async def count_open(connection: asyncpg.Connection | asyncpg.Pool, subscription: str) -> int:
    return await connection.fetchval(_OPEN, subscription)  # type: ignore[no-any-return]


def _read(row: asyncpg.Record) -> DeadLetter:
    return DeadLetter(
        id=row["id"],
        subscription=row["subscription"],
        envelope=Envelope(row["topic"], json.loads(row["attributes"]), row["data"]),
        error_code=row["error_code"],
        reason=row["reason"],
        handler=row["handler"],
        attempt=row["attempt"],
        died_at=row["died_at"],
        replays=row["replays"],
    )
