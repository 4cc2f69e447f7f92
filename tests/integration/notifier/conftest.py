"""A running notifier: its own database, the embedded broker and a real HTTP port."""

import asyncio
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import asyncpg
import httpx
import jwt
import psycopg
import pytest

from contracts.message import Message
from scripts.embedded.ports import free_port
from scripts.embedded.postgres import PostgresServer
from services.kernel.database.migrations import migrate
from services.kernel.messaging.envelope import seal
from services.kernel.messaging.provision import provision_embedded
from services.kernel.runtime import Service
from services.notifier import dispatcher
from services.notifier.bootstrap import build
from services.notifier.settings import NotifierSettings
from tests.support.postgres import cloned, ensure_template

TOKEN_KEY = "a key for tests only, thirty-two bytes or more"


def token(user_id: str, *roles: str) -> str:
    claims = {
        "sub": user_id,
        "roles": list(roles),
        "iss": "querycraft",
        "aud": "querycraft",
        "exp": datetime.now(UTC) + timedelta(days=1),
    }
    return jwt.encode(claims, TOKEN_KEY, "HS256")


def bearer(user_id: str, *roles: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token(user_id, *roles)}"}


def fill(url: str) -> None:
    """Migrate an empty database and create the embedded broker's topics."""
    migrate(url, "notifier")

    async def provision() -> None:
        connection = await asyncpg.connect(url)
        await provision_embedded(connection, clients=["notifier"])
        await connection.close()

    asyncio.run(provision())


@pytest.fixture(autouse=True)
def look_often(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a test makes due by hand is found at once, not at the next second."""
    monkeypatch.setattr(dispatcher, "TICK_SECONDS", 0.05)


@contextmanager
def notifier_database(postgres_server: PostgresServer) -> Iterator[str]:
    """URL of a fresh, migrated database, as the role ``notifier``."""
    template = ensure_template(postgres_server, "template_notifier", fill)
    with cloned(postgres_server, template) as url:
        with closing(psycopg.connect(url, autocommit=True)) as admin:  # role settings are per database, not copied
            admin.execute(f"ALTER ROLE notifier IN DATABASE {admin.info.dbname} SET search_path = notifier, pg_temp")
        yield url.replace("postgres@", "notifier@")


@pytest.fixture
def notifier_url(postgres_server: PostgresServer) -> Iterator[str]:
    with notifier_database(postgres_server) as url:
        yield url


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
def settings(notifier_url: str) -> Settings:
    return partial(settings_with, notifier_url)


@asynccontextmanager
async def running(settings: NotifierSettings) -> AsyncIterator[Running]:
    service = await build(settings)
    stop = asyncio.Event()
    task = asyncio.create_task(service.run(stop))
    url = f"http://127.0.0.1:{settings.http_port}"
    try:
        async with httpx.AsyncClient() as client:
            await eventually(lambda: _answers(client, url, task))
        yield Running(service, url, stop)
    finally:
        stop.set()
        await task


async def _answers(client: httpx.AsyncClient, url: str, task: "asyncio.Task[None]") -> bool:
    if task.done():
        await task
    try:
        return (await client.get(f"{url}/readyz")).status_code == httpx.codes.OK
    except httpx.TransportError:
        return False


@pytest.fixture
async def notifier(settings: Settings) -> AsyncIterator[Running]:
    async with running(settings()) as service:
        yield service


@pytest.fixture
async def http(notifier: Running) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=notifier.url) as client:
        yield client


async def eventually(holds: Callable[[], Awaitable[bool]], seconds: float = 20.0) -> None:
    """Wait until ``holds``; fail after ``seconds``."""
    async with asyncio.timeout(seconds):
        while not await holds():  # noqa: ASYNC110 - what is waited for lies in the database or behind a socket
            await asyncio.sleep(0.02)


async def told(running: Running, number: int) -> None:
    """Wait until exactly ``number`` notifications are kept."""

    async def enough() -> bool:
        return await running.count() >= number

    await eventually(enough)
    assert await running.count() == number


def new_id() -> str:
    return str(uuid.uuid4())
