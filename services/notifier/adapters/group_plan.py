"""Plans grouped deliveries of notifications that were just kept, on the same transaction."""

from collections.abc import Collection
from datetime import timedelta
from uuid import UUID

import asyncpg

from services.notifier.adapters.grouping import Grouping, quiet_hours
from services.notifier.adapters.wanted import SEVERITIES, wanted
from services.notifier.timing import leaves_at

_MATCH = """
SELECT receiver.id AS receiver_id, told.type, told.severity = 'critical' AS critical,
       array_agg(told.id ORDER BY told.sequence) AS notification_ids, planned_at, digest_seconds, time_zone,
       quiet_from, quiet_until, clock_timestamp() AS now
FROM notifications AS told
JOIN {receivers} AS receiver ON {condition} AND {wanted}
LEFT JOIN {groups} AS known ON known.{owner} = receiver.id AND known.type = told.type
    AND known.critical = (told.severity = 'critical')
WHERE told.id = ANY($1::uuid[])
GROUP BY receiver.id, told.type, told.severity = 'critical', planned_at
"""
_PLAN = """
WITH grouped AS (
    INSERT INTO {groups} ({owner}, type, critical, planned_at)
    SELECT * FROM unnest($1::uuid[], $2::text[], $3::boolean[], $4::timestamptz[]) ORDER BY 1, 2, 3
    ON CONFLICT ({owner}, type, critical) DO UPDATE SET planned_at = EXCLUDED.planned_at
    RETURNING id, {owner}, type, critical, planned_at
)
INSERT INTO deliveries (notification_id, channel, {key}, webhook_id, next_attempt_at)
SELECT told.id, '{channel}', grouped.id, {webhook}, grouped.planned_at
FROM unnest($5::uuid[], $6::uuid[]) WITH ORDINALITY AS pair(receiver_id, notification_id, position)
JOIN notifications AS told ON told.id = pair.notification_id
JOIN grouped ON grouped.{owner} = pair.receiver_id AND grouped.type = told.type
    AND grouped.critical = (told.severity = 'critical')
ORDER BY position
"""


async def plan(connection: asyncpg.Connection, grouping: Grouping, new: Collection[UUID]) -> None:
    """One delivery for every new notification and grouped receiver that wants it, due when its group's next leaves.

    The lock under which notifications are numbered is held by now, so nobody else plans at the same time. A
    notification that joins a group in the moment in which it leaves is sent by itself: rather one more than one
    lost.
    """
    match = _MATCH.format(**vars(grouping), wanted=wanted("receiver", "told", "$2"))
    rows = await connection.fetch(match, list(new), SEVERITIES)
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
    pairs = [(row["receiver_id"], notification) for row in rows for notification in row["notification_ids"]]
    await connection.execute(
        _PLAN.format(**vars(grouping)),
        [row["receiver_id"] for row in rows],
        [row["type"] for row in rows],
        [row["critical"] for row in rows],
        moments,
        [receiver for receiver, _ in pairs],
        [notification for _, notification in pairs],
    )
