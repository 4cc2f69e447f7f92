"""Writing new jobs: limit, idempotency key, turn, job and first log row in one statement for a whole batch.

The rate limit is the generic cell rate algorithm (ITU-T I.371): ``tat`` is the theoretical arrival
time of the caller's next request; a request conforms while ``tat`` is at most ``burst`` intervals ahead.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import asyncpg

from services.intake.domain import idempotency
from services.intake.domain.idempotency import StoredAnswer
from services.intake.domain.jobs import NewJob

_CREATE = """
WITH incoming AS MATERIALIZED (
    SELECT * FROM unnest(
        $1::uuid[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[], $8::jsonb[], $9::jsonb[],
        $10::text[], $11::text[], $12::text[], $13::text[], $14::text[], $15::float8[]
    ) WITH ORDINALITY AS row(id, user_id, caller, type, worker, priority, query, metadata, options,
        traceparent, scope, key, fingerprint, answer, wait, n)
), allowance AS (
    INSERT INTO rate_limits AS held (caller, tat, granted)
    SELECT caller, now() + least(count(*), $17) * make_interval(secs => $16), least(count(*), $17)
    FROM incoming GROUP BY caller ORDER BY caller
    ON CONFLICT (caller) DO UPDATE SET (tat, granted) = (
        SELECT greatest(held.tat, now()) + fits * make_interval(secs => $16), fits
        FROM (SELECT least(EXCLUDED.granted, greatest(0, floor(
            $17 - extract(epoch FROM greatest(held.tat, now()) - now()) / $16 + 1e-6))::integer)) AS room(fits)
    )
    RETURNING caller, granted, extract(epoch FROM tat - now())::float8 AS debt
), admitted AS (
    SELECT ordered.* FROM (
        SELECT *, row_number() OVER (PARTITION BY caller ORDER BY n) AS place FROM incoming
    ) AS ordered JOIN allowance USING (caller) WHERE place <= granted
), claimed AS (
    INSERT INTO idempotency_keys AS held
        (scope, key, fingerprint, job_id, answer_status, answer, answering_until, expires_at)
    SELECT scope, key, fingerprint, id, CASE WHEN wait = 0 THEN 202 END, answer,
        now() + make_interval(secs => wait), now() + make_interval(secs => $18)
    FROM admitted WHERE key IS NOT NULL ORDER BY scope, key
    ON CONFLICT (scope, key) DO UPDATE
    SET fingerprint = EXCLUDED.fingerprint, job_id = EXCLUDED.job_id, answer_status = EXCLUDED.answer_status,
        answer = EXCLUDED.answer, answering_until = EXCLUDED.answering_until, expires_at = EXCLUDED.expires_at
    WHERE held.expires_at < now()
    RETURNING job_id
), fresh AS (
    SELECT *, CASE priority WHEN 'high' THEN 0 WHEN 'normal' THEN 1 ELSE 2 END::smallint AS rank
    FROM admitted WHERE key IS NULL OR id IN (SELECT job_id FROM claimed)
), turns AS (
    INSERT INTO turn_users AS last (worker, rank, caller, vtime, added)
    SELECT worker, rank, caller, coalesce(max(queue.vtime), 0) + count(*), count(*)
    FROM fresh LEFT JOIN turn_queues AS queue USING (worker, rank)
    GROUP BY worker, rank, caller ORDER BY worker, rank, caller
    ON CONFLICT (worker, rank, caller) DO UPDATE
    SET vtime = greatest(last.vtime, EXCLUDED.vtime - EXCLUDED.added) + EXCLUDED.added, added = EXCLUDED.added
    RETURNING worker, rank, caller, vtime - added AS base
), jobs AS (
    INSERT INTO ai_jobs (id, user_id, type, query, priority, metadata, options, worker, vtime, traceparent, created_at)
    SELECT id, user_id, type, query, priority, metadata, options, worker,
        base + row_number() OVER (PARTITION BY worker, rank, caller ORDER BY n), traceparent,
        now() + n * interval '1 microsecond'
    FROM fresh JOIN turns USING (worker, rank, caller)
    RETURNING id
), logged AS (
    INSERT INTO ai_job_logs (job_id, seq, status, progress, details)
    SELECT id, 1, 'queued', 0, jsonb_strip_nulls(jsonb_build_object('routing', metadata->'routing')) FROM fresh
)
SELECT granted, debt, place <= granted AS admitted, jobs.id IS NOT NULL AS created
FROM (SELECT id, n, caller, row_number() OVER (PARTITION BY caller ORDER BY n) AS place FROM incoming) AS asked
JOIN allowance USING (caller) LEFT JOIN jobs USING (id) ORDER BY n
"""
_STORED = """
SELECT fingerprint, job_id, answer_status, answer, answering_until > now() AS answering
FROM idempotency_keys WHERE scope = $1 AND key = $2
"""
_ANSWERED = "UPDATE idempotency_keys SET answer_status = $3 WHERE scope = $1 AND key = $2 AND job_id = $4"
_TRIES = 4


@dataclass(frozen=True, slots=True)
class RateLimit:
    """``per_second`` sustained creations and ``burst`` at once, per caller."""

    per_second: float
    burst: int

    @property
    def interval(self) -> float:
        return 1.0 / self.per_second


@dataclass(frozen=True, slots=True)
class Admission:
    """What became of one new job. ``stored``: the answer already given under its idempotency key.
    ``debt``: seconds until the caller's whole burst is available again."""

    created: bool
    limited: bool
    debt: float
    stored: StoredAnswer | None = None


class JobCreation:
    """The creating side of ``ai_jobs``. Every method takes the pool or the caller's transaction."""

    def __init__(self, limit: RateLimit) -> None:
        self.limit = limit

    async def create(self, connection: asyncpg.Connection | asyncpg.Pool, jobs: Sequence[NewJob]) -> list[Admission]:
        """Write what may be written; outcomes in order. Keys within a batch must differ.

        Raises:
            asyncpg.PostgresError, OSError: as the database says; nothing was written.
        """
        rows = await _patiently(connection, _CREATE, *_columns(jobs), self.limit.interval, self.limit.burst)
        admissions = []
        for job, row in zip(jobs, rows, strict=True):
            stored = None
            if row["admitted"] and not row["created"]:
                stored = await self._stored(connection, job)
            admissions.append(Admission(row["created"], not row["admitted"], row["debt"], stored))
        return admissions

    async def answered(self, connection: asyncpg.Connection | asyncpg.Pool, job: NewJob, status: int) -> None:
        """Remember how the request that created ``job`` was answered in the end."""
        if job.idempotency is not None:
            await connection.execute(_ANSWERED, job.idempotency.scope, job.idempotency.key, status, job.id)

    async def _stored(self, connection: asyncpg.Connection | asyncpg.Pool, job: NewJob) -> StoredAnswer:
        claim = job.idempotency
        if claim is None:
            raise AssertionError(f"job {job.id} was admitted without a key but not created")
        row = await connection.fetchrow(_STORED, claim.scope, claim.key)
        if row is None:  # it expired between the two statements
            raise asyncpg.SerializationError("the idempotency key expired while it was read")
        return StoredAnswer(row["fingerprint"], row["job_id"], row["answer_status"], row["answer"], row["answering"])


def _columns(jobs: Sequence[NewJob]) -> list[object]:
    claims = [job.idempotency for job in jobs]
    return [
        [job.id for job in jobs],
        [job.caller.user_id for job in jobs],
        [job.caller.key for job in jobs],
        [str(job.type) for job in jobs],
        [job.worker for job in jobs],
        [str(job.priority) for job in jobs],
        [job.query for job in jobs],
        [job.metadata for job in jobs],
        [job.options for job in jobs],
        [job.traceparent for job in jobs],
        [claim and claim.scope for claim in claims],
        [claim and claim.key for claim in claims],
        [claim and claim.fingerprint for claim in claims],
        [claim and claim.answer for claim in claims],
        [claim.wait if claim else 0.0 for claim in claims],
    ]


async def _patiently(
    connection: asyncpg.Connection | asyncpg.Pool, query: str, *arguments: object
) -> list[asyncpg.Record]:
    """Two replicas may lock the same callers in another order; on a pool, whoever lost goes again."""
    for attempt in range(1, _TRIES + 1):
        try:
            return await connection.fetch(query, *arguments, idempotency.KEEP_SECONDS)  # type: ignore[no-any-return]
        except asyncpg.DeadlockDetectedError:
            if attempt == _TRIES or not isinstance(connection, asyncpg.Pool):
                raise
    raise AssertionError("unreachable")
