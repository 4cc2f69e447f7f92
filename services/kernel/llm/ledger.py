"""The quota ledger: what every replica of a service has spent of each model, in Postgres.

A call is reserved before it is sent and settled with what it really used. The row of the model in ``llm_models`` is
locked while a reservation is decided, so that no two replicas see the same last request of a day. A reservation whose
worker died is given back when it was never sent; when it was, it stays counted: the provider counted it too.
"""

from __future__ import annotations

import uuid
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta

import asyncpg

from services.kernel.database.unit_of_work import Database
from services.kernel.llm.catalogue import Model, Purpose
from services.kernel.llm.client import TokenUse
from services.kernel.llm.quota import (
    WINDOW,
    Spent,
    Standing,
    TooLarge,
    Wait,
    fits_minute,
    next_reset,
    quota_day,
    refusal,
)

Clock = Callable[[asyncpg.Connection], Awaitable[datetime]]

GRACE_SECONDS = 30.0
"""An unsettled reservation is abandoned this long after its call should have ended."""
_MIN_WAIT = 0.05
_KEEP_DAYS = 3
DROPPED_FOR = timedelta(days=7)
"""A model the project has no quota for is looked at again after this; somebody may have changed the plan."""

_LOCK = "SELECT parked_until, park_reason FROM llm_models WHERE model = $1 FOR UPDATE"
_REGISTER = "INSERT INTO llm_models (model) VALUES ($1) ON CONFLICT DO NOTHING"
_GIVE_BACK = """
WITH gone AS (
    DELETE FROM llm_reservations WHERE model = $1 AND sent_at IS NULL AND (expires_at < $2 OR id = $3)
    RETURNING day
), counted AS (SELECT day, count(*) AS n FROM gone GROUP BY day)
UPDATE llm_usage u SET requests = u.requests - counted.n FROM counted WHERE u.model = $1 AND u.day = counted.day
"""
_STANDING = """
SELECT coalesce((SELECT requests FROM llm_usage WHERE model = $1 AND day = $2), 0) AS day_requests,
       count(*) AS minute_requests, coalesce(sum(tokens), 0) AS minute_tokens
FROM llm_reservations WHERE model = $1 AND reserved_at > $3
"""
_FREE_AT = """
SELECT min(leaves) FROM (
    SELECT reserved_at AS leaves, count(*) OVER w AS requests, sum(tokens) OVER w AS tokens
    FROM llm_reservations WHERE model = $1 AND reserved_at > $2 WINDOW w AS (ORDER BY reserved_at, id)
) AS leaving WHERE requests >= $3 AND tokens >= $4
"""
_COUNT = """
INSERT INTO llm_usage (model, day, requests) VALUES ($1, $2, 1)
ON CONFLICT (model, day) DO UPDATE SET requests = llm_usage.requests + 1 RETURNING requests
"""
_RESERVE = """
INSERT INTO llm_reservations (id, model, day, purpose, tokens, reserved_at, expires_at)
VALUES ($1, $2, $3, $4, $5, $6, $7)
"""
_PRUNE = "DELETE FROM llm_reservations WHERE model = $1 AND reserved_at < $2"
_SENT = "UPDATE llm_reservations SET sent_at = $2 WHERE id = $1 AND sent_at IS NULL RETURNING id"
_SETTLE = """
WITH settled AS (
    UPDATE llm_reservations SET settled_at = $2, tokens = coalesce($3, tokens) WHERE id = $1 AND settled_at IS NULL
    RETURNING model, day
)
UPDATE llm_usage u SET prompt_tokens = prompt_tokens + $4, candidates_tokens = candidates_tokens + $5,
    thought_tokens = thought_tokens + $6, cached_tokens = cached_tokens + $7, tool_tokens = tool_tokens + $8
FROM settled WHERE u.model = settled.model AND u.day = settled.day
"""
_PARK = """
INSERT INTO llm_models (model, parked_until, park_reason) VALUES ($1, $2, $3)
ON CONFLICT (model) DO UPDATE SET parked_until = excluded.parked_until, park_reason = excluded.park_reason
WHERE llm_models.parked_until IS NULL OR llm_models.parked_until < excluded.parked_until
"""
_REPORT = """
SELECT u.requests, u.prompt_tokens, u.candidates_tokens, u.thought_tokens, u.cached_tokens, u.tool_tokens,
       m.parked_until, m.park_reason, w.minute_requests, w.minute_tokens, w.abandoned
FROM (SELECT $1::text AS model) AS asked
LEFT JOIN llm_models m USING (model)
LEFT JOIN llm_usage u ON u.model = asked.model AND u.day = $2
CROSS JOIN LATERAL (
    SELECT count(*) FILTER (WHERE reserved_at > $3) AS minute_requests,
           coalesce(sum(tokens) FILTER (WHERE reserved_at > $3), 0) AS minute_tokens,
           count(*) FILTER (WHERE r.day = $2 AND settled_at IS NULL AND sent_at IS NOT NULL AND expires_at < $4)
               AS abandoned
    FROM llm_reservations r WHERE r.model = asked.model AND (r.day = $2 OR r.reserved_at > $3)
) AS w
"""


