"""Keeping notifications: a consumer's whole batch in one statement, deliveries to webhooks included."""

from collections.abc import Sequence
from uuid import UUID

import asyncpg

from services.notifier.domain import Notification, Severity

# Planned together with the notifications, so that none can be forgotten.
_RECORD = """
WITH told AS (
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
    RETURNING id, kind, type, severity, audience, user_id
), planned AS (
    INSERT INTO deliveries (notification_id, webhook_id)
    SELECT told.id, webhooks.id FROM told JOIN webhooks ON {wanted}
)
SELECT id FROM told
"""
_WANTED = """
    ({receiver}.everything OR {told}.audience = 'everyone'
     OR ({told}.audience = 'user' AND {receiver}.user_id = {told}.user_id))
    AND {receiver}.disabled_at IS NULL AND {receiver}.min_severity < array_position($15::text[], {told}.severity)
    AND ({receiver}.kinds = '{{}}' OR {told}.kind = ANY({receiver}.kinds))
    AND ({receiver}.types = '{{}}' OR {told}.type = ANY({receiver}.types))
"""
_RECORD_ALL = _RECORD.format(wanted=_WANTED.format(receiver="webhooks", told="told"))
_SEVERITIES = [severity.value for severity in Severity]
"""``array_position`` counts from 1, a rank from 0: hence ``min_severity <``."""


async def record(connection: asyncpg.Connection, notifications: Sequence[Notification]) -> set[UUID]:
    """See ``ports.Record``."""
    rows = await connection.fetch(
        _RECORD_ALL,
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
        _SEVERITIES,
    )
    return {row["id"] for row in rows}
