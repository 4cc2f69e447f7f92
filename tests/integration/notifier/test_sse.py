"""Notifications as server-sent events: replay by Last-Event-ID, and how a stream ends."""

import json
from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Any

import httpx

from tests.integration.notifier.conftest import Running, Settings, running, told
from tests.support.notifier_events import failed, succeeded
from tests.support.running import bearer, token


async def frames(response: httpx.Response) -> AsyncIterator[dict[str, Any]]:
    """Events as {event, id, data}; comments are skipped."""
    fields: dict[str, Any] = {}
    async for line in response.aiter_lines():
        if not line:
            if "event" in fields:
                yield {**fields, "data": json.loads(fields["data"])}
            fields = {}
            continue
        name, _, value = line.partition(": ")
        if name:
            fields[name] = value


async def take(response: httpx.Response, number: int) -> list[dict[str, Any]]:
    found = []
    async with aclosing(frames(response)) as events:
        async for frame in events:
            found.append(frame)
            if len(found) == number:
                break
    return found


async def test_a_stream_starts_with_its_position_and_tells_what_is_new(
    notifier: Running, http: httpx.AsyncClient
) -> None:
    await notifier.publish(succeeded(user_id="mina"))
    await told(notifier, 1)
    async with http.stream("GET", "/notifications/stream", headers=bearer("mina")) as response:
        assert response.headers["content-type"] == "text/event-stream"
        events = frames(response)
        assert await anext(events) == {"retry": "1000", "event": "ready", "id": "1", "data": {}}
        job = failed(user_id="mina")
        await notifier.publish(job)
        frame = await anext(events)
        await events.aclose()
    assert (frame["event"], frame["id"]) == ("notification", "2")
    assert frame["data"]["about"] == job.job_id
    assert frame["data"]["sequence"] == 2


async def test_last_event_id_replays_exactly_what_was_missed(notifier: Running, http: httpx.AsyncClient) -> None:
    await notifier.publish(*[succeeded(user_id="mina") for _ in range(5)], succeeded(user_id="jun"))
    await told(notifier, 6)
    listed = (await http.get("/notifications", headers=bearer("mina"))).json()["items"]
    mine = sorted(item["sequence"] for item in listed)
    headers = {**bearer("mina"), "Last-Event-ID": str(mine[1])}
    async with http.stream("GET", "/notifications/stream?after=0", headers=headers) as response:
        found = await take(response, 4)
    assert [frame["id"] for frame in found] == [str(number) for number in mine[1:]]


async def test_a_browser_may_pass_its_token_in_the_address(notifier: Running, http: httpx.AsyncClient) -> None:
    await notifier.publish(succeeded(user_id="mina"))
    await told(notifier, 1)
    async with http.stream("GET", f"/notifications/stream?after=0&access_token={token('mina')}") as response:
        [_, frame] = await take(response, 2)
    assert frame["data"]["user_id"] == "mina"


async def test_a_last_event_id_that_is_none_and_a_bad_token_are_refused(http: httpx.AsyncClient) -> None:
    for last in ("soon", "-1", "1.5", "²", "9" * 30):
        answer = await http.get("/notifications/stream", headers={"Last-Event-ID": last.encode()})
        assert (answer.status_code, answer.headers["content-type"]) == (400, "application/problem+json"), last
        assert answer.json()["errors"][0]["field"] == "last-event-id"
    answer = await http.get("/notifications/stream", headers={"Authorization": "Bearer nonsense"})
    assert answer.status_code == 401
    assert "invalid_token" in answer.headers["www-authenticate"]


async def test_a_stopping_service_says_goodbye(settings: Settings) -> None:
    async with (
        running(settings()) as notifier,
        httpx.AsyncClient(base_url=notifier.url) as http,
        http.stream("GET", "/notifications/stream") as response,
    ):
        events = frames(response)
        assert (await anext(events))["event"] == "ready"
        notifier.stop.set()
        assert await anext(events) == {"event": "end", "data": {"reason": "closing"}}
        assert [frame async for frame in events] == []


async def test_one_stream_too_many_is_told_when_to_come_back(settings: Settings) -> None:
    async with (
        running(settings(max_streams=1)) as notifier,
        httpx.AsyncClient(base_url=notifier.url) as http,
        http.stream("GET", "/notifications/stream") as first,
    ):
        await take(first, 1)
        answer = await http.get("/notifications/stream")
        assert answer.status_code == 503
        assert answer.headers["retry-after"] == "5"
