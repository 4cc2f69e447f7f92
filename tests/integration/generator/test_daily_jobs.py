"""The daily set and the tip of the day: once per date, however often they are asked for."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from contracts.jobs import JobFailed, JobRequested, JobSucceeded
from contracts.problems import ProblemPublished
from services.kernel.database.unit_of_work import Database
from tests.integration.generator.conftest import MakeWorker
from tests.integration.generator.scripted import Script
from tests.support.services import delivery_of, emitted, job_requested, until


def scheduled(due_at: str = "2026-11-20T16:00:00+00:00", **options: Any) -> JobRequested:
    """As intake's clock makes it: 16:00 UTC is 01:00 of the next day in Seoul."""
    metadata = {"schedule": "daily-problems-pa", "dueAt": due_at}
    return job_requested(
        "problem_generation", "Daily practice", options={"data_type": "pa", "metadata": metadata, **options}
    )


async def results(database: Database) -> list[dict[str, Any]]:
    return [json.loads(end.result) for end in await emitted(database, JobSucceeded)]


async def test_the_day_of_a_set_is_seouls(database: Database, make_worker: MakeWorker) -> None:
    await make_worker().dispatch(delivery_of(scheduled()))
    [result] = await results(database)
    assert (result["problem_date"], result["set_index"]) == ("2026-11-21", 0)


async def test_a_day_asked_for_twice_is_published_once(database: Database, make_worker: MakeWorker) -> None:
    worker = make_worker()
    assert await worker.dispatch(delivery_of(scheduled())) == "ack"
    assert await worker.dispatch(delivery_of(scheduled())) == "ack"
    first, second = await results(database)
    assert len(await emitted(database, ProblemPublished)) == 3
    assert second["already_published"]
    assert second["problems"] == first["problems"]


async def test_another_day_is_another_set(database: Database, make_worker: MakeWorker) -> None:
    worker = make_worker()
    await worker.dispatch(delivery_of(scheduled()))
    await worker.dispatch(delivery_of(scheduled("2026-11-21T16:00:00+00:00")))
    assert [result["problem_date"] for result in await results(database)] == ["2026-11-21", "2026-11-22"]
    assert len(await emitted(database, ProblemPublished)) == 6


async def test_a_second_job_of_the_day_waits_for_the_first(database: Database, make_worker: MakeWorker) -> None:
    worker = make_worker()
    jobs = [scheduled(), scheduled()]
    assert await asyncio.gather(*(worker.dispatch(delivery_of(job)) for job in jobs)) == ["ack", "ack"]
    assert len(await emitted(database, ProblemPublished)) == 3
    assert sorted(bool(result.get("already_published")) for result in await results(database)) == [False, True]
    assert await emitted(database, JobFailed) == []


async def test_a_second_job_goes_on_where_a_dead_one_stopped(
    database: Database, make_worker: MakeWorker, tmp_path: Path
) -> None:
    script = Script(hang_before=1)
    dying = asyncio.create_task(make_worker(script).dispatch(delivery_of(scheduled(count=4))))

    async def first_chunk_is_kept() -> bool:
        return bool(await database.pool.fetchval("SELECT coalesce(max(chunks), 0) >= 1 FROM problem_sets"))

    await until(first_chunk_is_kept)
    dying.cancel()
    with pytest.raises(asyncio.CancelledError):
        await dying
    starts = tmp_path / "starts"
    assert await make_worker(Script(starts=starts)).dispatch(delivery_of(scheduled(count=4))) == "ack"
    assert starts.read_text().splitlines() == ["1 2 4"]
    assert len(await emitted(database, ProblemPublished)) == 4


async def test_a_job_whose_day_was_taken_over_publishes_nothing(database: Database, make_worker: MakeWorker) -> None:
    """It was silent for too long: another job took the set, and only that one may publish it."""
    stalled = scheduled(count=2)
    running = asyncio.create_task(make_worker(Script(hang_before=0)).dispatch(delivery_of(stalled)))

    async def claimed() -> bool:
        return bool(await database.pool.fetchval("SELECT count(*) = 1 FROM problem_sets"))

    await until(claimed)
    await database.execute("UPDATE job_runs SET heartbeat_at = now() - interval '1 hour'")
    await make_worker().dispatch(delivery_of(scheduled(count=2)))
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert await make_worker().dispatch(delivery_of(stalled, 2)) == "ack"
    assert len(await emitted(database, ProblemPublished)) == 2
    assert [bool(result.get("already_published")) for result in await results(database)] == [False, True]


async def test_only_a_schedule_fills_a_day(database: Database, make_worker: MakeWorker) -> None:
    await make_worker().dispatch(delivery_of(job_requested("problem_generation", {"data_type": "pa", "daily": True})))
    [failed] = await emitted(database, JobFailed)
    assert failed.error_message.startswith("daily: ")


async def test_a_day_has_one_tip_in_both_languages(database: Database, make_worker: MakeWorker) -> None:
    worker = make_worker()
    for _ in range(2):
        await worker.dispatch(delivery_of(job_requested("daily_tip", '{"tip_date": "2026-11-21"}')))
    first, second = await results(database)
    assert first["content"] == second["content"]
    assert first["content"]["ko"]
    assert first["content"]["en"]
    assert await database.pool.fetchval("SELECT count(*) FROM daily_tips") == 1
    assert await database.pool.fetchval("SELECT count(*) FROM worker_logs WHERE status = 'succeeded'") == 2


@pytest.mark.parametrize("query", ['{"tip_date": "tomorrow"}', '{"tip_date": 5}', '{"tip_date": '])
async def test_a_date_that_is_none_fails_by_name(database: Database, make_worker: MakeWorker, query: str) -> None:
    await make_worker().dispatch(delivery_of(job_requested("daily_tip", query)))
    [failed] = await emitted(database, JobFailed)
    assert failed.error_code == "invalid_request"
    assert not failed.retryable
