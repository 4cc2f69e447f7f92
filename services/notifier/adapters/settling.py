"""Writing down what became of deliveries that were attempted together, one or many."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

import asyncpg

from services.notifier.adapters.grouping import Grouping
from services.notifier.schedule import Delivered, Failed, Outcome, Postponed

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
_HAND_BACK = """
UPDATE deliveries SET lease_token = NULL, leased_until = NULL, attempts = attempts - 1,
    next_attempt_at = coalesce($3::timestamptz, next_attempt_at)
WHERE id = ANY($1::bigint[]) AND lease_token = $2
"""


class Settling:
    """For the receivers of one kind. Every write checks the lease's ``token``: one that has passed on changes nothing.

    All methods raise what asyncpg raises.
    """

    def __init__(self, grouping: Grouping) -> None:
        names = vars(grouping)
        self._lock, self._disable, self._cancel = (s.format(**names) for s in (_LOCK, _DISABLE, _CANCEL))

    async def settle(
        self, connection: asyncpg.Connection, ids: Sequence[int], token: UUID, receiver_id: UUID, outcome: Outcome
    ) -> bool:
        """Write what became of them; whether the receiver was disabled now."""
        match outcome:
            case Delivered(status):
                await connection.execute(_DELIVERED, ids, token, status)
            case Postponed(wait, status, reason):
                await connection.execute(_POSTPONED, ids, token, wait, status, reason)
            case Failed(status, reason, disable):
                if disable:
                    await connection.execute(self._lock, receiver_id)
                settled = await connection.fetch(_FAILED, ids, token, status, reason)
                if settled and disable:
                    disabled = await connection.fetchval(self._disable, receiver_id, reason) is not None
                    await connection.execute(self._cancel, receiver_id)
                    return disabled
        return False


async def hand_back(pool: asyncpg.Pool, ids: Sequence[int], token: UUID, due: datetime | None = None) -> None:
    """As if they had never been claimed; due at ``due`` if given."""
    await pool.execute(_HAND_BACK, ids, token, due)
