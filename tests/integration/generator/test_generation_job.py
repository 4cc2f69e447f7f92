"""A generation job: problems kept, published once with its end, and continued where it stopped."""

import asyncio
import json
import os
from pathlib import Path

import pytest

from contracts.jobs import JobCancelled, JobFailed, JobProgressed, JobSucceeded
from contracts.problems import ProblemPublished
from services.kernel.database.unit_of_work import Database
from services.kernel.jobs import context as context_module
from services.kernel.jobs import runs
from services.kernel.storage import GoogleCloudStorage, table_object
from tests.integration.generator.conftest import MakeWorker
from tests.integration.generator.scripted import SECRET, Script
from tests.support.services import delivery_of, emitted, job_requested, until


async def test_problems_are_published_with_the_jobs_end(
    database: Database, make_worker: MakeWorker, objects: GoogleCloudStorage
) -> None:
    job = job_requested("problem_generation", {"data_type": "pa", "count": 5})
    assert await make_worker(Script(drop={"empty": 2})).dispatch(delivery_of(job)) == "ack"
    published = await emitted(database, ProblemPublished)
    [end] = await emitted(database, JobSucceeded)
    result = json.loads(end.result)
    assert len(published) == len(result["problems"]) == result["published"] == 5
    assert result["dropped"] == {"empty": 6}
    assert result["sources"] == ["offline"]
    assert {p.problem_id for p in published} == {p["id"] for p in result["problems"]}
    assert {p.job_id for p in published} == {job.job_id}
    base, small = published[0].datasets
    assert (base.kind, base.inline, small.kind, small.uri) == ("base", "{}", "small", "")
    assert await objects.read(table_object(base.uri, "members")) == b"PAR1 the same bytes every time PAR1"


async def test_a_client_never_sees_the_reference_sql(database: Database, make_worker: MakeWorker) -> None:
    await make_worker().dispatch(delivery_of(job_requested("problem_generation", "pa")))
    [end] = await emitted(database, JobSucceeded)
    assert SECRET not in end.result
    assert "HAVING" not in end.result
    assert "reference" not in end.result
    for report in await emitted(database, JobProgressed):
        assert SECRET not in report.to_bytes().decode()


