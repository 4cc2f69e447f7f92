"""Deliveries to webhooks that are posted one by one."""

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

import asyncpg

from services.notifier.adapters.notifications import COLUMNS, read
from services.notifier.ports import Stored
from services.notifier.schedule import Delivered, Failed, Outcome, Postponed

_CLAIM = """
WITH picked AS (
    SELECT due.id FROM webhooks CROSS JOIN LATERAL (
        SELECT id, next_attempt_at FROM deliveries
        WHERE webhook_id = webhooks.id AND webhook_group_id IS NULL AND status = 'pending' AND next_attempt_at <= now()
          AND (leased_until IS NULL OR leased_until < now())
        ORDER BY next_attempt_at LIMIT $4 FOR UPDATE SKIP LOCKED
    ) AS due
    WHERE webhooks.disabled_at IS NULL AND NOT webhooks.id = ANY($5::uuid[])
    ORDER BY due.next_attempt_at LIMIT $3
), claimed AS (
    UPDATE deliveries SET lease_token = $1, leased_until = now() + make_interval(secs => $2), attempts = attempts + 1
    FROM picked WHERE deliveries.id = picked.id
    RETURNING deliveries.id AS delivery_id, notification_id, webhook_id, attempts
)
SELECT delivery_id, webhook_id, attempts, url, everything, webhooks.user_id AS webhook_user, secret,
       CASE WHEN previous_until > now() THEN previous_secret END AS previous_secret, {}
FROM claimed JOIN webhooks ON webhooks.id = webhook_id JOIN notifications ON notifications.id = notification_id
""".format(", ".join(f"notifications.{column.strip()}" for column in COLUMNS.split(",")))
_DELIVERED = """
UPDATE deliveries SET status = 'delivered', response_status = done.answer, last_error = '', finished_at = now(),
    lease_token = NULL, leased_until = NULL
FROM unnest($1::bigint[], $2::uuid[], $3::integer[]) AS done(id, token, answer)
WHERE deliveries.id = done.id AND deliveries.lease_token = done.token
"""
_POSTPONED = """
UPDATE deliveries SET next_attempt_at = now() + make_interval(secs => $3), response_status = $4, last_error = $5,
    lease_token = NULL, leased_until = NULL
WHERE id = $1 AND lease_token = $2
"""
_FAILED = """
UPDATE deliveries SET status = 'failed', response_status = $3, last_error = $4, finished_at = now(),
    lease_token = NULL, leased_until = NULL
WHERE id = $1 AND lease_token = $2 RETURNING id
"""
# Two receivers' answers of 410 at once: the second waits here, before it holds rows that the first will cancel.
_LOCK_WEBHOOK = "SELECT 1 FROM webhooks WHERE id = $1 FOR NO KEY UPDATE"
_DISABLE = """
UPDATE webhooks SET disabled_at = now(), disabled_reason = $2 WHERE id = $1 AND disabled_at IS NULL RETURNING id
"""
_CANCEL = """
UPDATE deliveries SET status = 'cancelled', last_error = 'the webhook was disabled', finished_at = now(),
    lease_token = NULL, leased_until = NULL
WHERE webhook_id = $1 AND status = 'pending'
"""
_HAND_BACK = """
UPDATE deliveries SET lease_token = NULL, leased_until = NULL, attempts = attempts - 1
WHERE id = ANY($1::bigint[]) AND lease_token = $2
"""


@dataclass(frozen=True)
class Claimed:
    """One delivery to attempt now. ``keys``: the secrets to sign with, the newest first."""

    id: int
    token: UUID
    webhook_id: UUID
    webhook_user: str
    attempt: int
    url: str
    everything: bool
    keys: tuple[str, ...]
    stored: Stored


class DeliveriesTable:
    def __init__(self, pool: asyncpg.Pool) -> None:
        self._pool = pool

    async def claim(
        self, token: UUID, lease: float, limit: int, per_webhook: int, busy: Sequence[UUID]
    ) -> list[Claimed]:
        """Lease what is due for ``lease`` seconds: at most ``per_webhook`` each, nothing for the ``busy`` ones."""
        rows = await self._pool.fetch(_CLAIM, token, lease, limit, per_webhook, list(busy))
        return [_claimed(row, token) for row in rows]

    async def settle(self, connection: asyncpg.Connection, claimed: Claimed, outcome: Outcome) -> bool:
        """Write what became of it, unless the lease has passed to another; whether the webhook was disabled now."""
        match outcome:
            case Delivered():
                await self.delivered([(claimed, outcome)], connection)
            case Postponed(wait, status, reason):
                await connection.execute(_POSTPONED, claimed.id, claimed.token, wait, status, reason)
            case Failed(status, reason, disable):
                if disable:
                    await connection.execute(_LOCK_WEBHOOK, claimed.webhook_id)
                settled = await connection.fetchval(_FAILED, claimed.id, claimed.token, status, reason)
                if settled is not None and disable:
                    disabled = await connection.fetchval(_DISABLE, claimed.webhook_id, reason) is not None
                    await connection.execute(_CANCEL, claimed.webhook_id)
                    return disabled
        return False

    async def delivered(
        self, done: Sequence[tuple[Claimed, Delivered]], connection: asyncpg.Connection | None = None
    ) -> None:
        """``settle`` for many that arrived, in one statement."""
        await (connection or self._pool).execute(
            _DELIVERED,
            [claimed.id for claimed, _ in done],
            [claimed.token for claimed, _ in done],
            [outcome.status for _, outcome in done],
        )

    async def hand_back(self, claimed: Sequence[Claimed]) -> None:
        """As if they had never been claimed."""
        for token in {one.token for one in claimed}:
            await self._pool.execute(_HAND_BACK, [one.id for one in claimed if one.token == token], token)


def _claimed(row: asyncpg.Record, token: UUID) -> Claimed:
    return Claimed(
        id=row["delivery_id"],
        token=token,
        webhook_id=row["webhook_id"],
        webhook_user=row["webhook_user"],
        attempt=row["attempts"],
        url=row["url"],
        everything=row["everything"],
        keys=tuple(key for key in (row["secret"], row["previous_secret"]) if key),
        stored=read(row),
    )
