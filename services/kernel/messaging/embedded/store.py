"""Statements on the queue, with their failures typed by remedy.

Claiming and inserting are PgQueuer's. Settling is ours: each statement checks the claim's
token (``queue_manager_id``), so a consumer that lost its lease cannot settle another's delivery.
"""

import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta

import asyncpg
from pgqueuer.adapters.drivers.asyncpg import AsyncpgPoolDriver
from pgqueuer.domain.models import Job
from pgqueuer.domain.types import QueueEntrypoint, QueueManagerId
from pgqueuer.ports.repository import EntrypointExecutionParameter

from services.kernel.database.pool import OUTAGE
from services.kernel.errors import ConfigurationError, TransientError
from services.kernel.messaging.embedded.schema import CHANNEL, ORDERING_KEY, SCHEMA, queries

_UNLIMITED = EntrypointExecutionParameter(concurrency_limit=0)

# A row is the head of its key when no earlier row of the same key exists, in whatever state:
# settled rows are deleted. Rows without a key wait for nobody.
_CLAIM_IN_ORDER = f"""
WITH head AS (
    SELECT id FROM {SCHEMA}.pgqueuer AS job
    WHERE entrypoint = $1 AND execute_after < now()
      AND (status = 'queued' OR (status = 'picked' AND heartbeat < now() - $2::interval))
      AND NOT EXISTS (
          SELECT FROM {SCHEMA}.pgqueuer AS earlier
          WHERE earlier.entrypoint = job.entrypoint AND earlier.id < job.id
            AND earlier.headers->>'{ORDERING_KEY}' = job.headers->>'{ORDERING_KEY}'
      )
    ORDER BY id LIMIT $3 FOR UPDATE SKIP LOCKED
), claimed AS (
    UPDATE {SCHEMA}.pgqueuer SET status = 'picked', updated = now(), heartbeat = now(), queue_manager_id = $4
    WHERE id IN (SELECT id FROM head) RETURNING *
)
SELECT * FROM claimed ORDER BY id
"""
_ACK = f"DELETE FROM {SCHEMA}.pgqueuer WHERE id = ANY($1::bigint[]) AND queue_manager_id = $2 AND status = 'picked'"
_NACK = f"""
UPDATE {SCHEMA}.pgqueuer
SET status = 'queued', queue_manager_id = NULL, updated = now(), attempts = attempts + 1, execute_after = now() + $3
WHERE id = $1 AND queue_manager_id = $2 AND status = 'picked'
"""
_HAND_BACK = f"""
WITH back AS (
    UPDATE {SCHEMA}.pgqueuer SET status = 'queued', queue_manager_id = NULL, updated = now()
    WHERE queue_manager_id = $1 AND status = 'picked' RETURNING 1
)
SELECT count(*), CASE WHEN count(*) > 0 THEN pg_notify('{CHANNEL}', $2) END FROM back
"""
_EXTEND = f"""
UPDATE {SCHEMA}.pgqueuer SET heartbeat = now()
WHERE id = ANY($1::bigint[]) AND queue_manager_id = ANY($2::uuid[]) AND status = 'picked' RETURNING id
"""
_EXPIRE = f"""
DELETE FROM {SCHEMA}.pgqueuer WHERE id IN (
    SELECT id FROM {SCHEMA}.pgqueuer WHERE status = 'queued' AND created < now() - $1::interval
    ORDER BY id LIMIT 5000 FOR UPDATE SKIP LOCKED
)
"""
_UNKNOWN = f"""
SELECT name FROM unnest($1::text[]) AS wanted(name) WHERE name NOT IN (SELECT name FROM {SCHEMA}.topics)
UNION ALL
SELECT name FROM unnest($2::text[]) AS wanted(name) WHERE name NOT IN (SELECT name FROM {SCHEMA}.subscriptions)
"""
_NOT_PROVISIONED = (asyncpg.UndefinedTableError, asyncpg.InvalidSchemaNameError, asyncpg.InsufficientPrivilegeError)


@dataclass(frozen=True)
class Row:
    """One message for one subscription, as the queue stores it."""

    subscription: str
    headers: dict[str, str]
    data: bytes


class Store:
    """Every method raises TransientError while Postgres cannot be reached."""

    def __init__(self, pool: asyncpg.Pool) -> None:
        self._pool = pool
        self._queries = queries(AsyncpgPoolDriver(pool))

    async def insert(self, rows: Sequence[Row]) -> None:
        """All rows or none, in order."""
        with _typed("publish"):
            await self._queries.enqueue(
                [row.subscription for row in rows],
                [row.data for row in rows],
                [0] * len(rows),
                headers=[row.headers for row in rows],
            )

    async def claim(
        self, subscription: str, limit: int, token: uuid.UUID, lease: timedelta, *, ordered: bool
    ) -> list[Job]:
        with _typed("pull"):
            if ordered:
                rows = await self._pool.fetch(_CLAIM_IN_ORDER, subscription, lease, limit, token)
                return [Job.model_validate(dict(row)) for row in rows]
            return await self._queries.dequeue(
                limit, {QueueEntrypoint(subscription): _UNLIMITED}, QueueManagerId(token), None, lease
            )

    async def next_due(self, subscription: str) -> timedelta | None:
        """Time until the next postponed delivery, or None when none waits."""
        with _typed("pull"):
            return await self._queries.next_deferred_eta([QueueEntrypoint(subscription)])

    async def ack(self, ids: Sequence[int], token: uuid.UUID) -> None:
        with _typed("ack"):
            await self._pool.execute(_ACK, ids, token)

    async def nack(self, row_id: int, token: uuid.UUID, delay: timedelta) -> None:
        with _typed("nack"):
            await self._pool.execute(_NACK, row_id, token, delay)

    async def hand_back(self, token: uuid.UUID, subscription: str) -> int:
        """Give up everything claimed under ``token``, without counting an attempt; how many."""
        with _typed("hand back"):
            return int(await self._pool.fetchval(_HAND_BACK, token, subscription))

    async def extend(self, ids: Sequence[int], tokens: Sequence[uuid.UUID]) -> set[int]:
        """Renew the leases; the ids still held."""
        with _typed("extend leases"):
            return {row["id"] for row in await self._pool.fetch(_EXTEND, ids, tokens)}

    async def expire(self, retention: timedelta) -> None:
        """Delete a bounded number of messages that nobody took within ``retention``."""
        with _typed("expire messages"):
            await self._pool.execute(_EXPIRE, retention)

    async def unknown(self, topics: Sequence[str], subscriptions: Sequence[str]) -> list[str]:
        with _typed("check the topics"):
            try:
                return [row["name"] for row in await self._pool.fetch(_UNKNOWN, topics, subscriptions)]
            except (asyncpg.UndefinedTableError, asyncpg.InvalidSchemaNameError):
                return [*topics, *subscriptions]


@contextmanager
def _typed(action: str) -> Iterator[None]:
    try:
        yield
    except _NOT_PROVISIONED as error:
        raise ConfigurationError(
            f"cannot {action}: {error}; the database has no broker for this role, provision it first"
        ) from error
    except OUTAGE as error:
        raise TransientError(f"cannot {action}: Postgres is out of reach: {error!r}") from error
    except asyncpg.PostgresError as error:
        # Deadlocks, serialization failures, a full disk: nothing that says the message is wrong.
        raise TransientError(f"cannot {action}: {error!r}") from error
