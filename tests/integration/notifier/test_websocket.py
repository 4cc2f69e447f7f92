"""Notifications over the WebSocket: who sees what, replay, and how a stream ends."""

import asyncio
import json
import socket
from typing import Any

import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from tests.integration.notifier.conftest import Running, Settings, new_id, running, told
from tests.support.notifier_events import alert, failed, succeeded
from tests.support.running import bearer, token
from tests.support.services import until


async def hear(stream: ClientConnection) -> dict[str, Any]:
    async with asyncio.timeout(20):
        return json.loads(await stream.recv())


async def about(stream: ClientConnection, number: int) -> list[str]:
    """What the next notifications are about."""
    return [(await hear(stream))["data"]["about"] for _ in range(number)]


def open_socket(notifier: Running, query: str = "", **headers: str) -> connect:
    return connect(f"{notifier.sockets}/notifications/ws{query}", additional_headers=headers, compression=None)


async def test_an_event_reaches_its_owner_and_administrators_and_nobody_else(notifier: Running) -> None:
    async with (
        open_socket(notifier, **bearer("mina")) as owner,
        open_socket(notifier, **bearer("jun")) as other,
        open_socket(notifier, **bearer("root", "admin")) as administrator,
        open_socket(notifier) as anonymous,
    ):
        everybody = (owner, other, administrator, anonymous)
        assert [await hear(stream) for stream in everybody] == [{"event": "ready", "position": 0}] * 4
        mine = failed(user_id="mina")
        await notifier.publish(mine)
        await told(notifier, 1)
        operational = alert(about="dead letter 1", stack_trace="Traceback: line 1")
        await notifier.publish(operational)
        await told(notifier, 2)
        broadcast = alert(about="maintenance", details='{"audience": "everyone"}')
        await notifier.publish(broadcast)
        assert await about(owner, 2) == [mine.job_id, "maintenance"]
        assert await about(other, 1) == ["maintenance"]
        assert await about(anonymous, 1) == ["maintenance"]
        assert await about(administrator, 3) == [mine.job_id, "dead letter 1", "maintenance"]


async def test_a_job_without_an_owner_is_told_to_whoever_names_it(notifier: Running) -> None:
    job_id = new_id()
    async with open_socket(notifier, f"?about={job_id}&about={new_id()}") as holder:
        assert (await hear(holder))["event"] == "ready"
        await notifier.publish(succeeded(), succeeded(job_id=job_id))
        assert await about(holder, 1) == [job_id]
        await told(notifier, 2)


async def test_naming_somebody_elses_job_shows_nothing(notifier: Running) -> None:
    job_id = new_id()
    async with open_socket(notifier, f"?about={job_id}&after=0", **bearer("jun")) as nosy:
        assert (await hear(nosy))["event"] == "ready"
        await notifier.publish(succeeded(job_id=job_id, user_id="mina"))
        await told(notifier, 1)
        await notifier.publish(alert(about="for all", details='{"audience": "everyone"}'))
        assert await about(nosy, 1) == ["for all"]


async def test_what_was_missed_is_replayed_in_order_before_what_is_new(notifier: Running) -> None:
    async with open_socket(notifier, **bearer("mina")) as stream:
        assert (await hear(stream))["event"] == "ready"
        await notifier.publish(succeeded(user_id="mina"))
        last = (await hear(stream))["id"]
    jobs = [succeeded(user_id="mina") for _ in range(1_200)]
    await notifier.publish(*jobs[:1_100])
    await told(notifier, 1_101)
    async with open_socket(notifier, f"?after={last}&access_token={token('mina')}") as stream:
        assert await hear(stream) == {"event": "ready", "position": last}
        await notifier.publish(*jobs[1_100:])
        heard = [await hear(stream) for _ in jobs]
    ids = [message["id"] for message in heard]
    assert ids == sorted(set(ids))
    assert {message["data"]["about"] for message in heard} == {job.job_id for job in jobs}


