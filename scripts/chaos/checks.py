"""What must be true when the dust has settled, read from the services' own tables."""

from dataclasses import dataclass
from typing import Any

import asyncpg

_UNSETTLED = """
SELECT (SELECT count(*) FROM intake.ai_jobs WHERE status IN ('queued', 'processing'))
     + (SELECT count(*) FROM intake.outbox) + (SELECT count(*) FROM grader.outbox)
     + (SELECT count(*) FROM notifier.outbox)
     + (SELECT count(*) FROM intake.ai_jobs AS job WHERE job.status = 'failed' AND NOT EXISTS (
            SELECT FROM notifier.notifications AS note
            WHERE note.about = job.id::text AND note.audience IN ('user', 'holder')))
"""
"""Open jobs, unpublished messages, and ends nobody was told of yet: what a broker still holds shows there."""
_STATUSES = "SELECT query, status, count(*) AS jobs FROM intake.ai_jobs GROUP BY query, status"
_ENDS = """
SELECT count(*) FROM (
    SELECT job_id FROM intake.ai_job_logs WHERE status IN ('completed', 'failed', 'cancelled')
    GROUP BY job_id HAVING count(*) > 1
) AS twice
"""
_WITHOUT_END = """
SELECT count(*) FROM intake.ai_jobs AS job WHERE NOT EXISTS (
    SELECT FROM intake.ai_job_logs AS log
    WHERE log.job_id = job.id AND log.status IN ('completed', 'failed', 'cancelled'))
"""
_EFFECTS = """
SELECT count(*) AS effects, count(DISTINCT job_id) AS jobs,
    (SELECT count(*) FROM intake.ai_jobs AS job WHERE job.status = 'completed' AND NOT EXISTS (
        SELECT FROM grader.stand_in_effects AS effect WHERE effect.job_id = job.id)) AS missing,
    (SELECT count(*) FROM grader.stand_in_effects AS effect JOIN intake.ai_jobs AS job ON job.id = effect.job_id
     WHERE job.status <> 'completed') AS of_jobs_not_completed
FROM grader.stand_in_effects
"""
_NOTIFIED = """
SELECT count(*) FROM intake.ai_jobs AS job WHERE job.status = 'failed' AND (
    SELECT count(*) FROM notifier.notifications AS note
    WHERE note.about = job.id::text AND note.audience IN ('user', 'holder')) <> 1
"""
_DEAD = (
    "SELECT error_code, count(*) AS letters FROM {schema}.dead_letters WHERE resolved_at IS NULL GROUP BY error_code"
)


@dataclass(frozen=True)
class Finding:
    name: str
    expected: Any
    found: Any

    @property
    def holds(self) -> bool:
        return bool(self.expected == self.found)


async def is_settled(admin: asyncpg.Connection) -> bool:
    return not await admin.fetchval(_UNSETTLED)


async def findings(admin: asyncpg.Connection, submitted: dict[str, int]) -> list[Finding]:
    """``submitted``: jobs by query. Every promise with what was found."""
    statuses: dict[str, dict[str, int]] = {}
    for row in await admin.fetch(_STATUSES):
        statuses.setdefault(row["query"], {})[row["status"]] = row["jobs"]
    expected = {
        query: {("failed" if query == "poison" else "completed"): count} for query, count in submitted.items() if count
    }
    effects = await admin.fetchrow(_EFFECTS)
    assert effects is not None  # noqa: S101 - an aggregate always has a row
    return [
        Finding("jobs by query and status", expected, statuses),
        Finding("jobs that ended twice", 0, await admin.fetchval(_ENDS)),
        Finding("jobs without an end in their log", 0, await admin.fetchval(_WITHOUT_END)),
        Finding("effects per job with an effect", effects["jobs"], effects["effects"]),
        Finding("completed jobs without their effect", 0, effects["missing"]),
        Finding("effects of jobs that did not complete", 0, effects["of_jobs_not_completed"]),
        Finding("failed jobs not notified exactly once", 0, await admin.fetchval(_NOTIFIED)),
    ]


async def dead_letters(admin: asyncpg.Connection) -> dict[str, dict[str, int]]:
    """Open dead letters by service and error code."""
    found = {}
    for schema in ("intake", "grader", "notifier"):
        rows = await admin.fetch(_DEAD.format(schema=schema))
        found[schema] = {row["error_code"]: row["letters"] for row in rows}
    return found
