"""Server-sent events and WebSockets: replay, liveness, several replicas, and an orderly end."""

import asyncio
import json
import uuid
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
import websockets

from tests.integration.intake.conftest import Running, Settings, becomes, client_of, create, running
from tests.support.services import until

Event = dict[str, Any]


async def _events(http: httpx.AsyncClient, job_id: str, last: str | None = None) -> AsyncIterator[Event]:
    headers = {} if last is None else {"Last-Event-ID": last}
    async with http.stream("GET", f"/api/ai/jobs/{job_id}/events", headers=headers) as stream:
        assert stream.status_code == 200
        assert stream.headers["Content-Type"].startswith("text/event-stream")
        event: Event = {}
        async for line in stream.aiter_lines():
            name, _, value = line.partition(": ")
            if not line and "data" in event:
                yield event
                event = {}
            elif name == "data":
                event["data"] = json.loads(value)
            elif name:
                event[name] = value


async def _finished_job(intake: Running, http: httpx.AsyncClient) -> str:
    job_id = await create(http)
    await intake.progress(job_id, 20, "collecting", 1)
    await becomes(http, job_id, "processing")
    await intake.progress(job_id, 50, "analysing", 2)
    await until(lambda: _is_at(http, job_id, 50))
    await intake.succeed(job_id)
    await becomes(http, job_id, "completed")
    return job_id


async def _is_at(http: httpx.AsyncClient, job_id: str, progress: int) -> bool:
    return bool((await http.get(f"/api/ai/jobs/{job_id}")).json()["progress"] == progress)


async def test_a_live_stream_ends_with_its_job(intake: Running, http: httpx.AsyncClient) -> None:
    job_id = await create(http)
    seen: list[Event] = []
    async for event in _events(http, job_id):
        seen.append(event)
        if event["event"] == "queued":
            await intake.progress(job_id, 20, "수집 중", 1)
        elif event["data"]["currentStep"] == "수집 중" and event["event"] == "processing":
            await intake.progress(job_id, 50, "analysing", 2)
        elif event["event"] == "processing":
            await intake.succeed(job_id)
    assert [event["event"] for event in seen] == ["queued", "processing", "processing", "completed"]
    assert [event["id"] for event in seen] == ["1", "2", "3", "4"]
    assert [event["data"]["progress"] for event in seen] == [0, 20, 50, 100]
    assert seen[1]["data"]["currentStep"] == "수집 중"
    assert seen[1]["data"]["reportedAt"] <= seen[1]["data"]["at"]
    assert seen[0]["data"]["details"]["routing"]["complexity"] == "simple"


@pytest.mark.parametrize(
    ("last", "expected"), [(None, [1, 2, 3, 4]), ("0", [1, 2, 3, 4]), ("2", [3, 4]), ("4", []), ("999999999", [])]
)
async def test_replay(intake: Running, http: httpx.AsyncClient, last: str | None, expected: list[int]) -> None:
    job_id = await _finished_job(intake, http)
    assert [int(event["id"]) async for event in _events(http, job_id, last)] == expected


async def test_a_number_from_the_future_still_sees_the_end(intake: Running, http: httpx.AsyncClient) -> None:
    job_id = await create(http)
    stream = _events(http, job_id, "999")
    first = asyncio.ensure_future(anext(stream))
    await intake.succeed(job_id)
    assert (await first)["event"] == "completed"
    await stream.aclose()


async def test_what_cannot_be_streamed(http: httpx.AsyncClient) -> None:
    assert (await http.get(f"/api/ai/jobs/{uuid.uuid4()}/events")).status_code == 404
    assert (await http.get("/api/ai/jobs/nonsense/events")).status_code == 422
    job_id = await create(http)
    for last in ("x", "-1", "1.5", "9" * 30):
        answer = await http.get(f"/api/ai/jobs/{job_id}/events", headers={"Last-Event-ID": last})
        assert answer.status_code == 422
        assert answer.json()["errors"][0]["field"].lower() == "last-event-id"


async def test_another_replica_sees_it_too(settings: Settings) -> None:
    async with (
        running(settings()) as one,
        running(settings()) as two,
        client_of(one) as here,
        client_of(two) as there,
    ):
        job_id = await create(here)
        watching = [asyncio.ensure_future(_collect(client, job_id)) for client in (here, there)]
        await one.progress(job_id, 30, "halfway")
        await becomes(there, job_id, "processing")
        await two.succeed(job_id)
        assert await asyncio.gather(*watching) == [["queued", "processing", "completed"]] * 2


async def _collect(http: httpx.AsyncClient, job_id: str) -> list[str]:
    return [event["event"] async for event in _events(http, job_id)]


async def test_a_socket_of_one_job(intake: Running, http: httpx.AsyncClient) -> None:
    job_id = await create(http)
    async with websockets.connect(f"{intake.sockets}/api/ai/jobs/{job_id}/ws") as socket:
        assert json.loads(await socket.recv())["status"] == "queued"
        await socket.send("whatever")
        await intake.fail(job_id, "표가 없습니다")
        last = json.loads(await socket.recv())
        assert (last["status"], last["error"]) == ("failed", "표가 없습니다")
        with pytest.raises(websockets.ConnectionClosedOK):
            await socket.recv()


async def test_a_socket_of_no_job(intake: Running) -> None:
    async with websockets.connect(f"{intake.sockets}/api/ai/jobs/{uuid.uuid4()}/ws") as socket:
        with pytest.raises(websockets.ConnectionClosed) as closed:
            await socket.recv()
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 4404


async def test_one_socket_for_several_jobs(intake: Running, http: httpx.AsyncClient) -> None:
    first, second = await create(http), await create(http)
    async with websockets.connect(f"{intake.sockets}/api/ai/ws") as socket:
        await socket.send(json.dumps({"subscribe": [first, second]}))
        told = [json.loads(await socket.recv()) for _ in range(2)]
        assert {event["jobId"] for event in told} == {first, second}
        await socket.send(json.dumps({"unsubscribe": [first]}))
        missing = str(uuid.uuid4())
        for wrong, field in [
            ({"subscribe": [missing]}, "subscribe"),
            ({"subscribe": ["x"]}, "subscribe.0"),
            ({"subscribe": [first] * 101}, "subscribe"),
            ({"shout": 1}, "shout"),
        ]:
            await socket.send(json.dumps(wrong))
            assert json.loads(await socket.recv())["error"]["field"] == field
        for text in ("{", "[]", b"\xff\x00"):
            await socket.send(text)
            assert "error" in json.loads(await socket.recv())
        await intake.succeed(first)
        await becomes(http, first, "completed")
        await intake.succeed(second)
        last = json.loads(await socket.recv())
        assert (last["jobId"], last["status"]) == (second, "completed")


async def test_open_streams_do_not_hold_up_a_shutdown(settings: Settings) -> None:
    async with running(settings()) as intake, client_of(intake) as http:
        watching = asyncio.ensure_future(_collect(http, await create(http)))
        stream = _events(http, await create(http))
        assert (await anext(stream))["event"] == "queued"
        intake.stop.set()
        with pytest.raises(StopAsyncIteration):
            await anext(stream)
        assert await watching == ["queued"]
