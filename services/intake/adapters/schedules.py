"""The cron table."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import asyncpg

from services.intake.domain.schedules import Schedule

_FIELDS = "name, cron, timezone, type, query, priority, options, metadata, enabled, next_due_at"
_LIST = f"SELECT {_FIELDS} FROM schedules ORDER BY name"
_READ = f"SELECT {_FIELDS} FROM schedules WHERE name = $1"
_PUT = """
INSERT INTO schedules (name, cron, timezone, type, query, priority, options, metadata, enabled, next_due_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
ON CONFLICT (name) DO UPDATE SET cron = EXCLUDED.cron, timezone = EXCLUDED.timezone, type = EXCLUDED.type,
    query = EXCLUDED.query, priority = EXCLUDED.priority, options = EXCLUDED.options, metadata = EXCLUDED.metadata,
    enabled = EXCLUDED.enabled, next_due_at = EXCLUDED.next_due_at, updated_at = now()
RETURNING xmax = 0 AS created
"""
_DELETE = "DELETE FROM schedules WHERE name = $1 RETURNING name"
_DUE = f"""
SELECT {_FIELDS}, now() AS now FROM schedules
WHERE enabled AND (next_due_at IS NULL OR next_due_at <= now())
ORDER BY next_due_at NULLS FIRST LIMIT 100 FOR UPDATE SKIP LOCKED
"""
_ADVANCE = "UPDATE schedules SET next_due_at = $2 WHERE name = $1"


@dataclass(frozen=True, slots=True)
class Due:
    """``now``: the database's clock, which all replicas share."""

    schedule: Schedule
    now: datetime


async def every(pool: asyncpg.Pool) -> list[Schedule]:
    return [_schedule(row) for row in await pool.fetch(_LIST)]


async def read(connection: asyncpg.Connection | asyncpg.Pool, name: str) -> Schedule | None:
    row = await connection.fetchrow(_READ, name)
    return None if row is None else _schedule(row)


async def put(pool: asyncpg.Pool, schedule: Schedule) -> bool:
    """Create or replace; whether it is new."""
    return await pool.fetchval(  # type: ignore[no-any-return]
        _PUT,
        schedule.name,
        schedule.cron,
        schedule.timezone,
        schedule.type,
        schedule.query,
        schedule.priority,
        schedule.options,
        schedule.metadata,
        schedule.enabled,
        schedule.next_due_at,
    )


async def delete(pool: asyncpg.Pool, name: str) -> bool:
    """Whether there was one."""
    return await pool.fetchval(_DELETE, name) is not None


async def lock_due(connection: asyncpg.Connection) -> Sequence[Due]:
    """Schedules that have come due, or have no due time yet, until the transaction ends."""
    return [Due(_schedule(row), row["now"]) for row in await connection.fetch(_DUE)]


async def advance(connection: asyncpg.Connection, name: str, next_due_at: datetime) -> None:
    await connection.execute(_ADVANCE, name, next_due_at)


def _schedule(row: asyncpg.Record) -> Schedule:
    return Schedule(
        name=row["name"],
        cron=row["cron"],
        timezone=row["timezone"],
        type=row["type"],
        query=row["query"],
        priority=row["priority"],
        options=row["options"],
        metadata=row["metadata"],
        enabled=row["enabled"],
        next_due_at=row["next_due_at"],
    )
