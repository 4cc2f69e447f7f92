"""What was sent to a receiver and what became of it, and sending it again."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

import asyncpg

_COLUMNS = """id, channel, notification_id, status, attempts, next_attempt_at, response_status, last_error,
    created_at, finished_at"""
_LOG = f"""
SELECT {_COLUMNS} FROM deliveries
WHERE {{of_receiver}} AND ($2 = '' OR status = $2) AND ($3::bigint IS NULL OR id < $3) ORDER BY id DESC LIMIT $4
"""
_REPLAY = """
UPDATE deliveries SET status = 'pending', attempts = 0, next_attempt_at = now(), finished_at = NULL
WHERE {of_receiver} AND status <> 'pending'
  AND CASE WHEN $2::bigint[] = '{{}}' THEN status IN ('failed', 'cancelled') ELSE id = ANY($2::bigint[]) END
RETURNING id
"""
OF_WEBHOOK = "webhook_id = $1"
OF_SUBSCRIPTION = "channel = 'email' AND email_group_id IN (SELECT id FROM email_groups WHERE subscription_id = $1)"


@dataclass(frozen=True)
class LogEntry:
    id: int
    channel: str
    notification_id: UUID
    status: str
    attempts: int
    next_attempt_at: datetime
    response_status: int | None
    last_error: str
    created_at: datetime
    finished_at: datetime | None


class DeliveryLog:
    """``of_receiver``: the condition that makes a delivery the receiver's whose id is ``$1``."""

    def __init__(self, pool: asyncpg.Pool, of_receiver: str) -> None:
        self._pool = pool
        self._log = _LOG.format(of_receiver=of_receiver)
        self._replay = _REPLAY.format(of_receiver=of_receiver)

    async def log(self, receiver_id: UUID, status: str, before: int | None, limit: int) -> list[LogEntry]:
        """Newest first; an empty ``status`` accepts all."""
        rows = await self._pool.fetch(self._log, receiver_id, status, before, limit)
        return [LogEntry(**dict(row)) for row in rows]

    async def replay(self, receiver_id: UUID, ids: Sequence[int]) -> int:
        """Send these again, or without ids all that failed or were cancelled; how many."""
        return len(await self._pool.fetch(self._replay, receiver_id, list(ids)))
