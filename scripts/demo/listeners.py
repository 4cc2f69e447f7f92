"""Two outsiders that listen while the demo runs: a signed-in client, and a subscriber of the alerts topic."""

import asyncio
import contextlib
import json
import time
from collections.abc import AsyncIterator
from typing import Any

import asyncpg
import jwt
import websockets

from contracts import manifest
from contracts.alerts import NotificationPublished
from scripts.embedded.platform import Platform
from services.kernel.messaging.embedded import EmbeddedBroker
from services.kernel.messaging.envelope import unseal

TAP = "outside.alerts.v1"


class Listener:
    """``over_websocket``: what the notifier pushed; ``from_topic``: what any subscriber of the topic gets."""

    def __init__(self) -> None:
        self.over_websocket: list[dict[str, Any]] = []
        self.from_topic: list[NotificationPublished] = []

    async def wait_for(self, about: set[str], seconds: float) -> set[str]:
        """Wait until there is word of all ``about`` on both ways; the ids still missing after ``seconds``."""
        deadline = time.monotonic() + seconds
        while missing := self._missing(about):
            if time.monotonic() > deadline:
                break
            await asyncio.sleep(0.05)
        return missing

    def _missing(self, about: set[str]) -> set[str]:
        pushed = {note["about"] for note in self.over_websocket}
        published = {note.about for note in self.from_topic}
        return about - (pushed & published)


def access_token(platform: Platform, user: str) -> str:
    """A short-lived token of the platform's own issuer."""
    now = int(time.time())
    claims = {"sub": user, "iss": "querycraft", "aud": "querycraft", "iat": now, "exp": now + 600, "roles": ["admin"]}
    return jwt.encode(claims, platform.identity_key, algorithm="HS256")


@contextlib.asynccontextmanager
async def listening(platform: Platform, token: str) -> AsyncIterator[Listener]:
    listener = Listener()
    tasks = [
        asyncio.create_task(_over_websocket(platform, token, listener)),
        asyncio.create_task(_from_topic(platform, listener)),
    ]
    try:
        yield listener
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _over_websocket(platform: Platform, token: str, listener: Listener) -> None:
    url = platform.url("notifier").replace("http", "ws") + "/notifications/ws?after=0"
    async with websockets.connect(url, additional_headers={"Authorization": f"Bearer {token}"}) as socket:
        async for text in socket:
            event = json.loads(text)
            if event["event"] == "notification":
                listener.over_websocket.append(event["data"])


async def _from_topic(platform: Platform, listener: Listener) -> None:
    subscription = next(each for each in manifest.SUBSCRIPTIONS if each.name == TAP)
    async with asyncpg.create_pool(platform.database_url(), min_size=1, max_size=3) as pool:
        broker = EmbeddedBroker(pool)
        try:
            async with broker.subscribe(subscription, capacity=100) as stream:
                while True:
                    deliveries = await stream.pull(100, 1.0)
                    listener.from_topic += [unseal(each.envelope, NotificationPublished) for each in deliveries]
                    if deliveries:
                        await stream.ack(deliveries)
        finally:
            await broker.close()
