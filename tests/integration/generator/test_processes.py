"""The generator as processes: killed while it works, and handing a long job to a process of its own."""

import asyncio
import json
import sys
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from datetime import date, timedelta
from functools import partial
from pathlib import Path

import pytest

from contracts import manifest
from contracts.jobs import JobRequested, JobSucceeded
from contracts.problems import ProblemPublished
from scripts.embedded.ports import free_port
from scripts.embedded.process import SupervisedProcess
from scripts.embedded.storage import StorageEmulator
from services.generator.adapters.composing import compose
from services.kernel.database.unit_of_work import Database
from services.kernel.jobs.launcher import ChildProcessLauncher, hand_over
from services.kernel.messaging.broker import Broker
from services.kernel.messaging.envelope import seal
from tests.integration.generator.conftest import MakeWorker
from tests.support.services import delivery_of, emitted, job_requested, until

JOBS = 24


@pytest.fixture
def environment(database_url: str, storage_emulator: StorageEmulator) -> dict[str, str]:
    return {
        "QC_DATABASE_URL": database_url,
        "QC_HTTP_PORT": str(free_port()),
        "QC_LEASE_SECONDS": "1",
        "STORAGE_EMULATOR_HOST": storage_emulator.url,
    }


@pytest.fixture
def service(environment: dict[str, str], tmp_path: Path) -> Iterator[SupervisedProcess]:
    process = SupervisedProcess(
        "generator", [sys.executable, "-m", "services.generator.main"], environment, tmp_path / "log"
    )
    process.start()
    yield process
    process.terminate()
    assert process.join(20), process.last_words()


@asynccontextmanager
async def ends(broker: Broker) -> AsyncIterator[Counter[str]]:
    """Ends of jobs as another service receives them: distinct messages by job id, filled while the body runs."""
    subscription = next(s for s in manifest.subscriptions_of("notifier") if s.message is JobSucceeded)
    found: Counter[str] = Counter()
    seen: set[str] = set()

    async def read() -> None:
        async with broker.subscribe(subscription, capacity=100) as stream:
            while True:
                deliveries = await stream.pull(100, 0.2)
                for delivery in deliveries:
                    if delivery.envelope.id not in seen:
                        seen.add(delivery.envelope.id)
                        found[JobSucceeded.from_bytes(delivery.envelope.data).job_id] += 1
                await stream.ack(deliveries)

    reading = asyncio.create_task(read())
    try:
        yield found
    finally:
        reading.cancel()
        await asyncio.gather(reading, return_exceptions=True)


@pytest.mark.timeout(400)
async def test_jobs_of_a_service_that_is_killed_again_and_again_end_once_each(
    service: SupervisedProcess, database: Database, broker: Broker
) -> None:
    first = date(2026, 1, 1)
    jobs = [
        job_requested("daily_tip", json.dumps({"tip_date": (first + timedelta(days=n)).isoformat()}))
        for n in range(JOBS)
    ]
    async with ends(broker) as found:
        for number, share in enumerate((0.25, 0.5, 0.75)):
            part = jobs[number * JOBS // 4 : (number + 1) * JOBS // 4]
            assert await broker.publish([seal(job, "intake") for job in part]) == [None] * len(part)
            enough = int(share * JOBS) - JOBS // 8

            async def some_have_ended(enough: int = enough) -> bool:
                return bool(await database.pool.fetchval("SELECT count(*) >= $1 FROM daily_tips", enough))

            await until(some_have_ended, 60)
            service.kill()
        part = jobs[3 * JOBS // 4 :]
        await broker.publish([seal(job, "intake") for job in part])

        async def all_have_ended() -> bool:
            return len(found) == JOBS

        await until(all_have_ended, 180)
    assert service.restarts >= 3
    assert set(found) == {job.job_id for job in jobs}
    assert set(found.values()) == {1}
    assert await database.pool.fetchval("SELECT count(*) FROM daily_tips") == JOBS
    assert (
        await database.pool.fetchval("SELECT count(*) FROM worker_logs WHERE status = 'succeeded' AND purpose = ''")
        == JOBS
    )


async def test_a_long_job_goes_on_in_a_process_of_its_own(
    database: Database, make_worker: MakeWorker, environment: dict[str, str]
) -> None:
    launcher = ChildProcessLauncher(environment)
    worker = make_worker(compose, pass_on=partial(hand_over, launcher=launcher, service="generator"))
    job: JobRequested = job_requested("problem_generation", {"data_type": "pa", "count": 2, "long": True, "seed": 3})
    assert await worker.dispatch(delivery_of(job)) == "ack"
    assert await emitted(database, JobSucceeded) == [], "this copy left the end to the other one"

    async def done() -> bool:
        return bool(await database.pool.fetchval("SELECT state = 'done' FROM job_runs"))

    await until(done, 90)
    await launcher.close(grace_seconds=20)
    assert await database.pool.fetchval("SELECT count(*) FROM problems WHERE published_at IS NOT NULL") == 2
    statuses = await database.fetch("SELECT status FROM worker_logs ORDER BY id")
    assert [row["status"] for row in statuses] == ["handed_over", "succeeded"]
    assert await emitted(database, ProblemPublished) == [], "the process publishes what it emitted before it ends"


async def test_a_child_that_is_told_to_stop_lets_go_of_its_job(
    database: Database, make_worker: MakeWorker, environment: dict[str, str]
) -> None:
    launcher = ChildProcessLauncher(environment)
    worker = make_worker(compose, pass_on=partial(hand_over, launcher=launcher, service="generator"))
    job = job_requested("problem_generation", {"data_type": "pa", "count": 50, "long": True})
    await worker.dispatch(delivery_of(job))

    async def child_is_at_work() -> bool:
        return bool(await database.pool.fetchval("SELECT count(*) = 1 FROM problem_sets"))

    await until(child_is_at_work, 60)
    await launcher.close(grace_seconds=30)
    row = await database.fetchrow("SELECT state, heartbeat_at FROM job_runs")
    assert row is not None
    assert (row["state"], row["heartbeat_at"]) == ("running", None)


async def test_the_real_composer_makes_what_it_is_asked_for(database: Database, make_worker: MakeWorker) -> None:
    order = {"data_type": "stream", "count": 3, "seed": 11, "locale": "ko", "difficulty": ["easy"]}
    job = job_requested("problem_generation", order)
    assert await make_worker(compose).dispatch(delivery_of(job)) == "ack"
    published = await emitted(database, ProblemPublished)
    assert len(published) == 3
    for problem in published:
        assert problem.difficulty == "easy"
        assert problem.title.ko
        assert problem.title.en == ""
        assert problem.datasets[0].uri.startswith("gs://querycraft-datasets/datasets/")
        assert problem.provenance.source == "offline"
    [end] = await emitted(database, JobSucceeded)
    assert all(problem.reference_sql not in end.result for problem in published)
