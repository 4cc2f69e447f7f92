"""Keeping notifications: a consumer's whole batch at once, what is to be delivered included."""

from collections.abc import Sequence
from uuid import UUID

import asyncpg

from services.notifier.adapters.group_plan import plan
from services.notifier.adapters.grouping import AT_ONCE, EMAIL, WEBHOOK
from services.notifier.adapters.wanted import SEVERITIES, wanted
from services.notifier.domain import Notification

_RECORD = """
INSERT INTO notifications (id, kind, type, severity, audience, user_id, about, text_ko, text_en, error_message,
                           stack_trace, project_id, trace_id, occurred_at)
SELECT id, kind, type, severity, audience, user_id, about, text_ko, text_en, error_message, stack_trace,
       project_id, trace_id, occurred_at
FROM unnest($1::uuid[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[], $8::text[],
            $9::text[], $10::text[], $11::text[], $12::text[], $13::text[], $14::timestamptz[])
    WITH ORDINALITY AS batch(id, kind, type, severity, audience, user_id, about, text_ko, text_en, error_message,
                             stack_trace, project_id, trace_id, occurred_at, position)
ORDER BY position
ON CONFLICT (id) DO NOTHING
RETURNING id
"""
# Planned on the same transaction, so that none can be forgotten, but after the statement that takes the lock under
# which notifications are numbered: both this and the groups' planning then see one state of every receiver.
_PLAN_AT_ONCE = f"""
INSERT INTO deliveries (notification_id, webhook_id)
SELECT told.id, receiver.id
FROM notifications AS told JOIN webhooks AS receiver ON {AT_ONCE} AND {wanted("receiver", "told", "$2")}
WHERE told.id = ANY($1::uuid[]) ORDER BY told.sequence
"""


async def record(connection: asyncpg.Connection, notifications: Sequence[Notification]) -> set[UUID]:
    """See ``ports.Record``."""
    rows = await connection.fetch(
        _RECORD,
        [one.id for one in notifications],
        [one.kind for one in notifications],
        [one.type for one in notifications],
        [one.severity for one in notifications],
        [one.audience for one in notifications],
        [one.user_id for one in notifications],
        [one.about for one in notifications],
        [one.text.ko for one in notifications],
        [one.text.en for one in notifications],
        [one.error_message for one in notifications],
        [one.stack_trace for one in notifications],
        [one.project_id for one in notifications],
        [one.trace_id for one in notifications],
        [one.occurred_at for one in notifications],
    )
    new = {row["id"] for row in rows}
    if new:
        await connection.execute(_PLAN_AT_ONCE, list(new), SEVERITIES)
        for grouping in (WEBHOOK, EMAIL):
            await plan(connection, grouping, new)
    return new
