"""The notifier as clients feel it: from an event to their WebSocket, and a burst of alerts.

    python -m scripts.bench.notifications

A real notifier process on the embedded broker; this process publishes the events and holds the sockets.
"""

import asyncio
import json
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import asyncpg
import httpx
import jwt
import psutil

from contracts.alerts import AlertRaised
from contracts.message import Message
from scripts.bench.percentiles import percentiles
from scripts.bench.websocket import OnText, Socket, connect
from scripts.embedded.platform import Options, Platform, running, temporary_directory
from services.kernel.messaging.embedded import EmbeddedBroker
from services.kernel.messaging.envelope import seal

CLIENTS = 1_000
OWN_EVENTS = 400
OWN_EVENTS_PER_SECOND = 40
BROADCASTS = 10
BURST = 10_000
PUBLISH_BATCH = 500
ADMINISTRATOR = "bench-administrator"
SETTLE_SECONDS = 120.0


def measure() -> dict[str, Any]:
    """Milliseconds from publishing an event to its arrival, and what became of a burst.

    Raises:
        RuntimeError: a notification was lost, or came twice.
    """
    environment = {"QC_WEBHOOK_ALLOW_LOOPBACK": "true"}
    with temporary_directory() as directory:
        options = Options(directory, services=("notifier",), environment=environment)
        with running(options) as platform:
            return asyncio.run(_measure(platform))


