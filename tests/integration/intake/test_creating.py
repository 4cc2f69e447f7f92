"""POST /api/ai/jobs: shapes, waiting, idempotency, limits."""

import asyncio
import json
import uuid

import httpx
import pytest

from contracts.jobs import JobType
from contracts.manifest import WORKERS
from tests.integration.intake.conftest import JOB, Running, Settings, becomes, client_of, create, running
from tests.support.running import bearer
from tests.support.services import until


async def test_accepted(http: httpx.AsyncClient) -> None:
    answer = await http.post("/api/ai/jobs", json={**JOB, "options": {"priority": "high", "metadata": {"lesson": "7"}}})
    assert answer.status_code == 202
    body = answer.json()
    assert set(body) == {"jobId", "status", "pollUrl", "estimatedTime"}
    assert body["status"] == "queued"
    assert body["estimatedTime"] >= 1
    assert body["pollUrl"] == answer.headers["Location"] == f"/api/ai/jobs/{uuid.UUID(body['jobId'])}"
    assert int(answer.headers["Retry-After"]) >= 1
    assert answer.headers["RateLimit-Policy"].startswith('"jobs";q=')
    found = (await http.get(body["pollUrl"])).json()
    assert list(found) == [
        "jobId",
        "status",
        "progress",
        "currentStep",
        "result",
        "error",
        "createdAt",
        "startedAt",
        "completedAt",
    ]


async def test_what_is_stored(intake: Running, http: httpx.AsyncClient) -> None:
    options = {"priority": "low", "metadata": {"lesson": 7}, "problem_id": "p-1"}
    job_id = await create(http, bearer("ada"), query="SELECT '한국어'", options=options)
    row = await intake.database.fetchrow("SELECT * FROM ai_jobs WHERE id = $1::text::uuid", job_id)
    assert row is not None
    assert (row["user_id"], row["type"], row["query"], row["priority"]) == ("ada", "grading", "SELECT '한국어'", "low")
    metadata = json.loads(row["metadata"])
    assert metadata["lesson"] == 7
    assert metadata["routing"]["complexity"] == "simple"
    assert json.loads(row["options"]) == {"problem_id": "p-1"}
    anonymous = await create(http)
    row = await intake.database.fetchrow("SELECT user_id FROM ai_jobs WHERE id = $1::text::uuid", anonymous)
    assert row is not None
    assert row["user_id"] is None


async def test_a_type_without_a_worker_is_refused_with_the_served_ones(http: httpx.AsyncClient) -> None:
    served = {job_type for types in WORKERS.values() for job_type in types}
    for job_type in set(JobType) - served:
        answer = await http.post("/api/ai/jobs", json={"type": job_type, "query": "q"})
        assert answer.status_code == 422
        assert answer.json()["type"] == "urn:querycraft:problem:job-type-not-served"
        assert set(answer.json()["served"]) == served
        assert answer.json()["errors"][0]["field"] == "type"


async def test_a_simple_query_is_answered_in_its_request(settings: Settings) -> None:
    async with running(settings(enable_complexity_routing=True)) as intake, client_of(intake) as http:
        asked = asyncio.create_task(http.post("/api/ai/jobs", json=JOB))
        await until(lambda: _any_job(intake))
        job_id = str(await intake.database.pool.fetchval("SELECT id FROM ai_jobs"))
        await intake.progress(job_id, 20, "collecting")
        await intake.succeed(job_id, verdict="correct")
        answer = await asked
        assert answer.status_code == 200
        assert answer.json() == (await http.get(f"/api/ai/jobs/{job_id}")).json()
        assert answer.json()["result"]["verdict"] == "correct"
        assert answer.json()["result"]["metadata"]["routing"]["complexity"] == "simple"
        complex_query = {"type": "problem_generation", "query": "pa"}
        assert (await http.post("/api/ai/jobs", json=complex_query)).status_code == 202
        told = await http.post("/api/ai/jobs", json=JOB, headers={"Prefer": "respond-async"})
        assert told.status_code == 202
        assert told.headers["Preference-Applied"] == "respond-async"


