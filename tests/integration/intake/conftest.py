"""A running intake: its own database, the embedded broker and a real HTTP port."""

import asyncio
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from concurrent.futures import Future
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import jwt
import pytest

from contracts.jobs import JobFailed, JobProgressed, JobSucceeded
from contracts.message import Message, json_text
from scripts.embedded.ports import free_port
from scripts.embedded.postgres import PostgresServer
from services.intake.bootstrap import build
from services.intake.settings import IntakeSettings
from services.kernel.database.unit_of_work import Database
from services.kernel.messaging.envelope import seal
from services.kernel.runtime import Service
from tests.support.services import opened, service_database

TOKEN_KEY = "a key for tests only, thirty-two bytes or more"
JOB = {"type": "grading", "query": "select 1"}


def token(user_id: str, *roles: str, **claims: Any) -> str:
    payload = {
        "sub": user_id,
        "roles": list(roles),
        "iss": "querycraft",
        "aud": "querycraft",
        "exp": datetime.now(UTC) + timedelta(days=1),
        **claims,
    }
    return jwt.encode(payload, TOKEN_KEY, "HS256")


def bearer(user_id: str, *roles: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token(user_id, *roles)}"}


@pytest.fixture
def intake_url(postgres_server: PostgresServer) -> Iterator[str]:
    """URL of a fresh, migrated database, as the role ``intake``."""
    with service_database(postgres_server, "intake") as url:
        yield url


@pytest.fixture
async def store(intake_url: str) -> AsyncIterator[Database]:
    """The database alone: nothing dispatches, nothing is published."""
    async with opened(intake_url, "intake") as database:
        yield database


@dataclass
class Running:
    """``stop`` begins the drain, as SIGTERM would."""

    service: Service
    url: str
    stop: asyncio.Event

    @property
    def sockets(self) -> str:
        return self.url.replace("http://", "ws://")

    @property
    def database(self) -> Database:
        return self.service.database

    async def publish(self, *messages: Message) -> None:
        envelopes = [seal(message, "grader") for message in messages]
        assert await self.service.broker.publish(envelopes) == [None] * len(envelopes)

    async def fence(self, job_id: str) -> int:
        """The fence of the job's release, once it has been let out."""

        async def released() -> bool:
            return bool(await self._fence(job_id))

        await eventually(released)
        return await self._fence(job_id)

    async def _fence(self, job_id: str) -> int:
        return await self.database.pool.fetchval("SELECT fence FROM ai_jobs WHERE id = $1::text::uuid", job_id)

    async def progress(self, job_id: str, progress: int, step: str, sequence: int = 1) -> None:
        fence = await self.fence(job_id)
        await self.publish(progressed(job_id, fence=fence, sequence=sequence, progress=progress, step=step))

    async def succeed(self, job_id: str, **result: Any) -> None:
        await self.publish(succeeded(job_id, fence=await self.fence(job_id), result=json_text(result)))

    async def fail(self, job_id: str, message: str = "it broke") -> None:
        await self.publish(failed(job_id, fence=await self.fence(job_id), error_message=message))


def progressed(job_id: str, **fields: Any) -> JobProgressed:
    standard = {"fence": 1, "sequence": 1, "progress": 0, "step": "started", "job_type": "grading"}
    return JobProgressed(job_id=job_id, reported_at=datetime.now(UTC), **{**standard, **fields})


def succeeded(job_id: str, **fields: Any) -> JobSucceeded:
    standard = {"fence": 1, "result": "{}", "job_type": "grading"}
    return JobSucceeded(job_id=job_id, finished_at=datetime.now(UTC), **{**standard, **fields})


def failed(job_id: str, **fields: Any) -> JobFailed:
    standard = {"fence": 1, "error_code": "broken", "error_message": "it broke", "job_type": "grading"}
    return JobFailed(job_id=job_id, finished_at=datetime.now(UTC), **{**standard, **fields})


Settings = Callable[..., IntakeSettings]


@pytest.fixture
def settings(intake_url: str) -> Settings:
    def make(**changes: Any) -> IntakeSettings:
        return IntakeSettings(
            **{
                "database_url": intake_url,
                "http_port": free_port(),
                "identity_key": TOKEN_KEY,
                "lease_seconds": 5.0,
                "log_level": "ERROR",
                "enable_complexity_routing": False,
                **changes,
            }
        )

    return make


@asynccontextmanager
async def running(settings: IntakeSettings) -> AsyncIterator[Running]:
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
async def intake(settings: Settings) -> AsyncIterator[Running]:
    """Every request becomes a job: complexity routing is off."""
    async with running(settings()) as service:
        yield service


@pytest.fixture
async def http(intake: Running) -> AsyncIterator[httpx.AsyncClient]:
    async with client_of(intake) as client:
        yield client


@asynccontextmanager
async def client_of(service: Running) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=service.url, timeout=30) as client:
        yield client


@pytest.fixture(scope="module")
def served(postgres_server: PostgresServer) -> Iterator[str]:
    """URL of an intake that a module's tests share, on an event loop of its own thread."""
    with service_database(postgres_server, "intake") as url:
        ready: Future[str] = Future()
        loop = asyncio.new_event_loop()
        stop = asyncio.Event()

        async def serve() -> None:
            chosen = IntakeSettings(
                database_url=url,
                http_port=free_port(),
                identity_key=TOKEN_KEY,
                log_level="ERROR",
                enable_complexity_routing=False,
                rate_limit_per_second=1e6,
                rate_limit_burst=1_000_000,
            )
            async with running(chosen) as service:
                ready.set_result(service.url)
                await stop.wait()

        def run() -> None:
            try:
                loop.run_until_complete(serve())
            except BaseException as error:
                if ready.done():
                    raise
                ready.set_exception(error)
            finally:
                loop.close()

        thread = threading.Thread(target=run)
        thread.start()
        try:
            yield ready.result(30)
        finally:
            loop.call_soon_threadsafe(stop.set)
            thread.join(30)


async def create(http: httpx.AsyncClient, headers: dict[str, str] | None = None, **body: Any) -> str:
    """The id of a new job."""
    answer = await http.post("/api/ai/jobs", json={**JOB, **body}, headers=headers)
    assert answer.status_code == 202, answer.text
    return str(answer.json()["jobId"])


async def becomes(http: httpx.AsyncClient, job_id: str, status: str) -> dict[str, Any]:
    """The job's representation once it has ``status``."""
    found: dict[str, Any] = {}

    async def there() -> bool:
        found.update((await http.get(f"/api/ai/jobs/{job_id}")).json())
        return bool(found["status"] == status)

    await eventually(there)
    return found


async def eventually(holds: Callable[[], Awaitable[bool]], seconds: float = 20.0) -> None:
    """Wait until ``holds``; fail after ``seconds``."""
    async with asyncio.timeout(seconds):
        while not await holds():  # noqa: ASYNC110 - what is waited for lies in the database or behind a socket
            await asyncio.sleep(0.02)