async def test_a_client_that_does_not_read_is_cut_off_and_can_replay(settings: Settings) -> None:
    long_text = "no " * 1_300
    jobs = [failed(user_id="mina", error_message=long_text) for _ in range(2_000)]
    async with running(settings()) as notifier:
        # A tiny receive buffer and a paused reader: the server's writes soon block.
        narrow = socket.socket()
        narrow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65_536)
        narrow.setblocking(False)
        await asyncio.get_running_loop().sock_connect(narrow, ("127.0.0.1", notifier.service.settings.http_port))
        address = f"{notifier.sockets}/notifications/ws"
        async with connect(
            address, sock=narrow, additional_headers=bearer("mina"), compression=None, max_queue=1
        ) as stuck:
            ready = await hear(stuck)
            for start in range(0, len(jobs), 500):
                await notifier.publish(*jobs[start : start + 500])
            await told(notifier, len(jobs))
            heard: list[dict[str, Any]] = []

            async def read_on() -> None:
                while True:
                    heard.append(await hear(stuck))

            with pytest.raises(ConnectionClosed) as closed:
                await read_on()
            assert closed.value.rcvd is None or closed.value.rcvd.code == 1013
        last = heard[-1]["id"] if heard else ready["position"]
        assert len(heard) < len(jobs)
        async with open_socket(notifier, f"?after={last}", **bearer("mina")) as again:
            assert (await hear(again))["event"] == "ready"
            heard += [await hear(again) for _ in range(len(jobs) - len(heard))]
    assert {message["data"]["about"] for message in heard} == {job.job_id for job in jobs}


async def test_a_stopping_service_sends_its_clients_elsewhere(settings: Settings) -> None:
    async with running(settings()) as notifier, open_socket(notifier) as stream:
        assert (await hear(stream))["event"] == "ready"
        notifier.stop.set()
        with pytest.raises(ConnectionClosed) as closed:
            await hear(stream)
    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == 1012


async def test_a_stream_ends_in_time_to_renew_its_token(settings: Settings) -> None:
    async with running(settings(stream_seconds=0.2)) as notifier, open_socket(notifier) as stream:
        assert (await hear(stream))["event"] == "ready"
        with pytest.raises(ConnectionClosed) as closed:
            await hear(stream)
    assert closed.value.rcvd is not None
    assert (closed.value.rcvd.code, closed.value.rcvd.reason) == (4000, "renew")


async def test_one_client_too_many_is_told_when_to_come_back(settings: Settings) -> None:
    async with running(settings(max_streams=1)) as notifier, open_socket(notifier) as first:
        assert (await hear(first))["event"] == "ready"
        with pytest.raises(InvalidStatus) as refused:
            await open_socket(notifier)
        assert refused.value.response.status_code == 503
        assert refused.value.response.headers["Retry-After"] == "5"
        await first.close()

        async def free() -> bool:
            try:
                async with open_socket(notifier) as second:
                    return (await hear(second))["event"] == "ready"
            except InvalidStatus:
                return False

        await until(free)


async def test_a_bad_request_is_answered_before_the_handshake(notifier: Running) -> None:
    refusals: list[tuple[str, dict[str, str], int, str]] = [
        ("?access_token=nonsense", {}, 401, "invalid-token"),
        ("", {"Authorization": "Basic abc"}, 401, "invalid-token"),
        ("?after=-1", {}, 422, "invalid-request"),
        ("?after=soon", {}, 422, "invalid-request"),
        ("?after=99999999999999999999", {}, 422, "invalid-request"),
        ("?about=%00", {}, 422, "invalid-request"),
        ("?" + "&".join(f"about={number}" for number in range(51)), {}, 422, "invalid-request"),
    ]
    for query, headers, status, code in refusals:
        with pytest.raises(InvalidStatus) as refused:
            await open_socket(notifier, query, **headers)
        problem = json.loads(refused.value.response.body)
        assert (refused.value.response.status_code, problem["type"]) == (status, f"urn:querycraft:problem:{code}")
