"""What must be true when the dust has settled, read from the services' own tables."""

from dataclasses import dataclass
from typing import Any

import asyncpg

_UNHEARD = """
SELECT count(*) FROM intake.ai_jobs AS job WHERE job.status IN ('completed', 'failed') AND NOT EXISTS (
    SELECT FROM notifier.inbox AS heard WHERE heard.message_id = job.id || ':' || job.fence || ':end')
"""
_UNREADABLE = "SELECT count(*) FROM {schema}.dead_letters WHERE error_code = 'malformed_message'"
_UNSETTLED = f"""
SELECT (SELECT count(*) FROM intake.ai_jobs WHERE status IN ('queued', 'processing'))
     + (SELECT count(*) FROM intake.outbox) + (SELECT count(*) FROM grader.outbox)
     + (SELECT count(*) FROM notifier.outbox) + ({_UNHEARD})
     + greatest(0, $1 - ({_UNREADABLE.format(schema="intake")}))
     + greatest(0, $1 - ({_UNREADABLE.format(schema="notifier")}))
"""
"""Open jobs, unpublished messages, and messages that have not had their effect: what a broker still holds."""
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


async def is_settled(admin: asyncpg.Connection, unreadable: int) -> bool:
    """Whether all that was sent has had its effect, ``unreadable`` messages in both their readers included."""
    return not await admin.fetchval(_UNSETTLED, unreadable)


async def findings(admin: asyncpg.Connection, submitted: dict[str, int], unreadable: int) -> list[Finding]:
    """``submitted``: jobs by query. ``unreadable``: messages that must have become dead letters.
    Every promise with what was found."""
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
        Finding("ends the notifier never heard of", 0, await admin.fetchval(_UNHEARD)),
        *[
            Finding(f"dead letters of unreadable messages, {schema}", unreadable, await _unreadable(admin, schema))
            for schema in ("intake", "notifier")
        ],
    ]


async def _unreadable(admin: asyncpg.Connection, schema: str) -> int:
    return int(await admin.fetchval(_UNREADABLE.format(schema=schema)))


async def dead_letters(admin: asyncpg.Connection) -> dict[str, dict[str, int]]:
    """Open dead letters by service and error code."""
    found = {}
    for schema in ("intake", "grader", "notifier"):
        rows = await admin.fetch(_DEAD.format(schema=schema))
        found[schema] = {row["error_code"]: row["letters"] for row in rows}
    return found
