"""Jobs of workers that died: taken back, given up in the end, by any number of reapers."""

import asyncio

import pytest

from contracts.alerts import AlertRaised
from contracts.jobs import JobCancelled, JobFailed, JobRequested
from services.intake.dispatcher import Dispatcher
from services.intake.domain.jobs import NewJob
from services.intake.reaper import WORKER_LOST, Patience, Reaper
from services.kernel.database.unit_of_work import Database
from tests.integration.intake.support import add_jobs, new_job
from tests.support.services import emitted, opened

PATIENCE = Patience(silence=30, start=900, max_releases=3)


def _reaper(database: Database, freed: list[str] | None = None) -> Reaper:
    return Reaper(database, PATIENCE, (freed if freed is not None else []).append)


async def _silence(database: Database, seconds: int) -> None:
    await database.execute("UPDATE ai_jobs SET heartbeat_at = now() - make_interval(secs => $1)", float(seconds))


async def _start(database: Database) -> None:
    await database.execute("UPDATE ai_jobs SET status = 'processing', started_at = now(), sequence = 5")


@pytest.fixture
async def job(database: Database) -> NewJob:
    """A job let out under fence 1."""
    made = new_job("ada")
    await add_jobs(database, [made])
    assert await Dispatcher(database, ["grader"], capacity=8, seconds_ahead=0).dispatch("grader") == 1
    return made


async def test_a_lively_job_stays_with_its_worker(database: Database, job: NewJob) -> None:
    await _start(database)
    await _silence(database, 29)
    assert await _reaper(database).reap() == 0


async def test_a_silent_job_is_released_again_under_a_higher_fence(database: Database, job: NewJob) -> None:
    await _start(database)
    await _silence(database, 31)
    assert await _reaper(database).reap() == 1
    assert await _reaper(database).reap() == 0
    requests = await emitted(database, JobRequested)
    assert [(request.job_id, request.fence) for request in requests] == [(str(job.id), 1), (str(job.id), 2)]
    row = await database.fetchrow("SELECT status, fence, sequence FROM ai_jobs")
    assert row is not None
    assert tuple(row) == ("processing", 2, 0)


async def test_a_job_nobody_began_may_wait_longer(database: Database, job: NewJob) -> None:
    await _silence(database, 899)
    assert await _reaper(database).reap() == 0
    await _silence(database, 901)
    assert await _reaper(database).reap() == 1


async def test_after_its_last_release_it_fails_with_a_clear_error(database: Database, job: NewJob) -> None:
    freed: list[str] = []
    reaper = _reaper(database, freed)
    await _start(database)
    for _ in range(3):
        await _silence(database, 31)
        assert await reaper.reap() == 1
    await _silence(database, 31)
    assert await reaper.reap() == 0
    row = await database.fetchrow("SELECT status, error, completed_at FROM ai_jobs")
    assert row is not None
    assert row["status"] == "failed"
    assert "silent 3 times" in row["error"]
    [end] = await emitted(database, JobFailed)
    assert (end.job_id, end.error_code, end.retryable, end.fence) == (str(job.id), WORKER_LOST, True, 3)
    [stop] = await emitted(database, JobCancelled)
    assert (stop.fence, stop.was_running) == (3, True)
    [alert] = await emitted(database, AlertRaised)
    assert (alert.about, alert.user_id) == (str(job.id), "ada")
    assert freed == ["grader"]
    assert await database.pool.fetchval("SELECT max(seq) FROM ai_job_logs WHERE status = 'failed'") == 2


async def test_reapers_neither_wait_for_each_other_nor_take_a_job_twice(database_url: str, database: Database) -> None:
    await add_jobs(database, [new_job() for _ in range(150)])
    await Dispatcher(database, ["grader"], capacity=150, seconds_ahead=0).dispatch("grader")
    await _start(database)
    await _silence(database, 31)
    async with opened(database_url, "intake") as other, other.pool.acquire() as holder:
        async with holder.transaction():
            # Somebody holds one of the rows and does not let go.
            held = await holder.fetchval("SELECT id FROM ai_jobs ORDER BY id LIMIT 1 FOR UPDATE")
            counts = await asyncio.gather(*(_reaper(database).reap() for _ in range(3)))
        assert sum(counts) == 149
    fences = await database.fetch("SELECT id, fence FROM ai_jobs")
    assert {row["fence"] for row in fences if row["id"] != held} == {2}
    assert {row["fence"] for row in fences if row["id"] == held} == {1}
