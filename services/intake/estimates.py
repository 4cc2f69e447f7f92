"""How long a new job will take: what jobs of its type took lately, and how many are ahead."""

import math

import asyncpg

from services.intake.domain.jobs import served_types
from services.kernel.loops import every

REFRESH_SECONDS = 5.0
UNKNOWN_SECONDS = 10.0
"""Expected of a type none of which has completed yet."""

_RUN_SECONDS = """
SELECT type, avg(extract(epoch FROM completed_at - started_at))::float8 AS seconds
FROM unnest($1::text[]) AS asked(name) CROSS JOIN LATERAL (
    SELECT type, status, started_at, completed_at FROM ai_jobs
    WHERE type = asked.name ORDER BY created_at DESC LIMIT 200
) AS recent
WHERE status = 'completed' GROUP BY type
"""
_AHEAD = """
SELECT worker, (
    SELECT count(*) FROM (
        SELECT 1 FROM ai_jobs WHERE worker = known.worker AND status = 'queued' AND released_at IS NULL LIMIT 10000
    ) AS capped
) AS waiting
FROM dispatch_windows AS known
"""


class Estimates:
    """``concurrency``: jobs one worker service is taken to run at once."""

    def __init__(self, pool: asyncpg.Pool, concurrency: int) -> None:
        self._pool = pool
        self._concurrency = concurrency
        self._run_seconds: dict[str, float] = {}
        self._ahead: dict[str, int] = {}

    def seconds(self, job_type: str, worker: str) -> int:
        """Whole seconds from now to the end of a job created now; at least 1."""
        one = self._run_seconds.get(job_type, UNKNOWN_SECONDS)
        return max(1, math.ceil(one * (1 + self._ahead.get(worker, 0) / self._concurrency)))

    async def run(self) -> None:
        """Keep the figures fresh until cancelled."""
        await every(REFRESH_SECONDS, "estimates", self.refresh)

    async def refresh(self) -> None:
        """Raises asyncpg.PostgresError or OSError, as the database says."""
        rows = await self._pool.fetch(_RUN_SECONDS, served_types())
        self._run_seconds = {row["type"]: row["seconds"] for row in rows}
        self._ahead = {row["worker"]: row["waiting"] for row in await self._pool.fetch(_AHEAD)}