async def _any_job(intake: Running) -> bool:
    return bool(await intake.database.pool.fetchval("SELECT count(*) FROM ai_jobs"))


async def test_what_is_not_done_in_time_goes_on_as_a_job(http: httpx.AsyncClient) -> None:
    answer = await http.post("/api/ai/jobs", json=JOB, headers={"Prefer": "wait=1"})
    assert answer.status_code == 202
    assert answer.headers["Preference-Applied"] == "wait=1"
    assert answer.headers["Location"] == answer.json()["pollUrl"]


async def test_without_a_queue_complex_queries_are_refused_and_slow_ones_cancelled(settings: Settings) -> None:
    async with running(settings(enable_job_queue=False)) as intake, client_of(intake) as http:
        refused = await http.post("/api/ai/jobs", json={"type": "problem_generation", "query": "pa"})
        assert refused.status_code == 503
        assert refused.json()["type"] == "urn:querycraft:problem:job-queue-disabled"
        assert int(refused.headers["Retry-After"]) > 0
        assert await intake.database.pool.fetchval("SELECT count(*) FROM ai_jobs") == 0
        slow = await http.post("/api/ai/jobs", json=JOB, headers={"Prefer": "wait=1"})
        assert slow.status_code == 503
        assert await intake.database.pool.fetchval("SELECT status FROM ai_jobs") == "cancelled"


async def test_the_same_key_and_payload_is_the_same_job(http: httpx.AsyncClient) -> None:
    headers = {"Idempotency-Key": "abc", **bearer("ada")}
    body = {**JOB, "options": {"metadata": {"a": 1, "b": 2}}}
    first = await http.post("/api/ai/jobs", json=body, headers=headers)
    body["options"] = {"metadata": {"b": 2, "a": 1}}
    again = await asyncio.gather(*(http.post("/api/ai/jobs", json=body, headers=headers) for _ in range(10)))
    assert {(answer.status_code, answer.text) for answer in again} == {(202, first.text)}
    assert {answer.headers["Location"] for answer in again} == {first.headers["Location"]}
    other = await http.post("/api/ai/jobs", json={**JOB, "query": "select 2"}, headers=headers)
    assert other.status_code == 422
    assert other.json()["errors"][0]["field"] == "Idempotency-Key"
    somebody_else = await http.post("/api/ai/jobs", json=JOB, headers={"Idempotency-Key": "abc", **bearer("grace")})
    assert somebody_else.json()["jobId"] != first.json()["jobId"]


async def test_many_first_requests_at_once_make_one_job(intake: Running, http: httpx.AsyncClient) -> None:
    headers = {"Idempotency-Key": "together"}
    answers = await asyncio.gather(*(http.post("/api/ai/jobs", json=JOB, headers=headers) for _ in range(20)))
    assert len({answer.text for answer in answers}) == 1
    assert await intake.database.pool.fetchval("SELECT count(*) FROM ai_jobs") == 1


async def test_a_key_whose_first_request_still_waits_is_in_flight(intake: Running, http: httpx.AsyncClient) -> None:
    headers = {"Idempotency-Key": "slow", "Prefer": "wait=20"}
    first = asyncio.create_task(http.post("/api/ai/jobs", json=JOB, headers=headers))
    await until(lambda: _any_job(intake))
    second = await http.post("/api/ai/jobs", json=JOB, headers=headers)
    assert second.status_code == 409
    assert second.json()["type"] == "urn:querycraft:problem:idempotency-key-in-flight"
    job_id = str(await intake.database.pool.fetchval("SELECT id FROM ai_jobs"))
    await intake.succeed(job_id, answer=42)
    answered = await first
    assert answered.status_code == 200
    replayed = await http.post("/api/ai/jobs", json=JOB, headers=headers)
    assert (replayed.status_code, replayed.text) == (200, answered.text)


