"""Intake in other surroundings: pushed to, behind a pooler, called from a browser."""

import base64

import httpx
import pytest

from contracts.manifest import subscriptions_of
from contracts.message import Message
from services.intake.adapters import housekeeping
from services.intake.estimates import UNKNOWN_SECONDS, Estimates
from services.kernel.database.unit_of_work import Database
from services.kernel.messaging.envelope import seal
from tests.integration.intake.conftest import (
    JOB,
    Running,
    Settings,
    becomes,
    client_of,
    create,
    progressed,
    running,
    succeeded,
)
from tests.integration.intake.support import add_jobs, new_job


async def _push(http: httpx.AsyncClient, message: Message) -> httpx.Response:
    [subscription] = [sub for sub in subscriptions_of("intake") if sub.topic == message.topic()]
    envelope = seal(message, "grader")
    body = {
        "message": {"data": base64.b64encode(envelope.data).decode(), "attributes": dict(envelope.attributes)},
        "subscription": f"projects/p/subscriptions/{subscription.name}",
    }
    return await http.post(f"/push/{subscription.name}", json=body)


async def test_reports_by_push(settings: Settings) -> None:
    pushed = settings(delivery="push", push_emulator=True)
    async with running(pushed) as intake, client_of(intake) as http:
        job_id = await create(http)
        fence = await intake.fence(job_id)
        assert (await _push(http, progressed(job_id, fence=fence, progress=40, step="half"))).status_code == 204
        assert (await http.get(f"/api/ai/jobs/{job_id}")).json()["progress"] == 40
        end = succeeded(job_id, fence=fence)
        assert (await _push(http, end)).status_code == 204
        assert (await _push(http, end)).status_code == 204
        assert (await http.get(f"/api/ai/jobs/{job_id}")).json()["status"] == "completed"
        large = await http.post("/api/ai/jobs", json={**JOB, "query": "x" * 1_100_000})
        assert large.status_code == 413


async def test_pushes_are_not_taken_where_messages_are_pulled(http: httpx.AsyncClient) -> None:
    assert (await _push(http, succeeded("00000000-0000-0000-0000-000000000000"))).status_code == 404


async def test_behind_a_transaction_pooler(settings: Settings) -> None:
    """Without prepared statements, and with no state left on a connection."""
    async with running(settings(database_statement_cache=0)) as intake, client_of(intake) as http:
        job_id = await create(http)
        await intake.succeed(job_id)
        await becomes(http, job_id, "completed")
        other = await create(http)
        assert (await http.delete(f"/api/ai/jobs/{other}")).status_code == 200
        role = await intake.database.fetch("SELECT current_user, current_setting('querycraft.user_id', true) AS who")
        assert (role[0]["current_user"], role[0]["who"] or "") == ("intake", "")


async def test_cors_is_for_named_origins(settings: Settings) -> None:
    async with running(settings(cors_origins=("https://learn.example",))) as intake, client_of(intake) as http:
        for origin, allowed in (("https://learn.example", "https://learn.example"), ("https://evil.example", None)):
            headers = {"Origin": origin, "Access-Control-Request-Method": "POST"}
            asked = await http.options("/api/ai/jobs", headers=headers)
            assert asked.headers.get("Access-Control-Allow-Origin") == allowed
        answer = await http.post("/api/ai/jobs", json=JOB, headers={"Origin": "https://learn.example"})
        assert "Location" in answer.headers["Access-Control-Expose-Headers"]


async def test_the_trace_goes_from_the_request_to_the_worker(intake: Running, http: httpx.AsyncClient) -> None:
    trace = "0af7651916cd43dd8448eb211c80319c"
    answer = await http.post("/api/ai/jobs", json=JOB, headers={"traceparent": f"00-{trace}-b7ad6b7169203331-01"})
    assert answer.headers["trace-id"] == trace
    kept = await intake.database.pool.fetchval("SELECT traceparent FROM ai_jobs")
    assert trace in kept


async def test_estimates_learn_from_what_completed(database: Database) -> None:
    estimates = Estimates(database.pool, concurrency=4)
    assert estimates.seconds("grading", "grader") == UNKNOWN_SECONDS
    await add_jobs(database, [new_job() for _ in range(5)])
    await database.execute(
        "UPDATE ai_jobs SET status = 'completed', started_at = now() - interval '3 seconds', completed_at = now()"
    )
    await add_jobs(database, [new_job() for _ in range(8)])
    await database.execute("INSERT INTO dispatch_windows (worker) VALUES ('grader')")
    await estimates.refresh()
    assert estimates.seconds("grading", "grader") == 9  # three rounds of three seconds
    assert estimates.seconds("daily_tip", "generator") == UNKNOWN_SECONDS


@pytest.mark.parametrize("table", ["idempotency_keys", "rate_limits", "turn_users"])
async def test_rows_that_mean_nothing_any_more_are_swept(database: Database, table: str) -> None:
    await add_jobs(database, [new_job("ada")])
    await database.execute(
        "INSERT INTO idempotency_keys SELECT 'user:ada', 'k', 'f', id, 202, '{}', now(), now() + interval '1 day'"
        " FROM ai_jobs"
    )
    await database.execute("UPDATE rate_limits SET tat = now() + interval '1 minute'")
    await housekeeping.sweep(database.pool, 0)
    assert await database.pool.fetchval(f"SELECT count(*) FROM {table}") == 1
    await database.execute("UPDATE idempotency_keys SET expires_at = now() - interval '1 second'")
    await database.execute("UPDATE rate_limits SET tat = now() - interval '1 second'")
    await database.execute("INSERT INTO turn_queues VALUES ('grader', 1, 1)")
    await housekeeping.sweep(database.pool, 0)
    assert await database.pool.fetchval(f"SELECT count(*) FROM {table}") == 0


async def test_ended_jobs_go_with_their_logs_when_they_are_old(database: Database) -> None:
    await add_jobs(database, [new_job() for _ in range(4)])
    ids = [row["id"] for row in await database.fetch("SELECT id FROM ai_jobs ORDER BY id")]
    log = "INSERT INTO ai_job_logs (job_id, seq, status, progress) SELECT id, 7, 'processing', 1 FROM ai_jobs"
    await database.execute(log)
    ended = "UPDATE ai_jobs SET status = 'completed', completed_at = now() - interval '31 days' WHERE id = ANY($1)"
    await database.execute(ended, ids[1:3])
    await database.execute("UPDATE ai_jobs SET created_at = now() - interval '40 days' WHERE id <> $1", ids[2])
    await housekeeping.sweep(database.pool, 0)
    assert await database.pool.fetchval("SELECT count(*) FROM ai_jobs") == 4
    await housekeeping.sweep(database.pool, 30)
    kept = {row["id"] for row in await database.fetch("SELECT id FROM ai_jobs")}
    assert kept == {ids[0], ids[2], ids[3]}, "open ones stay, and those begun lately"
    assert {row["job_id"] for row in await database.fetch("SELECT job_id FROM ai_job_logs")} == kept


async def test_an_unreachable_database_is_said_to_be_temporary(intake: Running, http: httpx.AsyncClient) -> None:
    pool = intake.database.pool
    await pool.execute("SELECT 1")
    for connection in pool._holders:
        if connection._con is not None:
            connection._con.terminate()
    answers = [await http.get("/api/ai/jobs") for _ in range(12)]
    assert {answer.status_code for answer in answers} <= {200, 503}
    assert answers[-1].status_code == 200