async def _measure(platform: Platform) -> dict[str, Any]:
    pool = await asyncpg.create_pool(platform.database_url("notifier"), min_size=2, max_size=4)
    broker = EmbeddedBroker(pool)
    process = psutil.Process(platform.processes["notifier"].pid)
    try:
        memory_before = process.memory_info().rss
        async with _Audience.connected(platform, CLIENTS) as audience:
            own = await _own_events(broker, audience)
            broadcasts = await _broadcasts(broker, audience)
            memory = process.memory_info().rss
        burst = await _burst(platform, broker, pool)
    finally:
        await broker.close()
        await pool.close()
    return {
        "clients": CLIENTS,
        "event_to_websocket_ms": {**percentiles(own), "max": round(max(own), 1)},
        "broadcast_to_every_client_ms": {**percentiles(broadcasts), "max": round(max(broadcasts), 1)},
        "memory_mb": {"idle": memory_before // 2**20, "with_clients": memory // 2**20},
        "burst": burst,
    }


class _Audience:
    """Connected clients; ``arrived`` collects (event, client) -> the moment it was heard."""

    def __init__(self) -> None:
        self.arrived: dict[tuple[str, int], float] = {}
        self.twice = 0
        self.sockets: list[Socket] = []

    @classmethod
    @asynccontextmanager
    async def connected(cls, platform: Platform, number: int) -> AsyncIterator["_Audience"]:
        audience = cls()
        try:
            for client in range(number):
                audience.sockets.append(
                    await _connect(platform, _token(platform, f"user-{client}"), audience._listener(client))
                )
            yield audience
        finally:
            for socket in audience.sockets:
                if socket.transport is not None:
                    socket.transport.abort()

    def _listener(self, client: int) -> OnText:
        def hear(message: dict[str, Any]) -> None:
            key = (message["data"]["about"], client)
            self.twice += key in self.arrived
            self.arrived.setdefault(key, time.perf_counter())

        return hear


async def _own_events(broker: EmbeddedBroker, audience: _Audience) -> list[float]:
    """Events for one client each, at a steady pace."""
    published: dict[tuple[str, int], float] = {}
    for number in range(OWN_EVENTS):
        client = number * 7 % CLIENTS
        published[f"own-{number}", client] = time.perf_counter()
        await _publish(broker, [_alert(f"own-{number}", user_id=f"user-{client}")])
        await asyncio.sleep(1 / OWN_EVENTS_PER_SECOND)
    return await _latencies(audience, published)


async def _broadcasts(broker: EmbeddedBroker, audience: _Audience) -> list[float]:
    """Events for every client at once."""
    published: dict[tuple[str, int], float] = {}
    for number in range(BROADCASTS):
        now = time.perf_counter()
        published |= {(f"all-{number}", client): now for client in range(CLIENTS)}
        await _publish(broker, [_alert(f"all-{number}", details='{"audience":"everyone"}')])
        await asyncio.sleep(1.0)
    return await _latencies(audience, published)


async def _latencies(audience: _Audience, published: dict[tuple[str, int], float]) -> list[float]:
    await _until(lambda: published.keys() <= audience.arrived.keys(), f"{len(published)} notifications")
    if audience.twice:
        raise RuntimeError(f"{audience.twice} notifications were pushed twice")
    return [(audience.arrived[key] - sent) * 1000 for key, sent in published.items()]


async def _burst(platform: Platform, broker: EmbeddedBroker, pool: asyncpg.Pool) -> dict[str, Any]:
    """Alerts as fast as they can be published, for one administrator over one socket and one webhook."""
    heard: Counter[str] = Counter()
    posts: Counter[str] = Counter()

    def hear(message: dict[str, Any]) -> None:
        heard[message["data"]["about"]] += 1

    administrator = _token(platform, ADMINISTRATOR, "admin")
    receiver = await asyncio.start_server(partial(_receive, posts), "127.0.0.1", 0)
    await _register(platform, administrator, receiver.sockets[0].getsockname()[1])
    socket = await _connect(platform, administrator, hear)
    started = time.perf_counter()
    alerts = [_alert(f"burst-{number}") for number in range(BURST)]
    for start in range(0, BURST, PUBLISH_BATCH):
        await _publish(broker, alerts[start : start + PUBLISH_BATCH])
    published = time.perf_counter() - started
    await _until(lambda: len(heard) >= BURST, f"{BURST} alerts of the burst")
    pushed = time.perf_counter() - started
    await _until(lambda: len(posts) >= BURST, f"{BURST} webhooks of the burst")
    posted = time.perf_counter() - started
    await _until_settled(pool)
    receiver.close()
    if socket.transport is not None:
        socket.transport.abort()
    kept = await pool.fetchval("SELECT count(*) FROM notifications WHERE about LIKE 'burst-%'")
    dead = await pool.fetchval("SELECT count(*) FROM dead_letters")
    twice = sum(count > 1 for counts in (heard, posts) for count in counts.values())
    if kept != BURST or dead or twice:
        raise RuntimeError(f"of {BURST} alerts {kept} were kept, {dead} became dead letters, {twice} came twice")
    return {
        "alerts": BURST,
        "kept": kept,
        "pushed": len(heard),
        "seconds_to_publish": round(published, 2),
        "seconds_to_push": round(pushed, 2),
        "alerts_per_second": round(BURST / pushed),
        "webhooks": sum(posts.values()),
        "seconds_to_post": round(posted, 2),
    }


async def _register(platform: Platform, token: str, port: int) -> None:
    async with httpx.AsyncClient(base_url=platform.url("notifier")) as http:
        wanted = {"url": f"http://127.0.0.1:{port}/", "everything": True}
        answer = await http.post("/webhooks", json=wanted, headers={"Authorization": f"Bearer {token}"})
        answer.raise_for_status()


async def _receive(posts: Counter[str], reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Count one post by its ``webhook-id`` and say 204."""
    head = await reader.readuntil(b"\r\n\r\n")
    headers = dict(line.lower().split(b": ", 1) for line in head.split(b"\r\n")[1:] if line)
    await reader.readexactly(int(headers[b"content-length"]))
    posts[headers[b"webhook-id"].decode()] += 1
    writer.write(b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n")
    await writer.drain()
    writer.close()


async def _until_settled(pool: asyncpg.Pool) -> None:
    """Until nothing waits to be posted, so that a second post would have come."""
    deadline = time.perf_counter() + SETTLE_SECONDS
    while await pool.fetchval("SELECT count(*) FROM deliveries WHERE status = 'pending'"):
        if time.perf_counter() > deadline:
            raise RuntimeError("some webhooks were never settled")
        await asyncio.sleep(0.1)


async def _connect(platform: Platform, token: str, on_text: OnText) -> Socket:
    return await connect(platform.ports["notifier"], "/notifications/ws", token, on_text)


async def _publish(broker: EmbeddedBroker, messages: Sequence[Message]) -> None:
    for outcome in await broker.publish([seal(message, "bench") for message in messages]):
        if outcome is not None:
            raise outcome


async def _until(holds: Callable[[], bool], what: str) -> None:
    deadline = time.perf_counter() + SETTLE_SECONDS
    while not holds():
        if time.perf_counter() > deadline:
            raise RuntimeError(f"{what} did not all arrive within {SETTLE_SECONDS:.0f} s")
        await asyncio.sleep(0.01)


def _alert(about: str, **fields: str) -> AlertRaised:
    return AlertRaised(
        alert_id=about,
        alert_type="benchmark",
        severity="info",
        source="bench",
        about=about,
        error_message="an error of an ordinary length, as services raise them",
        stack_trace="Traceback (most recent call last):\n" + '  File "x.py", line 1, in run\n' * 10,
        raised_at=datetime.now(UTC),
        **fields,
    )


def _token(platform: Platform, user_id: str, *roles: str) -> str:
    claims = {
        "sub": user_id,
        "roles": list(roles),
        "iss": "querycraft",
        "aud": "querycraft",
        "exp": datetime.now(UTC) + timedelta(minutes=15),
    }
    return jwt.encode(claims, platform.identity_key, "HS256")


def main() -> None:
    print(json.dumps(measure(), indent=2))


if __name__ == "__main__":
    main()
