"""``job_runs``: a worker's own memory of the jobs it was given. Pure SQL, one function per transition.

    (absent) ──claim──> running ──finish──> done
        └──cancel──> cancelled <──cancel──┘ (running)

``fence`` is intake's number of the release; ``run_token`` tells apart two copies of the same
release. A write that ends a run checks both, so only the newest copy can end a job.
"""

import json
import uuid
from dataclasses import dataclass
from typing import Any, Literal

import asyncpg

from contracts.jobs import JobCancelled, JobRequested

_CLAIM = """
INSERT INTO job_runs AS run (job_id, fence, state, run_token, request, sequence, heartbeat_at)
VALUES ($1, $2, 'running', $3, $4, $5, now())
ON CONFLICT (job_id) DO UPDATE
SET fence = EXCLUDED.fence, run_token = EXCLUDED.run_token, request = EXCLUDED.request, heartbeat_at = now(),
    sequence = run.sequence + 1
WHERE run.state = 'running' AND (
    run.fence < EXCLUDED.fence
    OR run.fence = EXCLUDED.fence
       AND (run.heartbeat_at IS NULL OR run.heartbeat_at < now() - make_interval(secs => $6))
)
RETURNING sequence
"""
_READ = "SELECT fence, state, outcome FROM job_runs WHERE job_id = $1"
_BEAT = """
UPDATE job_runs SET heartbeat_at = now(), sequence = sequence + 1
WHERE job_id = $1 AND run_token = $2 AND state = 'running' RETURNING sequence
"""
_RELEASE = "UPDATE job_runs SET heartbeat_at = NULL WHERE job_id = $1 AND run_token = $2 AND state = 'running'"
_FINISH = """
UPDATE job_runs SET state = 'done', outcome = $3, ended_at = now(), heartbeat_at = NULL
WHERE job_id = $1 AND run_token = $2 AND state = 'running' RETURNING fence
"""
_REFENCE = "UPDATE job_runs SET fence = $2 WHERE job_id = $1 AND fence < $2 AND state = 'done'"
_CANCEL = """
INSERT INTO job_runs (job_id, fence, state, ended_at) VALUES ($1, $2, 'cancelled', now())
ON CONFLICT (job_id) DO UPDATE SET state = 'cancelled', ended_at = now()
WHERE job_runs.state = 'running' AND job_runs.fence <= EXCLUDED.fence
"""
_PRUNE = "DELETE FROM job_runs WHERE ended_at < now() - make_interval(days => $1)"


@dataclass(frozen=True, slots=True)
class Claimed:
    sequence: int


@dataclass(frozen=True, slots=True)
class Refused:
    """Why the run may not start: ``done`` carries the outcome to announce again under the newer fence."""

    reason: Literal["alive_elsewhere", "stale_fence", "cancelled", "already_announced", "done"]
    outcome: dict[str, Any] | None = None


async def claim(
    connection: asyncpg.Connection, job: JobRequested, token: uuid.UUID, heartbeat_timeout: float
) -> Claimed | Refused:
    """Become the one run of this job, taking over from a copy silent for ``heartbeat_timeout`` seconds."""
    job_id = uuid.UUID(job.job_id)
    sequence = await connection.fetchval(_CLAIM, job_id, job.fence, token, job.model_dump_json(), 1, heartbeat_timeout)
    if sequence is not None:
        return Claimed(sequence)
    row = await connection.fetchrow(_READ, job_id)
    if row is None or row["state"] == "cancelled":
        return Refused("cancelled")
    if row["state"] == "done":
        if row["fence"] >= job.fence:
            return Refused("already_announced")
        await connection.execute(_REFENCE, job_id, job.fence)
        return Refused("done", json.loads(row["outcome"]))
    return Refused("stale_fence" if row["fence"] > job.fence else "alive_elsewhere")


async def beat(connection: asyncpg.Connection | asyncpg.Pool, job_id: str, token: uuid.UUID) -> int | None:
    """Say that the run is alive; the next sequence number, or None when the run was cancelled or taken over."""
    return await connection.fetchval(_BEAT, uuid.UUID(job_id), token)  # type: ignore[no-any-return]


async def release(pool: asyncpg.Pool, job_id: str, token: uuid.UUID) -> None:
    """Let another copy take over at once instead of after the heartbeat timeout."""
    await pool.execute(_RELEASE, uuid.UUID(job_id), token)


async def finish(connection: asyncpg.Connection, job_id: str, token: uuid.UUID, outcome: dict[str, Any]) -> bool:
    """End the run on the caller's transaction; False when it is no longer this copy's to end."""
    text = json.dumps(outcome, ensure_ascii=False)
    return await connection.fetchval(_FINISH, uuid.UUID(job_id), token, text) is not None


async def cancel(connection: asyncpg.Connection, message: JobCancelled) -> None:
    """Never start it, or stop it at its next step. A job that has ended stays ended."""
    await connection.execute(_CANCEL, uuid.UUID(message.job_id), message.fence)


async def prune(pool: asyncpg.Pool, older_than_days: int) -> None:
    await pool.execute(_PRUNE, older_than_days)
