"""Who may change a job: cancelling, and row-level security itself."""

import uuid
from collections.abc import Iterator
from contextlib import contextmanager

import httpx
import psycopg
import pytest

from contracts.jobs import JobCancelled
from services.intake.adapters import jobs
from services.intake.adapters.creation import JobCreation, RateLimit
from services.intake.dispatcher import Dispatcher
from services.intake.domain.jobs import Caller
from services.intake.door import Door
from services.intake.estimates import Estimates
from services.intake.watch import Watch
from services.kernel.database.unit_of_work import Database
from tests.integration.intake.conftest import Running, becomes, create, succeeded
from tests.integration.intake.support import add_jobs, new_job
from tests.support.running import bearer
from tests.support.services import emitted


async def test_cancelling_a_queued_job(http: httpx.AsyncClient) -> None:
    job_id = await create(http, bearer("ada"))
    answer = await http.delete(f"/api/ai/jobs/{job_id}", headers=bearer("ada"))
    assert answer.status_code == 200
    assert answer.json()["status"] == "cancelled"
    assert answer.json()["completedAt"]
    again = await http.delete(f"/api/ai/jobs/{job_id}", headers=bearer("ada"))
    assert again.status_code == 409
    assert again.json()["type"] == "urn:querycraft:problem:job-has-ended"


async def test_only_the_owner_cancels(http: httpx.AsyncClient) -> None:
    job_id, anonymous = await create(http, bearer("ada")), await create(http)
    for headers in (bearer("grace"), bearer("root", "admin"), {}):
        assert (await http.delete(f"/api/ai/jobs/{job_id}", headers=headers)).status_code == 404
    assert (await http.delete(f"/api/ai/jobs/{anonymous}", headers=bearer("ada"))).status_code == 404
    assert (await http.delete(f"/api/ai/jobs/{anonymous}")).status_code == 200
    assert (await http.get(f"/api/ai/jobs/{job_id}", headers=bearer("grace"))).json()["status"] == "queued"
    assert (await http.delete(f"/api/ai/jobs/{uuid.uuid4()}")).status_code == 404


async def test_a_cancelled_job_ignores_its_worker(intake: Running, http: httpx.AsyncClient) -> None:
    job_id = await create(http)
    await intake.progress(job_id, 20, "collecting")
    await becomes(http, job_id, "processing")
    assert (await http.delete(f"/api/ai/jobs/{job_id}")).json()["status"] == "cancelled"
    other = await create(http)
    await intake.publish(succeeded(job_id, fence=await intake.fence(job_id)))
    await intake.succeed(other)
    await becomes(http, other, "completed")
    found = (await http.get(f"/api/ai/jobs/{job_id}")).json()
    assert (found["status"], found["result"], found["progress"]) == ("cancelled", None, 20)


@pytest.mark.parametrize(("released", "started"), [(False, False), (True, False), (True, True)])
async def test_workers_learn_of_a_cancellation(database: Database, released: bool, started: bool) -> None:
    dispatcher = Dispatcher(database, ["grader"], capacity=8, seconds_ahead=0.1)
    creation = JobCreation(RateLimit(1000, 1000))
    door = Door(database, creation, dispatcher, Watch(database.pool), Estimates(database.pool, 8))
    job = new_job("ada")
    await add_jobs(database, [job])
    if released:
        assert await dispatcher.dispatch("grader") == 1
    if started:
        await database.execute("UPDATE ai_jobs SET status = 'processing', started_at = now()")
    assert await door.cancel(job.id, job.caller)
    [message] = await emitted(database, JobCancelled)
    assert (message.job_id, message.user_id) == (str(job.id), "ada")
    assert (message.fence, message.was_running) == (int(released), started)
    assert await dispatcher.dispatch("grader") == 0
    assert not await door.cancel(job.id, job.caller)


async def test_cancelling_leaves_the_connection_the_service_again(database: Database) -> None:
    job = new_job("ada")
    await add_jobs(database, [job])
    async with database.transaction() as unit:
        assert await jobs.cancel(unit, job.id, Caller("grace", "user:grace")) is None
        assert await unit.connection.fetchval("SELECT current_user") == "intake"
    assert await database.pool.fetchval("SELECT current_user") == "intake"


@contextmanager
def _as_client(url: str, user: str | None) -> Iterator[psycopg.Connection]:
    with psycopg.connect(url) as connection:
        connection.execute("SET LOCAL ROLE intake_client")
        connection.execute("SELECT set_config('querycraft.user_id', %s, true)", [user or ""])
        yield connection


@pytest.fixture
async def mixed(database: Database) -> dict[str | None, uuid.UUID]:
    """One job of each owner."""
    made = {user: new_job(user) for user in ("ada", "grace", None)}
    await add_jobs(database, list(made.values()))
    return {user: job.id for user, job in made.items()}


@pytest.mark.parametrize("user", ["ada", "grace", None])
async def test_row_security_lets_anyone_read_and_only_the_owner_update(
    database_url: str, mixed: dict[str | None, uuid.UUID], user: str | None
) -> None:
    with _as_client(database_url, user) as client:
        assert client.execute("SELECT count(*) FROM ai_jobs").fetchone() == (3,)
        assert client.execute("SELECT count(*) FROM ai_job_logs").fetchone() == (3,)
        changed = client.execute(
            "UPDATE ai_jobs SET status = 'cancelled', completed_at = now() RETURNING id"
        ).fetchall()
        assert changed == [(mixed[user],)]


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE ai_jobs SET user_id = 'grace'",
        "UPDATE ai_jobs SET result = '{}'",
        "UPDATE ai_jobs SET fence = 99",
        "DELETE FROM ai_jobs",
        "INSERT INTO ai_jobs (id, type, query, worker, vtime) VALUES (gen_random_uuid(), 'grading', 'q', 'grader', 1)",
        "UPDATE ai_job_logs SET step = 'x'",
        "INSERT INTO ai_job_logs (job_id, seq, status, progress) SELECT id, 9, 'queued', 0 FROM ai_jobs",
        "SELECT * FROM outbox",
        "SELECT * FROM idempotency_keys",
    ],
)
async def test_a_client_can_do_nothing_else(
    database_url: str, mixed: dict[str | None, uuid.UUID], statement: str
) -> None:
    with _as_client(database_url, "ada") as client, pytest.raises(psycopg.errors.InsufficientPrivilege):
        client.execute(statement)


async def test_row_security_binds_even_the_tables_owner(database: Database) -> None:
    rows = await database.fetch(
        "SELECT relname, relrowsecurity AND relforcerowsecurity AS forced FROM pg_class"
        " WHERE relname IN ('ai_jobs', 'ai_job_logs')"
    )
    assert {row["relname"]: row["forced"] for row in rows} == {"ai_jobs": True, "ai_job_logs": True}
    assert not await database.pool.fetchval(
        "SELECT pg_has_role(current_user, tableowner, 'usage') FROM pg_tables WHERE tablename = 'ai_jobs'"
    )


async def test_nothing_leaves_a_terminal_state_whoever_writes(database_url: str, database: Database) -> None:
    job = new_job("ada")
    await add_jobs(database, [job])
    with psycopg.connect(database_url, autocommit=True) as service:
        service.execute("UPDATE ai_jobs SET status = 'completed', completed_at = now()")
        for change in ("status = 'queued', completed_at = NULL", "result = '{}'", "error = 'x'"):
            with pytest.raises(psycopg.errors.CheckViolation, match="stays so"):
                service.execute(f"UPDATE ai_jobs SET {change}")
