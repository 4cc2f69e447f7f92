"""The webhooks table: where users want their notifications posted."""

from dataclasses import dataclass
from datetime import datetime, time
from uuid import UUID

import asyncpg

from services.notifier.domain import Severity

ROTATION_HOURS = 24

_COLUMNS = """id, user_id, everything, url, kinds, types, min_severity, digest_seconds, time_zone, quiet_from,
    quiet_until, disabled_at, disabled_reason, previous_until, created_at"""
# Two requests of one user must not both find room for the last webhook.
_LOCK = "SELECT pg_advisory_xact_lock(hashtext('notifier.webhooks'), hashtext($1))"
_ADD = f"""
INSERT INTO webhooks (id, user_id, everything, url, secret, kinds, types, min_severity, digest_seconds, time_zone,
                      quiet_from, quiet_until)
SELECT $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11::time, $12::time
WHERE (SELECT count(*) FROM webhooks WHERE user_id = $2) < $13
RETURNING {_COLUMNS}
"""
_LIST = f"SELECT {_COLUMNS} FROM webhooks WHERE user_id = $1 ORDER BY created_at, id"
_ONE = f"SELECT {_COLUMNS} FROM webhooks WHERE id = $1 AND user_id = $2"
_REMOVE = "DELETE FROM webhooks WHERE id = $1 AND user_id = $2 RETURNING id"
_ROTATE = f"""
UPDATE webhooks SET previous_secret = secret, previous_until = now() + interval '{ROTATION_HOURS} hours', secret = $3
WHERE id = $1 AND user_id = $2 RETURNING {_COLUMNS}
"""
_ENABLE = f"""
UPDATE webhooks SET disabled_at = NULL, disabled_reason = '' WHERE id = $1 AND user_id = $2 RETURNING {_COLUMNS}
"""


@dataclass(frozen=True)
class NewWebhook:
    id: UUID
    user_id: str
    everything: bool
    url: str
    secret: str
    kinds: list[str]
    types: list[str]
    min_severity: Severity
    digest_seconds: int = 0
    time_zone: str = "Asia/Seoul"
    quiet_from: time | None = None
    quiet_until: time | None = None


@dataclass(frozen=True)
class Webhook:
    id: UUID
    user_id: str
    everything: bool
    url: str
    kinds: list[str]
    types: list[str]
    min_severity: Severity
    digest_seconds: int
    time_zone: str
    quiet_from: time | None
    quiet_until: time | None
    disabled_at: datetime | None
    disabled_reason: str
    previous_until: datetime | None
    created_at: datetime


class WebhooksTable:
    """Every method but ``add`` answers None where the user has no such webhook."""

    def __init__(self, pool: asyncpg.Pool) -> None:
        self._pool = pool

    async def add(self, new: NewWebhook, *, most: int) -> Webhook | None:
        """None when the user already has ``most`` webhooks."""
        values = vars(new) | {"min_severity": new.min_severity.rank}
        async with self._pool.acquire() as connection, connection.transaction():
            await connection.execute(_LOCK, new.user_id)
            row = await connection.fetchrow(_ADD, *values.values(), most)
        return _read(row)

    async def of(self, user_id: str) -> list[Webhook]:
        rows = await self._pool.fetch(_LIST, user_id)
        return [webhook for row in rows if (webhook := _read(row)) is not None]

    async def one(self, webhook_id: UUID, user_id: str) -> Webhook | None:
        return _read(await self._pool.fetchrow(_ONE, webhook_id, user_id))

    async def remove(self, webhook_id: UUID, user_id: str) -> bool:
        return await self._pool.fetchval(_REMOVE, webhook_id, user_id) is not None

    async def rotate(self, webhook_id: UUID, user_id: str, secret: str) -> Webhook | None:
        """Sign with ``secret`` too; the old one signs along for a day, then only the new one."""
        return _read(await self._pool.fetchrow(_ROTATE, webhook_id, user_id, secret))

    async def enable(self, webhook_id: UUID, user_id: str) -> Webhook | None:
        return _read(await self._pool.fetchrow(_ENABLE, webhook_id, user_id))


def _read(row: asyncpg.Record | None) -> Webhook | None:
    if row is None:
        return None
    return Webhook(**{**dict(row), "min_severity": list(Severity)[row["min_severity"]]})
