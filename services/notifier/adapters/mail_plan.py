"""Plans the mails about notifications that were just kept, on the same transaction."""

from collections.abc import Collection
from datetime import timedelta
from uuid import UUID

import asyncpg

from services.notifier.adapters.mail_subscriptions import quiet_hours
from services.notifier.adapters.wanted import SEVERITIES, wanted
from services.notifier.mail.timing import leaves_at

_MATCH = """
SELECT receiver.id AS subscription_id, told.type, told.severity = 'critical' AS critical,
       array_agg(told.id) AS notification_ids, planned_at, digest_seconds, time_zone, quiet_from, quiet_until,
       clock_timestamp() AS now
FROM notifications AS told
JOIN email_subscriptions AS receiver ON receiver.confirmed_at IS NOT NULL AND {}
LEFT JOIN email_groups ON email_groups.subscription_id = receiver.id AND email_groups.type = told.type
    AND email_groups.critical = (told.severity = 'critical')
WHERE told.id = ANY($1::uuid[])
GROUP BY receiver.id, told.type, told.severity = 'critical', planned_at
""".format(wanted("receiver", "told", "$2"))
_PLAN = """
WITH grouped AS (
    INSERT INTO email_groups (subscription_id, type, critical, planned_at)
    SELECT * FROM unnest($1::uuid[], $2::text[], $3::boolean[], $4::timestamptz[]) ORDER BY 1, 2, 3
    ON CONFLICT (subscription_id, type, critical) DO UPDATE SET planned_at = EXCLUDED.planned_at
    RETURNING id, subscription_id, type, critical, planned_at
)
INSERT INTO deliveries (notification_id, channel, email_group_id, next_attempt_at)
SELECT told.id, 'email', grouped.id, grouped.planned_at
FROM unnest($5::uuid[], $6::uuid[]) AS pair(subscription_id, notification_id)
JOIN notifications AS told ON told.id = pair.notification_id
JOIN grouped ON grouped.subscription_id = pair.subscription_id AND grouped.type = told.type
    AND grouped.critical = (told.severity = 'critical')
"""


async def plan_mail(connection: asyncpg.Connection, new: Collection[UUID]) -> None:
    """One delivery for every new notification and subscription that wants it, due when its mail leaves.

    The lock under which notifications are numbered is held by now, so nobody else plans at the same time. A
    notification that joins a mail in the moment in which it leaves gets a mail of its own: rather one more
    than one lost.
    """
    rows = await connection.fetch(_MATCH, list(new), SEVERITIES)
    if not rows:
        return
    moments = [
        leaves_at(
            row["now"],
            row["planned_at"],
            timedelta(seconds=row["digest_seconds"]),
            quiet_hours(row),
            critical=row["critical"],
        )
        for row in rows
    ]
    pairs = [(row["subscription_id"], notification) for row in rows for notification in row["notification_ids"]]
    await connection.execute(
        _PLAN,
        [row["subscription_id"] for row in rows],
        [row["type"] for row in rows],
        [row["critical"] for row in rows],
        moments,
        [subscription for subscription, _ in pairs],
        [notification for _, notification in pairs],
    )
