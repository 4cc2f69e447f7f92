"""A job has one end: cancelled, failed, duplicated, taken over or run again under a newer fence."""

import asyncio
import json
import uuid
from datetime import UTC, datetime
from typing import Any

import pytest

from contracts.jobs import JobCancelled, JobFailed, JobProgressed, JobRequested, JobSucceeded
from contracts.manifest import Subscription
from services.kernel.database.unit_of_work import Database, UnitOfWork
from services.kernel.errors import PermanentError, TransientError
from services.kernel.jobs import runs
from services.kernel.jobs import worker as worker_module
from services.kernel.jobs.context import JobContext, JobResult, JobStopped
from services.kernel.jobs.worker import JobRoute, Worker, remember_cancellation
from services.kernel.messaging.broker import Delivery
from services.kernel.messaging.embedded import EmbeddedBroker
from services.kernel.messaging.envelope import seal

SUBSCRIPTION = Subscription(
    JobRequested, "grader", filter={"job_type": ("grading",)}, min_backoff=0.01, max_backoff=0.02, max_attempts=5
)


async def effect(unit: UnitOfWork) -> None:
    await unit.connection.execute("INSERT INTO effects (what) VALUES ('graded')")


async def grade(context: JobContext) -> JobResult:
    await context.step("running", 50)
    match context.job.query:
        case "permanent":
            raise PermanentError("the query names no problem", code="unknown_problem")
        case "transient":
            raise TransientError("the model is busy")
        case "bug":
            raise KeyError("surprise")
    return JobResult({"verdict": "correct"}, effect)


def make_worker(database: Database, broker: EmbeddedBroker, handler: Any = grade, **options: Any) -> Worker:
    return Worker(JobRoute(SUBSCRIPTION, {"grading": handler}, **options), broker, database)


def request(query: str = "fine", *, fence: int = 1, job_id: str | None = None) -> JobRequested:
    return JobRequested(
        job_id=job_id or str(uuid.uuid4()), job_type="grading", query=query, fence=fence, requested_at=datetime.now(UTC)
    )


def deliver(job: JobRequested, attempt: int = 1) -> Delivery:
    return Delivery(seal(job, "intake"), attempt)


async def emitted(database: Database, kind: type[JobSucceeded] | type[JobFailed] | type[JobProgressed]) -> list[Any]:
    rows = await database.fetch("SELECT data FROM outbox WHERE topic = $1 ORDER BY id", kind.topic())
    return [kind.from_bytes(row["data"]) for row in rows]


async def count_effects(database: Database) -> int:
    return int(await database.pool.fetchval("SELECT count(*) FROM effects"))


async def test_a_job_reports_its_start_its_steps_and_its_end(database: Database, broker: EmbeddedBroker) -> None:
    job = request()
    assert await make_worker(database, broker).dispatch(deliver(job)) == "ack"
    steps = [(report.sequence, report.step, report.progress) for report in await emitted(database, JobProgressed)]
    assert steps == [(1, "started", 0), (2, "running", 50)]
    [end] = await emitted(database, JobSucceeded)
    assert json.loads(end.result) == {"verdict": "correct"}
    assert await count_effects(database) == 1


async def test_the_same_request_twice_runs_once(database: Database, broker: EmbeddedBroker) -> None:
    worker, job = make_worker(database, broker), request()
    assert await worker.dispatch(deliver(job)) == "ack"
    assert await worker.dispatch(deliver(job, attempt=2)) == "ack"
    assert await count_effects(database) == 1
    assert len(await emitted(database, JobSucceeded)) == 1


async def test_a_newer_release_of_a_done_job_announces_the_stored_outcome(
    database: Database, broker: EmbeddedBroker
) -> None:
    worker, job = make_worker(database, broker), request()
    await worker.dispatch(deliver(job))
    await worker.dispatch(deliver(request(fence=2, job_id=job.job_id)))
    ends = await emitted(database, JobSucceeded)
    assert [end.fence for end in ends] == [1, 2]
    assert ends[0].result == ends[1].result
    assert await count_effects(database) == 1


async def test_a_copy_that_was_taken_over_changes_nothing(database: Database, broker: EmbeddedBroker) -> None:
    job = request()
    reached, go_on = asyncio.Event(), asyncio.Event()

    async def slow(context: JobContext) -> JobResult:
        reached.set()
        await go_on.wait()
        return JobResult({"from": "the old copy"}, effect)

    old = asyncio.create_task(make_worker(database, broker, slow).dispatch(deliver(job)))
    await reached.wait()
    await make_worker(database, broker).dispatch(deliver(request(fence=2, job_id=job.job_id)))
    go_on.set()
    assert await old == "ack"
    [end] = await emitted(database, JobSucceeded)
    assert end.fence == 2
    assert await count_effects(database) == 1


