"""The cron table: its API, and one job per due time however often it is told."""

import asyncio
import json
from datetime import UTC, datetime

import httpx
import pytest

from contracts.jobs import ScheduleDue
from services.intake.clock import Clock
from services.intake.handlers import ScheduledJobs
from services.kernel.database.unit_of_work import Database
from services.kernel.errors import PermanentError
from tests.integration.intake.conftest import Running
from tests.integration.intake.support import UNLIMITED
from tests.support.running import bearer
from tests.support.services import emitted, opened, until

ADMIN = bearer("root", "admin")
BODY = {
    "cron": "*/5 * * * *",
    "timezone": "Asia/Seoul",
    "type": "grading",
    "query": "q",
    "options": {"priority": "low"},
}


async def _set_due(database: Database, at: str = "now() - interval '10 seconds'") -> None:
    await database.execute(
        f"UPDATE schedules SET next_due_at = {at}, cron = '* * * * *' WHERE name = 'daily-problems-pa'"
    )
    await database.execute("UPDATE schedules SET enabled = false WHERE name <> 'daily-problems-pa'")


async def test_the_daily_problem_sets_are_there_from_the_start(http: httpx.AsyncClient) -> None:
    listed = (await http.get("/api/ai/schedules", headers=ADMIN)).json()["schedules"]
    found = {schedule["name"]: schedule for schedule in listed}
    for data_type in ("pa", "stream"):
        schedule = found[f"daily-problems-{data_type}"]
        assert (schedule["cron"], schedule["timezone"]) == ("0 1 * * *", "Asia/Seoul")
        assert (schedule["type"], schedule["options"]) == ("problem_generation", {"data_type": data_type})


async def test_the_clock_works_out_the_first_due_time_without_firing(database: Database) -> None:
    assert await Clock(database).tick() == 0
    due = await database.pool.fetchval("SELECT next_due_at FROM schedules WHERE name = 'daily-problems-pa'")
    assert (due.astimezone(UTC).hour, due > datetime.now(UTC)) == (16, True)
    assert await emitted(database, ScheduleDue) == []


async def test_replicas_publish_a_due_time_once(database_url: str, database: Database) -> None:
    await _set_due(database)
    async with opened(database_url, "intake") as other:
        counts = await asyncio.gather(*(Clock(replica).tick() for replica in (database, other, database, other)))
    assert sum(counts) == 1
    [message] = await emitted(database, ScheduleDue)
    assert message.schedule_name == "daily-problems-pa"


async def test_missed_times_are_made_up_for_once(database: Database) -> None:
    await _set_due(database, "now() - interval '3 hours'")
    assert await Clock(database).tick() == 1
    assert await Clock(database).tick() == 0
    [message] = await emitted(database, ScheduleDue)
    assert (datetime.now(UTC) - message.due_at).total_seconds() < 61


async def test_a_broken_line_stops_no_other(database: Database) -> None:
    await _set_due(database)
    await database.execute("UPDATE schedules SET cron = 'never', enabled = true WHERE name = 'daily-problems-stream'")
    assert await Clock(database).tick() == 1


async def test_due_twice_is_one_job(database: Database) -> None:
    jobs = ScheduledJobs(UNLIMITED)
    due = datetime(2026, 9, 1, 16, 0, tzinfo=UTC)
    for late in (0, 2):
        async with database.transaction() as unit:
            await jobs.due(ScheduleDue(schedule_name="daily-problems-pa", due_at=due.replace(second=late)), unit)
    [row] = await database.fetch("SELECT * FROM ai_jobs")
    assert (row["type"], row["worker"], row["user_id"]) == ("problem_generation", "generator", None)
    assert json.loads(row["options"]) == {"data_type": "pa"}
    assert json.loads(row["metadata"]) == {"schedule": "daily-problems-pa", "dueAt": due.isoformat()}


async def test_unknown_schedules_are_for_the_dead_letters_and_sleeping_ones_are_not(database: Database) -> None:
    jobs = ScheduledJobs(UNLIMITED)
    now = datetime.now(UTC)
    with pytest.raises(PermanentError, match="nothing-such"):
        async with database.transaction() as unit:
            await jobs.due(ScheduleDue(schedule_name="nothing-such", due_at=now), unit)
    await database.execute("UPDATE schedules SET enabled = false")
    async with database.transaction() as unit:
        await jobs.due(ScheduleDue(schedule_name="daily-problems-pa", due_at=now), unit)
    assert await database.pool.fetchval("SELECT count(*) FROM ai_jobs") == 0


async def test_a_due_schedule_becomes_a_job_end_to_end(intake: Running) -> None:
    await _set_due(intake.database)

    async def released() -> bool:
        return bool(await intake.database.pool.fetchval("SELECT count(*) FROM ai_jobs WHERE fence = 1"))

    await until(released)
    job = await intake.database.fetchrow("SELECT * FROM ai_jobs WHERE fence = 1 ORDER BY created_at LIMIT 1")
    assert job is not None
    assert (job["type"], job["worker"], job["status"]) == ("problem_generation", "generator", "queued")
    assert json.loads(job["options"]) == {"data_type": "pa"}
    assert json.loads(job["metadata"])["schedule"] == "daily-problems-pa"
    due = await intake.database.pool.fetchval("SELECT next_due_at FROM schedules WHERE name = 'daily-problems-pa'")
    assert due > datetime.fromisoformat(json.loads(job["metadata"])["dueAt"])


async def test_schedules_are_kept_by_administrators(http: httpx.AsyncClient) -> None:
    path = "/api/ai/schedules/weekly-test"
    assert (await http.put(path, json=BODY)).status_code == 401
    assert (await http.put(path, json=BODY, headers=bearer("ada"))).status_code == 403
    made = await http.put(path, json=BODY, headers=ADMIN)
    assert made.status_code == 201
    assert made.json()["priority"] == "low"
    assert made.json()["nextDueAt"]
    assert (await http.put(path, json={**BODY, "enabled": False}, headers=ADMIN)).status_code == 200
    assert (await http.get(path, headers=ADMIN)).json()["enabled"] is False
    assert (await http.delete(path, headers=ADMIN)).status_code == 204
    assert (await http.delete(path, headers=ADMIN)).status_code == 404
    assert (await http.get(path, headers=ADMIN)).status_code == 404


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"cron": "61 * * * *"}, "cron"),
        ({"cron": "0 0 30 2 *"}, "cron"),
        ({"cron": "* * * * * *"}, "cron"),
        ({"cron": "@daily"}, "cron"),
        ({"timezone": "Mars/Olympus"}, "timezone"),
        ({"timezone": "../../etc/passwd"}, "timezone"),
        ({"timezone": "a\x00b"}, "timezone"),
        ({"type": "prophecy"}, "type"),
        ({"query": " "}, "query"),
        ({"extra": 1}, "extra"),
        ({"options": {"metadata": {"schedule": "x"}}}, "options.metadata"),
    ],
)
async def test_schedules_that_cannot_be(served: str, change: dict[str, object], field: str) -> None:
    async with httpx.AsyncClient(base_url=served) as client:
        answer = await client.put("/api/ai/schedules/wrong", json={**BODY, **change}, headers=ADMIN)
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["field"] == field
