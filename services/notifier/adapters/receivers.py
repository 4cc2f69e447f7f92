"""One kind of receiver in its table: what webhooks and e-mail subscriptions have in common."""

import uuid
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Generic, TypeVar
from uuid import UUID

import asyncpg

from services.notifier.adapters.grouping import Grouping
from services.notifier.domain import Severity
from services.notifier.receivers import GROUPING, PreferencesChange, Receiver, ReceiverRequest

# Two requests of one user must not both find room for the last receiver.
_ROOM_LOCK = "SELECT pg_advisory_xact_lock(hashtext('notifier.{receivers}'), hashtext($1))"
# Whoever plans deliveries holds this one (see the first migration): nobody plans by half of a change.
_PLANNING_LOCK = "SELECT pg_advisory_xact_lock(hashtext('notifier.notifications_order'))"
_COUNT = "SELECT count(*) FROM {receivers} WHERE user_id = $1"
_LIST = "SELECT {selected} FROM {receivers} WHERE user_id = $1 ORDER BY created_at, id"
_ONE = "SELECT {selected} FROM {receivers} WHERE id = $1 AND user_id = $2"
_REMOVE = "DELETE FROM {receivers} WHERE id = $1 AND user_id = $2 RETURNING id"
# Not what is under way or was tried: an attempt's own backoff stands.
_LEAVE_NOW = """
WITH planned AS (
    UPDATE {groups} SET planned_at = least(planned_at, now()) WHERE {owner} = $1 RETURNING id
)
UPDATE deliveries SET next_attempt_at = least(next_attempt_at, now())
FROM planned WHERE deliveries.{key} = planned.id AND status = 'pending' AND attempts = 0
"""

R = TypeVar("R", bound=Receiver)


class TooMany(Exception):
    """The user has as many receivers of this kind as anybody may."""


class ReceiversTable(Generic[R]):
    """Every method that answers None does so where the user has no such receiver.

    ``renamed``: fields of ``kind`` whose columns have other names.
    """

    def __init__(
        self, pool: asyncpg.Pool, grouping: Grouping, kind: type[R], renamed: Mapping[str, str] = MappingProxyType({})
    ) -> None:
        self._pool = pool
        self._kind = kind
        self._receivers = grouping.receivers
        self._selected = ", ".join(f"{renamed.get(name, name)} AS {name}" for name in kind.model_fields)
        names = {**vars(grouping), "selected": self._selected}
        self._lock, self._count, self._leave_now = (s.format(**names) for s in (_ROOM_LOCK, _COUNT, _LEAVE_NOW))
        self._list, self._one, self._remove = (s.format(**names) for s in (_LIST, _ONE, _REMOVE))

    async def of(self, user_id: str) -> list[R]:
        """The oldest first."""
        return [self._read(row) for row in await self._pool.fetch(self._list, user_id)]

    async def one(self, receiver_id: UUID, user_id: str) -> R | None:
        return self._found(await self._pool.fetchrow(self._one, receiver_id, user_id))

    async def remove(self, receiver_id: UUID, user_id: str) -> bool:
        return await self._pool.fetchval(self._remove, receiver_id, user_id) is not None

    async def enable(self, receiver_id: UUID, user_id: str) -> R | None:
        return await self._update(self._pool, receiver_id, user_id, "disabled_at = NULL, disabled_reason = ''")

    async def change(self, receiver_id: UUID, user_id: str, change: PreferencesChange) -> R | None:
        """Set what ``change`` names. When that concerns its grouping, what its groups hold leaves at once, or when
        the new quiet hours end: a plan by the old settings may be a day away."""
        values = _columns(change.model_dump(exclude_unset=True))
        assignments = ", ".join(f"{name} = ${position}" for position, name in enumerate(values, 3))
        async with self._pool.acquire() as connection, connection.transaction():
            await connection.execute(_PLANNING_LOCK)
            changed = await self._update(connection, receiver_id, user_id, assignments, *values.values())
            if changed is not None and GROUPING & change.model_fields_set:
                await connection.execute(self._leave_now, receiver_id)
        return changed

    async def _make_room(self, connection: asyncpg.Connection, user_id: str, most: int) -> None:
        """Until the transaction ends nobody else adds one for the user. Raises TooMany: there are ``most``."""
        await connection.execute(self._lock, user_id)
        if await connection.fetchval(self._count, user_id) >= most:
            raise TooMany

    async def _insert(self, connection: asyncpg.Connection, user_id: str, wanted: ReceiverRequest, **more: object) -> R:
        """``more``: columns beside those of ``wanted``."""
        values = {"id": uuid.uuid4(), "user_id": user_id, **_columns(wanted.model_dump()), **more}
        places = ", ".join(f"${position}" for position in range(1, len(values) + 1))
        row = await connection.fetchrow(
            f"INSERT INTO {self._receivers} ({', '.join(values)}) VALUES ({places}) RETURNING {self._selected}",
            *values.values(),
        )
        return self._read(row)

    async def _update(
        self,
        connection: asyncpg.Pool | asyncpg.Connection,
        receiver_id: UUID,
        user_id: str,
        assignments: str,
        *values: object,
        condition: str = "true",
    ) -> R | None:
        """``assignments`` and ``condition`` name ``values`` as $3, $4, ..."""
        row = await connection.fetchrow(
            f"UPDATE {self._receivers} SET {assignments} WHERE id = $1 AND user_id = $2 AND {condition} "
            f"RETURNING {self._selected}",
            receiver_id,
            user_id,
            *values,
        )
        return self._found(row)

    def _found(self, row: asyncpg.Record | None) -> R | None:
        return None if row is None else self._read(row)

    def _read(self, row: asyncpg.Record) -> R:
        return self._kind.model_validate({**row, "min_severity": list(Severity)[row["min_severity"]]})


def _columns(fields: Mapping[str, Any]) -> dict[str, object]:
    """A request's fields as the tables have them."""
    values = dict(fields)
    if "min_severity" in values:
        values["min_severity"] = values["min_severity"].rank
    if "quiet_hours" in values:
        quiet = values.pop("quiet_hours") or {"start": None, "end": None}
        values |= {"quiet_from": quiet["start"], "quiet_until": quiet["end"]}
    return values
