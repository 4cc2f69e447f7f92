"""Priority and fairness in what reaches the broker, and the window that keeps them real."""

import asyncio
import uuid

from contracts.jobs import JobRequested, Priority
from services.intake.dispatcher import Dispatcher
from services.intake.domain.jobs import NewJob
from services.kernel.database.unit_of_work import Database
from tests.integration.intake.support import add_jobs, new_job
from tests.support.services import emitted, opened

CAPACITY = 8


def _dispatcher(database: Database, capacity: int = CAPACITY) -> Dispatcher:
    return Dispatcher(database, ["grader", "generator"], capacity=capacity, seconds_ahead=0.0)


async def _end(database: Database, count: int) -> None:
    """End the ``count`` jobs released first."""
    await database.execute(
        "UPDATE ai_jobs SET status = 'completed', completed_at = now() WHERE id IN ("
        " SELECT id FROM ai_jobs WHERE released_at IS NOT NULL AND status = 'queued'"
        " ORDER BY released_at, rank, vtime, created_at LIMIT $1)",
        count,
    )


async def _released(database: Database) -> list[str]:
    return [message.job_id for message in await emitted(database, JobRequested)]


async def test_a_thousand_low_jobs_of_one_user_delay_nobody_else_by_more_than_the_window(database: Database) -> None:
    dispatcher = _dispatcher(database)
    hoard = [new_job("hoarder", Priority.LOW) for _ in range(1_000)]
    for start in range(0, 1_000, 200):
        await add_jobs(database, hoard[start : start + 200])
    assert await dispatcher.dispatch("grader") == CAPACITY
    assert await dispatcher.dispatch("grader") == 0
    urgent, newcomer = new_job("hoarder", Priority.HIGH), new_job("newcomer", Priority.LOW)
    await add_jobs(database, [newcomer])
    await add_jobs(database, [urgent])
    await _end(database, 1)
    await dispatcher.dispatch("grader")
    await _end(database, 1)
    await dispatcher.dispatch("grader")
    released = await _released(database)
    assert released[:CAPACITY] == [str(job.id) for job in hoard[:CAPACITY]]
    assert released[CAPACITY:] == [str(urgent.id), str(newcomer.id)]


async def test_users_take_turns_whatever_they_queued(database: Database) -> None:
    many = [new_job("many") for _ in range(50)]
    few = [new_job("few") for _ in range(5)]
    await add_jobs(database, many)
    await add_jobs(database, few)
    await _dispatcher(database, capacity=10).dispatch("grader")
    owners = ["many" if job_id in {str(job.id) for job in many} else "few" for job_id in await _released(database)]
    assert sorted(owners) == ["few"] * 5 + ["many"] * 5
    assert owners[:2] != ["many", "many"]


async def test_turns_within_one_batch_equal_turns_one_by_one(database: Database) -> None:
    users = ["a", "a", "b", "a", "c", "b"]
    await add_jobs(database, [new_job(user) for user in users])
    rows = await database.fetch("SELECT user_id, vtime FROM ai_jobs ORDER BY created_at")
    assert [(row["user_id"], row["vtime"]) for row in rows] == [
        ("a", 1), ("a", 2), ("b", 1), ("a", 3), ("c", 1), ("b", 2)
    ]  # fmt: skip


async def test_who_was_idle_neither_saves_up_turns_nor_owes_any(database: Database) -> None:
    dispatcher = _dispatcher(database, capacity=100)
    await add_jobs(database, [new_job("busy") for _ in range(40)])
    assert await dispatcher.dispatch("grader") == 40
    await add_jobs(database, [new_job("idle"), new_job("busy")])
    rows = await database.fetch("SELECT user_id, vtime FROM ai_jobs WHERE released_at IS NULL ORDER BY user_id")
    assert [(row["user_id"], row["vtime"]) for row in rows] == [("busy", 41), ("idle", 40)]


async def test_workers_have_windows_of_their_own(database: Database) -> None:
    dispatcher = _dispatcher(database, capacity=2)
    await add_jobs(database, [new_job("a") for _ in range(5)] + [new_job("a", worker="generator") for _ in range(5)])
    assert await dispatcher.dispatch("grader") == 2
    assert await dispatcher.dispatch("generator") == 2


async def test_the_request_carries_what_the_client_asked_and_the_trace(database: Database) -> None:
    trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    job = new_job("ada", Priority.HIGH, options='{"rows": 5}', metadata='{"lesson": 7}', traceparent=trace)
    await add_jobs(database, [job])
    await _dispatcher(database).dispatch("grader")
    [request] = await emitted(database, JobRequested)
    assert (request.job_id, request.fence, request.priority) == (str(job.id), 1, "high")
    assert request.options == '{"rows":5,"metadata":{"lesson":7}}'
    attributes = await database.pool.fetchval("SELECT attributes FROM outbox")
    assert "0af7651916cd43dd8448eb211c80319c" in attributes
    assert f'"{job.id}:1"' in attributes


async def test_replicas_release_every_job_once_and_keep_to_one_window(database_url: str, database: Database) -> None:
    jobs: list[NewJob] = [new_job(f"user-{number % 7}") for number in range(120)]
    await add_jobs(database, jobs)
    async with opened(database_url, "intake") as first, opened(database_url, "intake") as second:
        replicas = [_dispatcher(first), _dispatcher(second)]
        while await database.pool.fetchval("SELECT count(*) FROM ai_jobs WHERE status = 'queued'"):
            await asyncio.gather(*(replica.dispatch("grader") for replica in replicas * 2))
            out = await database.pool.fetchval(
                "SELECT count(*) FROM ai_jobs WHERE released_at IS NOT NULL AND status = 'queued'"
            )
            assert out <= CAPACITY
            await _end(database, 5)
    released = await _released(database)
    assert sorted(released) == sorted(str(job.id) for job in jobs)
    assert len({uuid.UUID(job_id) for job_id in released}) == len(jobs)


async def test_a_fast_worker_gets_a_wider_window(database: Database) -> None:
    dispatcher = Dispatcher(database, ["grader"], capacity=4, seconds_ahead=0.1)
    await add_jobs(database, [new_job("a") for _ in range(400)])
    widest = 0
    for _ in range(20):
        widest = max(widest, await dispatcher.dispatch("grader"))
        await _end(database, 400)
    assert widest > 4
