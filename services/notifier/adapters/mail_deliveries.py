"""Deliveries by e-mail: a group's due ones are claimed, mailed and settled together."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

import asyncpg

from services.notifier.adapters.deliveries import LOG_COLUMNS, LogEntry
from services.notifier.adapters.mail_subscriptions import quiet_hours
from services.notifier.adapters.notifications import COLUMNS, read
from services.notifier.mail.timing import QuietHours
from services.notifier.ports import Stored
from services.notifier.schedule import Delivered, Failed, Outcome, Postponed

SHOWN = 20
"""Notifications a digest tells in full; the rest it counts."""

_DUE = """status = 'pending' AND channel = 'email' AND next_attempt_at <= now()
    AND (leased_until IS NULL OR leased_until < now())"""
# The group's row is the lock: two dispatchers never share a digest out among themselves.
_CLAIM = f"""
WITH picked AS (
    SELECT id FROM email_groups
    WHERE id IN (SELECT email_group_id FROM deliveries WHERE {_DUE})
    LIMIT $3 FOR NO KEY UPDATE SKIP LOCKED
), claimed AS (
    UPDATE deliveries SET lease_token = $1, leased_until = now() + make_interval(secs => $2), attempts = attempts + 1
    FROM picked WHERE deliveries.email_group_id = picked.id AND {_DUE}
    RETURNING deliveries.id, email_group_id, notification_id, attempts
), mails AS (
    SELECT email_group_id, array_agg(id ORDER BY id) AS ids, max(attempts) AS attempt,
           (array_agg(notification_id ORDER BY id))[1:{SHOWN}] AS shown
    FROM claimed GROUP BY email_group_id
)
SELECT ids, attempt, shown, critical, subscription_id, user_id, everything, address, locale, time_zone, quiet_from,
       quiet_until
FROM mails JOIN email_groups ON email_groups.id = email_group_id
JOIN email_subscriptions ON email_subscriptions.id = subscription_id
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
_LOCK_SUBSCRIPTION = "SELECT 1 FROM email_subscriptions WHERE id = $1 FOR NO KEY UPDATE"
_DISABLE = """
UPDATE email_subscriptions SET disabled_at = now(), disabled_reason = $2 WHERE id = $1 AND disabled_at IS NULL
RETURNING id
"""
_OF_SUBSCRIPTION = "email_group_id IN (SELECT id FROM email_groups WHERE subscription_id = $1)"
_CANCEL = f"""
UPDATE deliveries SET status = 'cancelled', last_error = 'the subscription was disabled', finished_at = now(),
    lease_token = NULL, leased_until = NULL
WHERE channel = 'email' AND {_OF_SUBSCRIPTION} AND status = 'pending'
"""
_HAND_BACK = """
UPDATE deliveries SET lease_token = NULL, leased_until = NULL, attempts = attempts - 1,
    next_attempt_at = coalesce($3::timestamptz, next_attempt_at)
WHERE id = ANY($1::bigint[]) AND lease_token = $2
"""
_LOG = f"""
SELECT {LOG_COLUMNS} FROM deliveries
WHERE channel = 'email' AND {_OF_SUBSCRIPTION} AND ($2 = '' OR status = $2) AND ($3::bigint IS NULL OR id < $3)
ORDER BY id DESC LIMIT $4
"""
_REPLAY = f"""
UPDATE deliveries SET status = 'pending', attempts = 0, next_attempt_at = now(), finished_at = NULL
WHERE channel = 'email' AND {_OF_SUBSCRIPTION} AND status <> 'pending'
  AND CASE WHEN $2::bigint[] = '{{}}' THEN status IN ('failed', 'cancelled') ELSE id = ANY($2::bigint[]) END
RETURNING id
"""


@dataclass(frozen=True)
class ClaimedMail:
    """One mail to send now. ``ids``: the deliveries it settles; ``shown``: the first of them, oldest first."""

    ids: tuple[int, ...]
    token: UUID
    attempt: int
    critical: bool
    subscription_id: UUID
    user_id: str
    everything: bool
    address: str
    locale: str
    time_zone: str
    quiet: QuietHours | None
    shown: tuple[Stored, ...]


class MailDeliveriesTable:
    def __init__(self, pool: asyncpg.Pool) -> None:
        self._pool = pool

    async def claim(self, token: UUID, lease: float, limit: int) -> list[ClaimedMail]:
        """Lease what is due for ``lease`` seconds: at most ``limit`` mails, each with all that its group has due."""
        async with self._pool.acquire() as connection:
            rows = await connection.fetch(_CLAIM, token, lease, limit)
            if not rows:
                return []
            wanted = [notification for row in rows for notification in row["shown"]]
            stored = {row["id"]: read(row) for row in await connection.fetch(_SHOWN, wanted)}
        return [_claimed(row, token, [stored[one] for one in row["shown"] if one in stored]) for row in rows]

    async def settle(self, connection: asyncpg.Connection, mail: ClaimedMail, outcome: Outcome) -> bool:
        """Write what became of it, unless the lease has passed on; whether the subscription was disabled now."""
        ids = list(mail.ids)
        match outcome:
            case Delivered(status):
                await connection.execute(_DELIVERED, ids, mail.token, status)
            case Postponed(wait, status, reason):
                await connection.execute(_POSTPONED, ids, mail.token, wait, status, reason)
            case Failed(status, reason, disable):
                if disable:
                    await connection.execute(_LOCK_SUBSCRIPTION, mail.subscription_id)
                settled = await connection.fetch(_FAILED, ids, mail.token, status, reason)
                if settled and disable:
                    disabled = await connection.fetchval(_DISABLE, mail.subscription_id, reason) is not None
                    await connection.execute(_CANCEL, mail.subscription_id)
                    return disabled
        return False

    async def hand_back(self, mail: ClaimedMail, due: datetime | None = None) -> None:
        """As if it had never been claimed; due at ``due`` if given."""
        await self._pool.execute(_HAND_BACK, list(mail.ids), mail.token, due)

    async def log(self, receiver_id: UUID, status: str, before: int | None, limit: int) -> list[LogEntry]:
        """See ``DeliveriesTable.log``."""
        rows = await self._pool.fetch(_LOG, receiver_id, status, before, limit)
        return [LogEntry(**dict(row)) for row in rows]

    async def replay(self, receiver_id: UUID, ids: Sequence[int]) -> int:
        """See ``DeliveriesTable.replay``."""
        return len(await self._pool.fetch(_REPLAY, receiver_id, list(ids)))


def _claimed(row: asyncpg.Record, token: UUID, shown: Sequence[Stored]) -> ClaimedMail:
    return ClaimedMail(
        ids=tuple(row["ids"]),
        token=token,
        attempt=row["attempt"],
        critical=row["critical"],
        subscription_id=row["subscription_id"],
        user_id=row["user_id"],
        everything=row["everything"],
        address=row["address"],
        locale=row["locale"],
        time_zone=row["time_zone"],
        quiet=quiet_hours(row),
        shown=tuple(shown),
    )
