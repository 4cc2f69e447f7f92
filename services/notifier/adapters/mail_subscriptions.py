"""The e-mail subscriptions: who wants which notifications mailed, and when not."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, time
from uuid import UUID

import asyncpg

from services.notifier.domain import Severity

CONFIRM_HOURS = 24

_COLUMNS = """id, user_id, everything, address, locale, kinds, types, min_severity, digest_seconds, time_zone,
    quiet_from, quiet_until, created_at, confirmed_at, disabled_at, disabled_reason"""
# Two requests of one user must not both find room for the last subscription.
_LOCK = "SELECT pg_advisory_xact_lock(hashtext('notifier.email_subscriptions'), hashtext($1))"
_ROOM = """
SELECT (SELECT count(*) FROM email_subscriptions WHERE user_id = $1) < $2 AND
       (SELECT count(*) FROM email_confirmations WHERE user_id = $1 AND sent_at > now() - interval '1 day') < $3
"""
_SENT = "INSERT INTO email_confirmations (user_id) VALUES ($1)"
_ADD = f"""
INSERT INTO email_subscriptions (id, user_id, everything, address, locale, kinds, types, min_severity, digest_seconds,
                                 time_zone, quiet_from, quiet_until, token_hash)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)
ON CONFLICT (user_id, lower(address)) DO NOTHING RETURNING {_COLUMNS}
"""
_LIST = f"SELECT {_COLUMNS} FROM email_subscriptions WHERE user_id = $1 ORDER BY created_at, id"
_ONE = f"SELECT {_COLUMNS} FROM email_subscriptions WHERE id = $1 AND user_id = $2"
_REMOVE = "DELETE FROM email_subscriptions WHERE id = $1 AND user_id = $2 RETURNING id"
_CONFIRM = f"""
UPDATE email_subscriptions SET confirmed_at = now(), token_hash = NULL
WHERE id = $1 AND user_id = $2 AND token_hash = $3 AND created_at > now() - interval '{CONFIRM_HOURS} hours'
RETURNING {_COLUMNS}
"""
_ENABLE = f"""
UPDATE email_subscriptions SET disabled_at = NULL, disabled_reason = '' WHERE id = $1 AND user_id = $2
RETURNING {_COLUMNS}
"""
_FORGET_CONFIRMATIONS = "DELETE FROM email_confirmations WHERE sent_at < now() - interval '2 days'"


class TooMany(Exception):
    """The user has as many subscriptions, or was sent as many confirmations within a day, as anybody may."""


class AddressTaken(Exception):
    """The user has a subscription of this address."""


@dataclass(frozen=True)
class NewSubscription:
    """``token_hash``: SHA-256 of what the confirmation mail carries."""

    id: UUID
    user_id: str
    everything: bool
    address: str
    locale: str
    kinds: Sequence[str]
    types: Sequence[str]
    min_severity: Severity
    digest_seconds: int
    time_zone: str
    quiet_from: time | None
    quiet_until: time | None
    token_hash: bytes


@dataclass(frozen=True)
class Subscription:
    id: UUID
    user_id: str
    everything: bool
    address: str
    locale: str
    kinds: list[str]
    types: list[str]
    min_severity: Severity
    digest_seconds: int
    time_zone: str
    quiet_from: time | None
    quiet_until: time | None
    created_at: datetime
    confirmed_at: datetime | None
    disabled_at: datetime | None
    disabled_reason: str


class MailSubscriptionsTable:
    """Every method that answers None does so where the user has no such subscription."""

    def __init__(self, pool: asyncpg.Pool) -> None:
        self._pool = pool

    async def add(self, new: NewSubscription, *, most: int, most_confirmations: int) -> Subscription:
        """Raises TooMany, AddressTaken: nothing was added."""
        async with self._pool.acquire() as connection, connection.transaction():
            await connection.execute(_LOCK, new.user_id)
            if not await connection.fetchval(_ROOM, new.user_id, most, most_confirmations):
                raise TooMany
            values = {**vars(new), "kinds": list(new.kinds), "types": list(new.types)}
            made = _read(await connection.fetchrow(_ADD, *(values | {"min_severity": new.min_severity.rank}).values()))
            if made is None:
                raise AddressTaken
            await connection.execute(_SENT, new.user_id)
        return made

    async def of(self, user_id: str) -> list[Subscription]:
        rows = await self._pool.fetch(_LIST, user_id)
        return [subscription for row in rows if (subscription := _read(row)) is not None]

    async def one(self, subscription_id: UUID, user_id: str) -> Subscription | None:
        return _read(await self._pool.fetchrow(_ONE, subscription_id, user_id))

    async def remove(self, subscription_id: UUID, user_id: str) -> bool:
        return await self._pool.fetchval(_REMOVE, subscription_id, user_id) is not None

    async def confirm(self, subscription_id: UUID, user_id: str, token_hash: bytes) -> Subscription | None:
        """None also when the token is another one, was used, or is too old."""
        return _read(await self._pool.fetchrow(_CONFIRM, subscription_id, user_id, token_hash))

    async def enable(self, subscription_id: UUID, user_id: str) -> Subscription | None:
        return _read(await self._pool.fetchrow(_ENABLE, subscription_id, user_id))

    async def prune(self) -> None:
        """Forget confirmations that no limit counts any more."""
        await self._pool.execute(_FORGET_CONFIRMATIONS)


def _read(row: asyncpg.Record | None) -> Subscription | None:
    if row is None:
        return None
    return Subscription(**{**dict(row), "min_severity": list(Severity)[row["min_severity"]]})