async def test_steps_are_reported_in_order(
    database: Database, make_worker: MakeWorker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(context_module, "PROGRESS_BURST", 100)
    await make_worker().dispatch(delivery_of(job_requested("problem_generation", {"data_type": "pa", "count": 4})))
    reports = [(r.step, r.progress) for r in await emitted(database, JobProgressed)]
    assert reports[0] == ("started", 0)
    assert ("collecting data", 20) in reports
    assert [progress for _, progress in reports] == sorted(progress for _, progress in reports)


async def test_a_delivery_repeated_after_its_ack_was_lost_changes_nothing(
    database: Database, make_worker: MakeWorker
) -> None:
    job = job_requested("problem_generation", "pa")
    worker = make_worker()
    assert await worker.dispatch(delivery_of(job)) == "ack"
    assert await worker.dispatch(delivery_of(job, 2)) == "ack"
    assert len(await emitted(database, JobSucceeded)) == 1
    assert len(await emitted(database, ProblemPublished)) == 3


async def test_a_composer_that_dies_half_way_is_continued_where_it_stopped(
    database: Database, make_worker: MakeWorker, tmp_path: Path
) -> None:
    script = Script(die_before=1, once=tmp_path / "died", starts=tmp_path / "starts")
    worker = make_worker(script)
    job = job_requested("problem_generation", {"data_type": "pa", "count": 5})
    assert await worker.dispatch(delivery_of(job, 1)) == "nack"
    assert await emitted(database, ProblemPublished) == []
    assert await worker.dispatch(delivery_of(job, 2)) == "ack"
    assert (tmp_path / "starts").read_text().splitlines() == ["0 0 5", "1 2 5"]
    assert len(await emitted(database, ProblemPublished)) == 5
    [end] = await emitted(database, JobSucceeded)
    assert json.loads(end.result)["published"] == 5


async def test_what_was_finished_before_a_lasting_failure_stays(database: Database, make_worker: MakeWorker) -> None:
    job = job_requested("problem_generation", {"data_type": "pa", "count": 5})
    await make_worker(Script(refuse_before=1)).dispatch(delivery_of(job))
    [end] = await emitted(database, JobSucceeded)
    result = json.loads(end.result)
    assert (result["requested"], result["published"]) == (5, 2)
    assert result["incomplete"] == "the model's quota of the day is spent"
    assert len(await emitted(database, ProblemPublished)) == 2


async def test_a_job_that_made_nothing_fails_and_says_why(database: Database, make_worker: MakeWorker) -> None:
    job = job_requested("problem_generation", "stream")
    await make_worker(Script(refuse_before=0)).dispatch(delivery_of(job))
    [failed] = await emitted(database, JobFailed)
    assert failed.error_code == "no_problem_made"
    assert "the model's quota of the day is spent" in failed.error_message
    row = await database.fetchrow("SELECT status, error_message FROM worker_logs")
    assert row is not None
    assert row["status"] == "failed"
    assert "quota" in row["error_message"]


async def test_a_title_used_twice_is_dropped_and_counted(database: Database, make_worker: MakeWorker) -> None:
    job = job_requested("problem_generation", {"data_type": "pa", "count": 3})
    await make_worker(Script(titles="always the same")).dispatch(delivery_of(job))
    [end] = await emitted(database, JobSucceeded)
    result = json.loads(end.result)
    assert result["published"] == 1
    assert result["dropped"] == {"duplicate_title": 2}
    assert result["incomplete"]


async def test_each_job_on_demand_makes_a_set_of_its_own(database: Database, make_worker: MakeWorker) -> None:
    worker = make_worker()
    jobs = [job_requested("problem_generation", {"data_type": "pa", "count": 1}) for _ in range(4)]
    assert await asyncio.gather(*(worker.dispatch(delivery_of(job)) for job in jobs)) == ["ack"] * 4
    sets = sorted(json.loads(end.result)["set_index"] for end in await emitted(database, JobSucceeded))
    assert sets == [1, 2, 3, 4]


async def test_what_was_made_in_the_last_90_days_does_not_come_again(
    database: Database, make_worker: MakeWorker
) -> None:
    order = {"data_type": "pa", "count": 2, "seed": 7}
    await make_worker().dispatch(delivery_of(job_requested("problem_generation", order)))
    await make_worker().dispatch(delivery_of(job_requested("problem_generation", order)))
    assert len(await emitted(database, ProblemPublished)) == 2
    assert len(await emitted(database, JobFailed)) == 1
    await database.execute("UPDATE problems SET created_at = created_at - interval '91 days'")
    await make_worker().dispatch(delivery_of(job_requested("problem_generation", order)))
    assert len(await emitted(database, ProblemPublished)) == 4


async def test_a_cancelled_job_stops_its_process_and_publishes_nothing(
    database: Database, make_worker: MakeWorker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("services.kernel.jobs.worker.HEARTBEAT_SECONDS", 0.05)
    pid_file = tmp_path / "pid"
    job = job_requested("problem_generation", {"data_type": "pa", "count": 4})
    running = asyncio.create_task(make_worker(Script(hang_before=1, pid=pid_file)).dispatch(delivery_of(job)))

    async def first_chunk_is_kept() -> bool:
        return bool(await database.pool.fetchval("SELECT coalesce(max(chunks), 0) >= 1 FROM problem_sets"))

    await until(first_chunk_is_kept)
    cancelled = JobCancelled(
        job_id=job.job_id,
        job_type=job.job_type,
        fence=1,
        was_running=True,
        cancelled_at=job.requested_at,
    )
    async with database.transaction() as unit:
        await runs.cancel(unit.connection, cancelled)
    assert await running == "ack"
    with pytest.raises(ProcessLookupError):
        os.kill(int(pid_file.read_text()), 0)
    assert await emitted(database, JobSucceeded) == []
    assert await emitted(database, JobFailed) == []
    assert await emitted(database, ProblemPublished) == []


async def test_the_event_loop_turns_while_problems_are_composed(
    database: Database, make_worker: MakeWorker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("services.kernel.jobs.worker.HEARTBEAT_SECONDS", 0.05)
    job = job_requested("problem_generation", {"data_type": "pa", "count": 4})
    running = asyncio.create_task(make_worker(Script(hang_before=1)).dispatch(delivery_of(job)))

    async def heart_beats() -> bool:
        return len(await emitted(database, JobProgressed)) >= 8

    await until(heart_beats)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    released = await database.pool.fetchval("SELECT heartbeat_at IS NULL FROM job_runs")
    assert released, "another copy may take over at once"
