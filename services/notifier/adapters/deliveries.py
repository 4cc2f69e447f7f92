"""Deliveries to webhooks that are posted one by one."""

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

import asyncpg

from services.notifier.adapters.grouping import WEBHOOK
from services.notifier.adapters.notifications import COLUMNS, read
from services.notifier.adapters.settling import Settling, hand_back
from services.notifier.ports import Stored
from services.notifier.schedule import Delivered, Outcome

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


@dataclass(frozen=True)
class Claimed:
    """One delivery to attempt now. ``keys``: the secrets to sign with, the newest first."""

    id: int
    token: UUID
    receiver_id: UUID
    user_id: str
    attempt: int
    url: str
    everything: bool
    keys: tuple[str, ...]
    stored: Stored

    @property
    def ids(self) -> tuple[int]:
        return (self.id,)

    @property
    def trace_id(self) -> str:
        return self.stored.notification.trace_id


class DeliveriesTable:
    def __init__(self, pool: asyncpg.Pool) -> None:
        self._pool = pool
        self._settling = Settling(WEBHOOK)

    async def claim(
        self, token: UUID, lease: float, limit: int, per_webhook: int, busy: Sequence[UUID]
    ) -> list[Claimed]:
        """Lease what is due for ``lease`` seconds: at most ``per_webhook`` each, nothing for the ``busy`` ones."""
        rows = await self._pool.fetch(_CLAIM, token, lease, limit, per_webhook, list(busy))
        return [_claimed(row, token) for row in rows]

    async def settle(self, connection: asyncpg.Connection, claimed: Claimed, outcome: Outcome) -> bool:
        """Write what became of it, unless the lease has passed to another; whether the webhook was disabled now."""
        return await self._settling.settle(connection, claimed.ids, claimed.token, claimed.receiver_id, outcome)

    async def delivered(self, done: Sequence[tuple[Claimed, Delivered]]) -> None:
        """``settle`` for many that arrived, each under a lease of its own, in one statement."""
        await self._pool.execute(
            _DELIVERED,
            [claimed.id for claimed, _ in done],
            [claimed.token for claimed, _ in done],
            [outcome.status for _, outcome in done],
        )

    async def hand_back(self, claimed: Sequence[Claimed]) -> None:
        """As if they had never been claimed."""
        for token in {one.token for one in claimed}:
            await hand_back(self._pool, [one.id for one in claimed if one.token == token], token)


def _claimed(row: asyncpg.Record, token: UUID) -> Claimed:
    return Claimed(
        id=row["delivery_id"],
        token=token,
        receiver_id=row["webhook_id"],
        user_id=row["webhook_user"],
        attempt=row["attempts"],
        url=row["url"],
        everything=row["everything"],
        keys=tuple(key for key in (row["secret"], row["previous_secret"]) if key),
        stored=read(row),
    )
