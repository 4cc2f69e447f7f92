"""Deliveries that share a mail or a post: claimed, settled and handed back together."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

import asyncpg

from services.notifier.adapters.grouping import Grouping, quiet_hours
from services.notifier.adapters.notifications import COLUMNS, read
from services.notifier.ports import Stored
from services.notifier.schedule import Delivered, Failed, Outcome, Postponed
from services.notifier.timing import QuietHours

SHOWN = 20
"""Notifications a digest tells in full; the rest it counts."""

_DUE = """status = 'pending' AND channel = '{channel}' AND {key} IS NOT NULL AND next_attempt_at <= now()
    AND (leased_until IS NULL OR leased_until < now())"""
# The group's row is the lock: two dispatchers never share a digest out among themselves.
_CLAIM = f"""
WITH picked AS (
    SELECT id FROM {{groups}}
    WHERE id IN (SELECT {{key}} FROM deliveries WHERE {_DUE})
      AND {{owner}} IN (SELECT id FROM {{receivers}} WHERE disabled_at IS NULL)
    LIMIT $3 FOR NO KEY UPDATE SKIP LOCKED
), claimed AS (
    UPDATE deliveries SET lease_token = $1, leased_until = now() + make_interval(secs => $2), attempts = attempts + 1
    FROM picked WHERE deliveries.{{key}} = picked.id AND {_DUE}
    RETURNING deliveries.id, {{key}} AS group_id, notification_id, attempts
), shared AS (
    SELECT group_id, array_agg(id ORDER BY id) AS ids, max(attempts) AS attempt,
           (array_agg(notification_id ORDER BY id))[1:{SHOWN}] AS shown
    FROM claimed GROUP BY group_id
)
SELECT ids, attempt, shown, critical, {{columns}}
FROM shared JOIN {{groups}} AS known ON known.id = group_id
JOIN {{receivers}} AS receiver ON receiver.id = known.{{owner}}
"""
_SHOWN = f"SELECT {COLUMNS} FROM notifications WHERE id = ANY($1::uuid[])"
_DELIVERED = """
UPDATE deliveries SET status = 'delivered', response_status = $3, last_error = '', finished_at = now(),
    lease_token = NULL, leased_until = NULL
WHERE id = ANY($1::bigint[]) AND lease_token = $2
"""
_POSTPONED = """
UPDATE deliveries SET next_attempt_at = now() + make_interval(secs => $3), response_status = $4, last_error = $5,
    lease_token = NULL, leased_until = NULL
WHERE id = ANY($1::bigint[]) AND lease_token = $2
"""
_FAILED = """
UPDATE deliveries SET status = 'failed', response_status = $3, last_error = $4, finished_at = now(),
    lease_token = NULL, leased_until = NULL
WHERE id = ANY($1::bigint[]) AND lease_token = $2 RETURNING id
"""
_HAND_BACK = """
UPDATE deliveries SET lease_token = NULL, leased_until = NULL, attempts = attempts - 1,
    next_attempt_at = coalesce($3::timestamptz, next_attempt_at)
WHERE id = ANY($1::bigint[]) AND lease_token = $2
"""
# Two refusals for good at once: the second waits here, before it holds rows that the first will cancel.
_LOCK = "SELECT 1 FROM {receivers} WHERE id = $1 FOR NO KEY UPDATE"
_DISABLE = """
UPDATE {receivers} SET disabled_at = now(), disabled_reason = $2 WHERE id = $1 AND disabled_at IS NULL RETURNING id
"""
_CANCEL = """
UPDATE deliveries SET status = 'cancelled', last_error = '{disabled}', finished_at = now(),
    lease_token = NULL, leased_until = NULL
WHERE {of_receiver} AND status = 'pending'
"""


@dataclass(frozen=True)
class GroupClaim:
    """One mail or post to send now. ``ids``: the deliveries it settles; ``shown``: the first of them, oldest first.
    ``receiver``: the row of its webhook or subscription."""

    ids: tuple[int, ...]
    token: UUID
    attempt: int
    critical: bool
    receiver: asyncpg.Record
    shown: tuple[Stored, ...]

    @property
    def receiver_id(self) -> UUID:
        return self.receiver["id"]  # type: ignore[no-any-return]

    @property
    def quiet(self) -> QuietHours | None:
        return quiet_hours(self.receiver)


class GroupsTable:
    def __init__(self, pool: asyncpg.Pool, grouping: Grouping) -> None:
        self._pool = pool
        names = vars(grouping)
        self._claim, self._lock = _CLAIM.format(**names), _LOCK.format(**names)
        self._disable, self._cancel = _DISABLE.format(**names), _CANCEL.format(**names)

    async def claim(self, token: UUID, lease: float, limit: int) -> list[GroupClaim]:
        """Lease what is due for ``lease`` seconds: at most ``limit`` groups, each with all that it has due."""
        async with self._pool.acquire() as connection:
            rows = await connection.fetch(self._claim, token, lease, limit)
            if not rows:
                return []
            wanted_ids = [notification for row in rows for notification in row["shown"]]
            stored = {row["id"]: read(row) for row in await connection.fetch(_SHOWN, wanted_ids)}
        return [
            GroupClaim(
                ids=tuple(row["ids"]),
                token=token,
                attempt=row["attempt"],
                critical=row["critical"],
                receiver=row,
                shown=tuple(stored[one] for one in row["shown"] if one in stored),
            )
            for row in rows
        ]

    async def settle(self, connection: asyncpg.Connection, claim: GroupClaim, outcome: Outcome) -> bool:
        """Write what became of it, unless the lease has passed on; whether the receiver was disabled now."""
        ids = list(claim.ids)
        match outcome:
            case Delivered(status):
                await connection.execute(_DELIVERED, ids, claim.token, status)
            case Postponed(wait, status, reason):
                await connection.execute(_POSTPONED, ids, claim.token, wait, status, reason)
            case Failed(status, reason, disable):
                if disable:
                    await connection.execute(self._lock, claim.receiver_id)
                settled = await connection.fetch(_FAILED, ids, claim.token, status, reason)
                if settled and disable:
                    disabled = await connection.fetchval(self._disable, claim.receiver_id, reason) is not None
                    await connection.execute(self._cancel, claim.receiver_id)
                    return disabled
        return False

    async def hand_back(self, claim: GroupClaim, due: datetime | None = None) -> None:
        """As if it had never been claimed; due at ``due`` if given."""
        await self._pool.execute(_HAND_BACK, list(claim.ids), claim.token, due)
