"""Deliveries that share a mail or a post: claimed, settled and handed back together."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

import asyncpg

from services.notifier.adapters.grouping import Grouping, quiet_hours
from services.notifier.adapters.notifications import COLUMNS, read
from services.notifier.adapters.settling import Settling, hand_back
from services.notifier.ports import Stored
from services.notifier.schedule import Outcome
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
    def user_id(self) -> str:
        return self.receiver["user_id"]  # type: ignore[no-any-return]

    @property
    def trace_id(self) -> str:
        return self.shown[0].notification.trace_id

    @property
    def quiet(self) -> QuietHours | None:
        return quiet_hours(self.receiver)


class GroupsTable:
    def __init__(self, pool: asyncpg.Pool, grouping: Grouping) -> None:
        self._pool = pool
        self._claim = _CLAIM.format(**vars(grouping))
        self._settling = Settling(grouping)

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
        return await self._settling.settle(connection, claim.ids, claim.token, claim.receiver_id, outcome)

    async def hand_back(self, claim: GroupClaim, due: datetime | None = None) -> None:
        """As if it had never been claimed; due at ``due`` if given."""
        await hand_back(self._pool, claim.ids, claim.token, due)