async def test_keys_survive_a_restart_and_a_died_request_and_expire(settings: Settings) -> None:
    headers = {"Idempotency-Key": "kept"}
    async with running(settings()) as intake, client_of(intake) as http:
        first = await http.post("/api/ai/jobs", json=JOB, headers=headers)
    async with running(settings()) as intake, client_of(intake) as http:
        assert (await http.post("/api/ai/jobs", json=JOB, headers=headers)).text == first.text
        # As if the first request's process had died while it waited.
        await intake.database.execute("UPDATE idempotency_keys SET answer_status = NULL, answering_until = now()")
        assert (await http.post("/api/ai/jobs", json=JOB, headers=headers)).text == first.text
        await intake.database.execute("UPDATE idempotency_keys SET expires_at = now() - interval '1 second'")
        assert (await http.post("/api/ai/jobs", json=JOB, headers=headers)).text != first.text


@pytest.mark.parametrize("key", ["", "with space", "k" * 256])
async def test_keys_that_are_none(http: httpx.AsyncClient, key: str) -> None:
    answer = await http.post("/api/ai/jobs", json=JOB, headers={"Idempotency-Key": key})
    assert answer.status_code == 400
    assert answer.json()["errors"][0]["field"] == "Idempotency-Key"


async def test_limits_are_per_user(settings: Settings) -> None:
    limited = settings(rate_limit_per_second=0.1, rate_limit_burst=3)
    async with running(limited) as intake, client_of(intake) as http:
        answers = await asyncio.gather(
            *(http.post("/api/ai/jobs", json=JOB, headers=bearer("ada")) for _ in range(8)),
            *(http.post("/api/ai/jobs", json=JOB, headers=bearer("grace")) for _ in range(2)),
        )
        statuses = [answer.status_code for answer in answers]
        assert sorted(statuses[:8]) == [202] * 3 + [429] * 5
        assert statuses[8:] == [202, 202]
        refused = next(answer for answer in answers if answer.status_code == 429)
        assert 1 <= int(refused.headers["Retry-After"]) <= 10
        assert refused.headers["RateLimit"].startswith('"jobs";r=0;t=')
        assert refused.headers["RateLimit-Policy"] == '"jobs";q=3;w=30'
        assert await intake.database.pool.fetchval("SELECT count(*) FROM ai_jobs") == 5
        await intake.database.execute("UPDATE rate_limits SET tat = tat - interval '10 seconds'")
        assert (await http.post("/api/ai/jobs", json=JOB, headers=bearer("ada"))).status_code == 202
        assert (await http.post("/api/ai/jobs", json=JOB, headers=bearer("ada"))).status_code == 429


async def test_a_failed_job_can_be_tried_again_as_a_new_one(intake: Running, http: httpx.AsyncClient) -> None:
    job_id = await create(http, bearer("ada"), options={"metadata": {"lesson": "7"}, "problem_id": "p"})
    early = await http.post(f"/api/ai/jobs/{job_id}/retry", headers=bearer("ada"))
    assert early.status_code == 409
    await intake.fail(job_id, "no such table: 학생")
    assert (await becomes(http, job_id, "failed"))["error"] == "no such table: 학생"
    assert (await http.post(f"/api/ai/jobs/{job_id}/retry", headers=bearer("grace"))).status_code == 404
    assert (await http.post(f"/api/ai/jobs/{job_id}/retry")).status_code == 404
    assert (await http.post(f"/api/ai/jobs/{uuid.uuid4()}/retry", headers=bearer("ada"))).status_code == 404
    answer = await http.post(f"/api/ai/jobs/{job_id}/retry", headers={**bearer("ada"), "Idempotency-Key": "again"})
    assert answer.status_code == 202
    replayed = await http.post(f"/api/ai/jobs/{job_id}/retry", headers={**bearer("ada"), "Idempotency-Key": "again"})
    assert replayed.text == answer.text
    new_id = answer.json()["jobId"]
    row = await intake.database.fetchrow("SELECT * FROM ai_jobs WHERE id = $1::text::uuid", new_id)
    assert row is not None
    assert json.loads(row["metadata"])["retryOf"] == job_id
    assert json.loads(row["metadata"])["lesson"] == "7"
    assert json.loads(row["options"]) == {"problem_id": "p"}
    assert (await http.get(f"/api/ai/jobs/{job_id}")).json()["status"] == "failed"