async def test_a_second_copy_waits_while_the_first_is_alive(
    database: Database, broker: EmbeddedBroker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker_module, "TAKEOVER_PATIENCE_SECONDS", 0.0)
    job = request()
    reached, go_on = asyncio.Event(), asyncio.Event()

    async def slow(context: JobContext) -> JobResult:
        reached.set()
        await go_on.wait()
        return JobResult({}, effect)

    first = asyncio.create_task(make_worker(database, broker, slow).dispatch(deliver(job)))
    await reached.wait()
    assert await make_worker(database, broker).dispatch(deliver(job, attempt=2)) == "nack"
    go_on.set()
    assert await first == "ack"
    assert await count_effects(database) == 1


async def test_a_copy_whose_worker_died_is_taken_over_without_using_up_attempts(
    database: Database, broker: EmbeddedBroker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker_module, "HEARTBEAT_TIMEOUT_SECONDS", 0.3)
    monkeypatch.setattr(worker_module, "TAKEOVER_POLL_SECONDS", 0.05)
    job = request()
    async with database.transaction() as unit:  # what a worker leaves that is killed right after its claim
        await runs.claim(unit.connection, job, uuid.uuid4(), 20.0)
    assert await make_worker(database, broker).dispatch(deliver(job, attempt=2)) == "ack"
    assert await count_effects(database) == 1


def cancelled(job: JobRequested) -> JobCancelled:
    return JobCancelled(
        job_id=job.job_id, job_type=job.job_type, fence=job.fence, was_running=False, cancelled_at=datetime.now(UTC)
    )


async def test_a_job_cancelled_before_it_arrives_never_starts(database: Database, broker: EmbeddedBroker) -> None:
    job = request()
    async with database.transaction() as unit:
        await remember_cancellation(cancelled(job), unit)
    assert await make_worker(database, broker).dispatch(deliver(job)) == "ack"
    assert await emitted(database, JobProgressed) == []
    assert await count_effects(database) == 0


async def test_a_running_job_stops_at_its_next_step(database: Database, broker: EmbeddedBroker) -> None:
    job = request()
    reached, go_on = asyncio.Event(), asyncio.Event()
    stopped = False

    async def stepping(context: JobContext) -> JobResult:
        nonlocal stopped
        reached.set()
        await go_on.wait()
        try:
            await context.step("second", 60)
        except JobStopped:
            stopped = True
            raise
        return JobResult({}, effect)

    running = asyncio.create_task(make_worker(database, broker, stepping).dispatch(deliver(job)))
    await reached.wait()
    async with database.transaction() as unit:
        await remember_cancellation(cancelled(job), unit)
    go_on.set()
    assert await running == "ack"
    assert stopped
    assert await emitted(database, JobSucceeded) == []
    assert await count_effects(database) == 0


async def test_a_job_without_steps_is_stopped_by_its_heartbeat(
    database: Database, broker: EmbeddedBroker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker_module, "HEARTBEAT_SECONDS", 0.02)
    job, reached = request(), asyncio.Event()

    async def endless(context: JobContext) -> JobResult:
        reached.set()
        await asyncio.Event().wait()
        raise AssertionError("unreachable")

    running = asyncio.create_task(make_worker(database, broker, endless).dispatch(deliver(job)))
    await reached.wait()
    async with database.transaction() as unit:
        await remember_cancellation(cancelled(job), unit)
    assert await running == "ack"


@pytest.mark.parametrize(
    ("query", "attempt", "answer", "code"),
    [
        ("permanent", 1, "ack", "unknown_problem"),
        ("transient", 1, "nack", None),
        ("transient", 3, "ack", "transient"),
        ("bug", 1, "nack", None),
        ("bug", 3, "ack", "internal"),
    ],
)
async def test_failures_end_the_job_or_are_tried_again(
    database: Database, broker: EmbeddedBroker, query: str, attempt: int, answer: str, code: str | None
) -> None:
    assert await make_worker(database, broker).dispatch(deliver(request(query), attempt)) == answer
    failures = await emitted(database, JobFailed)
    assert [failure.error_code for failure in failures] == ([code] if code else [])
    assert await count_effects(database) == 0


async def test_a_request_that_kills_its_worker_fails_in_the_end(database: Database, broker: EmbeddedBroker) -> None:
    await make_worker(database, broker).dispatch(deliver(request(), attempt=6))
    [failure] = await emitted(database, JobFailed)
    assert failure.error_code == "worker_died"


async def test_a_job_past_its_time_limit_fails(database: Database, broker: EmbeddedBroker) -> None:
    async def endless(context: JobContext) -> JobResult:
        await asyncio.Event().wait()
        raise AssertionError("unreachable")

    await make_worker(database, broker, endless, time_limit=0.05).dispatch(deliver(request()))
    [failure] = await emitted(database, JobFailed)
    assert failure.error_code == "time_limit"


async def test_a_chattering_job_is_coalesced(database: Database, broker: EmbeddedBroker) -> None:
    async def chatter(context: JobContext) -> JobResult:
        for percent in range(100):
            await context.step(f"step {percent}", percent)
        return JobResult({})

    await make_worker(database, broker, chatter).dispatch(deliver(request()))
    reports = await emitted(database, JobProgressed)
    assert 3 <= len(reports) < 50
    assert [report.sequence for report in reports] == sorted({report.sequence for report in reports})
