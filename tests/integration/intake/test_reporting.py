"""Workers' reports: what counts, what is ignored, and what a broken one cannot do."""

import json
from typing import Any

import pytest

from contracts.jobs import JobFailed, JobProgressed, JobSucceeded
from contracts.message import Message
from services.intake import handlers
from services.intake.adapters import log
from services.intake.dispatcher import Dispatcher
from services.intake.domain.jobs import NewJob
from services.kernel.database.unit_of_work import Database
from services.kernel.errors import PermanentError
from tests.integration.intake.conftest import failed, progressed, succeeded
from tests.integration.intake.support import add_jobs, new_job


async def _handle(database: Database, *messages: Message) -> None:
    """As a consumer does: one transaction for all."""
    handling = {
        JobProgressed: handlers.job_progressed,
        JobSucceeded: handlers.job_succeeded,
        JobFailed: handlers.job_failed,
    }
    async with database.transaction() as unit:
        for message in messages:
            await handling[type(message)](message, unit)


@pytest.fixture
async def job(database: Database) -> NewJob:
    """A job let out under fence 1."""
    made = new_job("ada")
    await add_jobs(database, [made])
    assert await Dispatcher(database, ["grader"], capacity=8, seconds_ahead=0).dispatch("grader") == 1
    return made


async def _row(database: Database, job: NewJob) -> Any:
    return await database.fetchrow("SELECT * FROM ai_jobs WHERE id = $1", job.id)


async def _log(database: Database, job: NewJob) -> list[tuple[int, str, int, str | None]]:
    return [(e.seq, e.status, e.progress, e.step) for e in await log.since(database.pool, {job.id: 0})]


async def test_a_job_from_start_to_end(database: Database, job: NewJob) -> None:
    job_id = str(job.id)
    await _handle(database, progressed(job_id))
    await _handle(database, progressed(job_id, sequence=2, progress=20, step="collecting"))
    await _handle(database, progressed(job_id, sequence=3, progress=50, step="analysing"))
    await _handle(database, succeeded(job_id, result='{"verdict":"correct"}'))
    row = await _row(database, job)
    assert (row["status"], row["progress"], row["error"]) == ("completed", 100, None)
    assert json.loads(row["result"]) == {"verdict": "correct"}
    assert row["created_at"] <= row["started_at"] <= row["completed_at"]
    assert await _log(database, job) == [
        (1, "queued", 0, None),
        (2, "processing", 0, "started"),
        (3, "processing", 20, "collecting"),
        (4, "processing", 50, "analysing"),
        (5, "completed", 100, "analysing"),
    ]


async def test_one_batch_keeps_every_step(database: Database, job: NewJob) -> None:
    job_id = str(job.id)
    await _handle(database, *(progressed(job_id, sequence=n, progress=n * 10, step=f"s{n}") for n in (1, 2, 3)))
    assert [step for *_, step in await _log(database, job)] == [None, "s1", "s2", "s3"]


@pytest.mark.parametrize(
    "late",
    [
        {"fence": 1, "sequence": 5},
        {"fence": 1, "sequence": 4},
    ],
)
async def test_old_sequence_numbers_are_ignored(database: Database, job: NewJob, late: dict[str, int]) -> None:
    await _handle(database, progressed(str(job.id), sequence=5, progress=50, step="now"))
    await _handle(database, progressed(str(job.id), progress=90, step="late", **late))
    row = await _row(database, job)
    assert (row["progress"], row["current_step"]) == (50, "now")


async def test_old_fences_are_ignored_and_progress_never_goes_back(database: Database, job: NewJob) -> None:
    job_id = str(job.id)
    await _handle(database, progressed(job_id, sequence=7, progress=60, step="first copy"))
    await database.execute("UPDATE ai_jobs SET fence = 2, sequence = 0")
    await _handle(
        database,
        progressed(job_id, fence=1, sequence=8, progress=80, step="zombie"),
        succeeded(job_id, fence=1, result='"zombie"'),
        failed(job_id, fence=1),
    )
    await _handle(database, progressed(job_id, fence=2, sequence=1, progress=10, step="second copy"))
    row = await _row(database, job)
    assert (row["status"], row["progress"], row["current_step"]) == ("processing", 60, "second copy")
    await _handle(database, succeeded(job_id, fence=2, result='"right"'))
    assert json.loads((await _row(database, job))["result"]) == "right"


async def test_nothing_follows_an_end(database: Database, job: NewJob) -> None:
    job_id = str(job.id)
    await _handle(database, failed(job_id, error_message="no such table"), succeeded(job_id))
    await _handle(database, progressed(job_id, sequence=9, progress=99), succeeded(job_id))
    row = await _row(database, job)
    assert (row["status"], row["error"], row["result"]) == ("failed", "no such table", None)
    assert [status for _, status, *_ in await _log(database, job)] == ["queued", "failed"]


async def test_a_heartbeat_without_news_keeps_the_job_and_logs_nothing(database: Database, job: NewJob) -> None:
    await _handle(database, progressed(str(job.id), sequence=1, progress=10, step="long step"))
    before = await _row(database, job)
    await _handle(database, progressed(str(job.id), sequence=2, progress=10, step="long step"))
    after = await _row(database, job)
    assert after["heartbeat_at"] > before["heartbeat_at"]
    assert len(await _log(database, job)) == 2


async def test_what_postgres_cannot_keep_is_removed_with_a_note(database: Database, job: NewJob) -> None:
    await _handle(database, progressed(str(job.id), step="a\x00b"))
    await _handle(database, succeeded(str(job.id), result='{"text":"x\\u0000y","half":"\\ud83d"}'))
    row = await _row(database, job)
    assert row["current_step"] == "ab"
    assert json.loads(row["result"]) == {"text": "xy", "half": "�"}
    last = (await log.since(database.pool, {job.id: 0}))[-1]
    assert "removed" in json.loads(last.details or "{}")["note"]


async def test_errors_keep_their_words(database: Database, job: NewJob) -> None:
    await _handle(database, failed(str(job.id), error_message="표가\x00 없습니다"))
    assert (await _row(database, job))["error"] == "표가 없습니다"


@pytest.mark.parametrize(
    ("result", "kept"),
    [
        ('{"a":1}', {"a": 1, "metadata": {"routing": {"complexity": "simple"}}}),
        ('{"metadata":{"own":1}}', {"metadata": {"own": 1, "routing": {"complexity": "simple"}}}),
        ('{"metadata":"own"}', {"metadata": "own"}),
        ("[1,2]", [1, 2]),
    ],
)
async def test_routing_is_explained_in_the_results_metadata(database: Database, result: str, kept: object) -> None:
    made = new_job(metadata='{"routing":{"complexity":"simple"}}')
    await add_jobs(database, [made])
    await Dispatcher(database, ["grader"], capacity=8, seconds_ahead=0).dispatch("grader")
    await _handle(database, succeeded(str(made.id), result=result))
    assert json.loads((await _row(database, made))["result"]) == kept


async def test_a_report_about_no_job_is_for_the_dead_letters(database: Database) -> None:
    with pytest.raises(PermanentError, match="not a UUID"):
        await _handle(database, progressed("job-1"))
    await _handle(database, progressed("00000000-0000-0000-0000-000000000000"))
    assert await database.pool.fetchval("SELECT count(*) FROM ai_job_logs") == 0