@dataclass(frozen=True, slots=True)
class Reservation:
    """One request of ``model``'s ``day``, held until it is settled, released or abandoned."""

    id: uuid.UUID
    model: str
    day: date


@dataclass(frozen=True, slots=True)
class ModelStanding:
    """One model's quota as it stands. ``used``: requests of the quota day, the open ones included. ``abandoned``:
    calls whose end was never reported. ``parked_until``: None when it may be asked."""

    model: Model
    day: date
    resets_at: datetime
    used: int
    minute_requests: int
    minute_tokens: int
    tokens: TokenUse
    abandoned: int
    parked_until: datetime | None
    park_reason: str

    @property
    def left(self) -> int:
        return max(0, self.model.limits.requests_per_day - self.used)


class QuotaLedger:
    """``clock``: the time all replicas agree on; Postgres's own unless a test tells another."""

    def __init__(self, database: Database, clock: Clock | None = None) -> None:
        self._database = database
        self._clock = clock or _database_time

    async def reserve(
        self, model: Model, purpose: Purpose, tokens: int, hold_seconds: float
    ) -> Reservation | Wait | Spent | TooLarge:
        """Take one request and ``tokens`` out of the model's day and minute, or say when that may succeed.

        ``hold_seconds``: how long the call may take. Raises asyncpg.PostgresError or OSError as the database says.
        """
        async with self._database.transaction() as unit:
            connection = unit.connection
            parked_until, reason = await self._lock(connection, model.name)
            now = await self._clock(connection)
            if parked_until is not None and parked_until > now:
                return _parked(parked_until, reason, now)
            await connection.execute(_GIVE_BACK, model.name, now, None)
            standing = await self._standing(connection, model.name, now)
            refused = refusal(standing, model.limits, tokens, now)
            if refused is not None:
                return refused
            if not fits_minute(standing, model.limits, tokens):
                return await self._wait(connection, model, standing, tokens, now)
            return await self._take(connection, model, purpose, tokens, now, hold_seconds)

    async def sent(self, reservation: Reservation) -> bool:
        """The call goes out now. False: the reservation had expired and was given back; reserve again."""
        async with self._database.pool.acquire() as connection:
            return await connection.fetchval(_SENT, reservation.id, await self._clock(connection)) is not None

    async def settle(self, reservation: Reservation, tokens: TokenUse | None) -> None:
        """Replace the estimate by what the call really used; None leaves it. Settling twice counts once."""
        used = tokens or TokenUse()
        async with self._database.pool.acquire() as connection:
            now = await self._clock(connection)
            await connection.execute(
                _SETTLE, reservation.id, now, None if tokens is None else tokens.total,
                used.prompt, used.candidates, used.thought, used.cached, used.tool,
            )  # fmt: skip

    async def release(self, reservation: Reservation) -> None:
        """Give back a request that was never sent; one that was sent stays counted."""
        async with self._database.transaction() as unit:
            await self._lock(unit.connection, reservation.model)
            await unit.connection.execute(_GIVE_BACK, reservation.model, _LONG_AGO, reservation.id)

    async def park(self, model: str, seconds: float, reason: str) -> None:
        """No replica asks ``model`` for ``seconds``."""
        async with self._database.pool.acquire() as connection:
            until = await self._clock(connection) + timedelta(seconds=seconds)
            await connection.execute(_PARK, model, until, reason[:500])

    async def park_until_reset(self, model: str, reason: str) -> None:
        """No replica asks ``model`` before its next quota day."""
        async with self._database.pool.acquire() as connection:
            until = next_reset(await self._clock(connection))
            await connection.execute(_PARK, model, until, reason[:500])

    async def report(self, models: Sequence[Model]) -> list[ModelStanding]:
        """How every model stands now, in the order given."""
        async with self._database.pool.acquire() as connection:
            now = await self._clock(connection)
            return [await self._report(connection, model, now) for model in models]

    async def _lock(self, connection: asyncpg.Connection, model: str) -> tuple[datetime | None, str]:
        row = await connection.fetchrow(_LOCK, model)
        if row is None:
            await connection.execute(_REGISTER, model)
            row = await connection.fetchrow(_LOCK, model)
        return row["parked_until"], row["park_reason"]

    async def _standing(self, connection: asyncpg.Connection, model: str, now: datetime) -> Standing:
        row = await connection.fetchrow(_STANDING, model, quota_day(now), now - WINDOW)
        return Standing(row["day_requests"], row["minute_requests"], int(row["minute_tokens"]))

    async def _wait(
        self, connection: asyncpg.Connection, model: Model, standing: Standing, tokens: int, now: datetime
    ) -> Wait:
        surplus = standing.minute_requests + 1 - model.limits.requests_per_minute
        excess = standing.minute_tokens + tokens - model.limits.tokens_per_minute
        leaves = await connection.fetchval(_FREE_AT, model.name, now - WINDOW, surplus, excess)
        return Wait(max(_MIN_WAIT, (leaves + WINDOW - now).total_seconds()))

    async def _take(
        self, connection: asyncpg.Connection, model: Model, purpose: Purpose, tokens: int, now: datetime, hold: float
    ) -> Reservation:
        reservation = Reservation(uuid.uuid4(), model.name, quota_day(now))
        expires_at = now + timedelta(seconds=hold + GRACE_SECONDS)
        first = await connection.fetchval(_COUNT, model.name, reservation.day) == 1
        await connection.execute(
            _RESERVE, reservation.id, model.name, reservation.day, purpose.value, tokens, now, expires_at
        )
        if first:  # once a day, by whoever begins it
            await connection.execute(_PRUNE, model.name, now - timedelta(days=_KEEP_DAYS))
        return reservation

    async def _report(self, connection: asyncpg.Connection, model: Model, now: datetime) -> ModelStanding:
        row = await connection.fetchrow(_REPORT, model.name, quota_day(now), now - WINDOW, now)
        parked = row["parked_until"] if row["parked_until"] is not None and row["parked_until"] > now else None
        return ModelStanding(
            model=model,
            day=quota_day(now),
            resets_at=next_reset(now),
            used=row["requests"] or 0,
            minute_requests=row["minute_requests"],
            minute_tokens=int(row["minute_tokens"]),
            tokens=TokenUse(
                row["prompt_tokens"] or 0,
                row["candidates_tokens"] or 0,
                row["thought_tokens"] or 0,
                row["cached_tokens"] or 0,
                row["tool_tokens"] or 0,
            ),
            abandoned=row["abandoned"],
            parked_until=parked,
            park_reason=row["park_reason"] if parked else "",
        )


_LONG_AGO = datetime.fromisoformat("1970-01-01T00:00:00+00:00")


def _parked(until: datetime, reason: str, now: datetime) -> Wait | Spent:
    """A short parking is a throttle that other replicas met; a long one ends this model's day."""
    seconds = (until - now).total_seconds()
    return Wait(max(_MIN_WAIT, seconds)) if reason == THROTTLED else Spent(until, reason)


THROTTLED = "throttled"
"""The reason under which a per-minute refusal by the provider parks a model."""


async def _database_time(connection: asyncpg.Connection) -> datetime:
    # Not now(): that is when the transaction began, before it waited for its lock.
    time: datetime = await connection.fetchval("SELECT clock_timestamp()")
    return time
