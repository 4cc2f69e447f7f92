"""A running notifier: its own database, the embedded broker and a real HTTP port."""

import asyncio
import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import httpx
import pytest

from contracts.message import Message
from scripts.embedded.ports import free_port
from services.kernel.messaging.envelope import seal
from services.kernel.runtime import Service
from services.notifier import dispatcher
from services.notifier.bootstrap import build
from services.notifier.settings import NotifierSettings
from tests.support.running import TOKEN_KEY, up
from tests.support.services import until
from tests.support.smtp_receiver import Mailbox, receiving_mail
from tests.support.webhook_receiver import Receiver, receiving


@pytest.fixture(autouse=True)
def look_often(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a test makes due by hand is found at once, not at the next second."""
    monkeypatch.setattr(dispatcher, "TICK_SECONDS", 0.05)


@dataclass
class Running:
    """``stop`` begins the drain, as SIGTERM would."""

    service: Service
    url: str
    stop: asyncio.Event

    @property
    def sockets(self) -> str:
        return self.url.replace("http://", "ws://")

    async def publish(self, *messages: Message, **options: Any) -> None:
        envelopes = [seal(message, "test", **options) for message in messages]
        assert await self.service.broker.publish(envelopes) == [None] * len(envelopes)

    async def count(self, table: str = "notifications") -> int:
        return await self.service.database.pool.fetchval(f"SELECT count(*) FROM {table}")


Settings = Callable[..., NotifierSettings]


def settings_with(database_url: str, **changes: Any) -> NotifierSettings:
    return NotifierSettings(
        **{
            "database_url": database_url,
            "http_port": free_port(),
            "identity_key": TOKEN_KEY,
            "lease_seconds": 5.0,
            "log_level": "ERROR",
            **changes,
        }
    )


@pytest.fixture
def settings(database_url: str) -> Settings:
    return partial(settings_with, database_url)


@asynccontextmanager
async def running(settings: NotifierSettings) -> AsyncIterator[Running]:
    service = await build(settings)
    async with up(service) as (url, stop):
        yield Running(service, url, stop)


@pytest.fixture
async def notifier(settings: Settings) -> AsyncIterator[Running]:
    async with running(settings()) as service:
        yield service


@pytest.fixture
async def http(notifier: Running) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=notifier.url) as client:
        yield client


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with receiving() as server:
        yield server


@pytest.fixture
async def mailbox() -> AsyncIterator[Mailbox]:
    async with receiving_mail() as server:
        yield server


async def told(running: Running, number: int) -> None:
    """Wait until exactly ``number`` notifications are kept."""

    async def enough() -> bool:
        return await running.count() >= number

    await until(enough)
    assert await running.count() == number


def new_id() -> str:
    return str(uuid.uuid4())
