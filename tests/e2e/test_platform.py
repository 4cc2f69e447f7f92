"""What a client gets from the running platform, on both brokers."""

import asyncio
import json
from typing import Any

import httpx
import pytest
import websockets

from scripts.demo.answers import Answers, find_answers
from scripts.embedded.platform import Platform

pytestmark = pytest.mark.timeout(180)

TERMINAL = {"completed", "failed", "cancelled"}


async def submit(http: httpx.AsyncClient, body: dict[str, Any]) -> str:
    answer = await http.post("/api/ai/jobs", json=body)
    assert answer.status_code == 202, answer.text
    assert answer.headers["location"] == answer.json()["pollUrl"]
    return str(answer.json()["jobId"])


async def follow(http: httpx.AsyncClient, job_id: str) -> list[dict[str, Any]]:
    """Every event of the job's stream, which ends with the job."""
    async with http.stream("GET", f"/api/ai/jobs/{job_id}/events") as stream:
        return [json.loads(line[5:]) async for line in stream.aiter_lines() if line.startswith("data:")]


async def finished(http: httpx.AsyncClient, body: dict[str, Any]) -> dict[str, Any]:
    job_id = await submit(http, body)
    await follow(http, job_id)
    job: dict[str, Any] = (await http.get(f"/api/ai/jobs/{job_id}")).json()
    assert job["status"] in TERMINAL
    return job


async def make_problem(http: httpx.AsyncClient, platform: Platform) -> tuple[str, Answers]:
    job = await finished(http, {"type": "problem_generation", "query": "pa", "options": {"count": 4, "seed": 7}})
    assert job["status"] == "completed", job["error"]
    for problem in job["result"]["problems"]:
        answers = await asyncio.to_thread(
            find_answers,
            platform.database_url(),
            platform.storage.url,
            problem["id"],
            platform.options.directory,
        )
        if answers is not None:
            return problem["id"], answers
    raise AssertionError("no problem with a lucky answer among four")


async def test_a_problem_is_made_and_only_the_right_answer_passes(http: httpx.AsyncClient, platform: Platform) -> None:
    problem_id, answers = await make_problem(http, platform)
    for sql, verdict in ((answers.lucky, "wrong"), (answers.wrong, "wrong"), (answers.right, "correct")):
        job = await finished(http, {"type": "grading", "query": json.dumps({"problem_id": problem_id, "sql": sql})})
        assert job["status"] == "completed", job["error"]
        result = job["result"]
        assert result["verdict"] == verdict, sql
        assert (result["counterexample"] is not None) == (verdict == "wrong")
        if result["counterexample"]:
            assert any(result["counterexample"]["data_set"].values())


async def test_progress_is_seen_live_never_goes_back_and_can_be_replayed(http: httpx.AsyncClient) -> None:
    job_id = await submit(http, {"type": "problem_generation", "query": "stream", "options": {"count": 1}})
    live = await follow(http, job_id)
    assert live[0]["status"] == "queued"
    assert live[-1]["status"] == "completed"
    progress = [event["progress"] for event in live]
    assert progress == sorted(progress)
    assert {event["seq"] for event in live} == set(range(1, len(live) + 1))
    async with http.stream("GET", f"/api/ai/jobs/{job_id}/events", headers={"Last-Event-ID": "2"}) as stream:
        replayed = [json.loads(line[5:]) async for line in stream.aiter_lines() if line.startswith("data:")]
    assert [event["seq"] for event in replayed] == [event["seq"] for event in live][2:]


async def test_the_job_websocket_tells_the_end(http: httpx.AsyncClient, platform: Platform) -> None:
    job_id = await submit(http, {"type": "daily_tip", "query": "a tip"})
    url = f"{platform.url().replace('http', 'ws')}/api/ai/jobs/{job_id}/ws"
    async with websockets.connect(url) as socket, asyncio.timeout(60):
        async for text in socket:
            if json.loads(text).get("status") in TERMINAL:
                break
    assert (await http.get(f"/api/ai/jobs/{job_id}")).json()["status"] == "completed"


async def test_a_cancelled_job_ends_as_cancelled_and_stays_so(http: httpx.AsyncClient) -> None:
    job_id = await submit(http, {"type": "problem_generation", "query": "pa", "options": {"count": 10}})
    assert (await http.delete(f"/api/ai/jobs/{job_id}")).status_code == 200
    events = await follow(http, job_id)
    assert events[-1]["status"] == "cancelled"
    assert (await http.delete(f"/api/ai/jobs/{job_id}")).status_code == 409
    assert (await http.get(f"/api/ai/jobs/{job_id}")).json()["status"] == "cancelled"


async def test_a_workers_error_is_the_jobs_error_and_the_job_can_be_tried_again(http: httpx.AsyncClient) -> None:
    job = await finished(http, {"type": "problem_generation", "query": '{"data_type": "no_such_table"}'})
    assert job["status"] == "failed"
    assert "no_such_table" in job["error"]
    again = await http.post(f"/api/ai/jobs/{job['jobId']}/retry")
    assert again.status_code == 202
    assert again.json()["jobId"] != job["jobId"]


async def test_the_ends_of_jobs_are_notified_to_whoever_holds_their_id(
    http: httpx.AsyncClient, platform: Platform
) -> None:
    job = await finished(http, {"type": "problem_generation", "query": '{"data_type": "no_such_table"}'})
    url = f"{platform.url('notifier').replace('http', 'ws')}/notifications/ws?after=0&about={job['jobId']}"
    async with websockets.connect(url) as socket, asyncio.timeout(60):
        async for text in socket:
            event = json.loads(text)
            if event["event"] == "notification":
                break
    assert event["data"]["about"] == job["jobId"]
    assert event["data"]["type"] == "job_failed"
    assert event["data"]["text"]["ko"]


@pytest.mark.parametrize("service", ["intake", "generator", "grader", "notifier"])
async def test_every_service_is_ready_and_describes_itself(platform: Platform, service: str) -> None:
    async with httpx.AsyncClient(base_url=platform.url(service)) as client:
        assert (await client.get("/readyz")).status_code == 200
        assert (await client.get("/openapi.json")).json()["info"]["title"]
