"""A running intake: its own database, the embedded broker and a real HTTP port."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import httpx
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
from tests.support.running import TOKEN_KEY, on_own_thread, up
from tests.support.services import service_database, until

JOB = {"type": "grading", "query": "select 1"}


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

        await until(released)
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
def settings(database_url: str) -> Settings:
    def make(**changes: Any) -> IntakeSettings:
        return IntakeSettings(
            **{
                "database_url": database_url,
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
    async with up(service) as (url, stop):
        yield Running(service, url, stop)


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
        chosen = IntakeSettings(
            database_url=url,
            http_port=free_port(),
            identity_key=TOKEN_KEY,
            log_level="ERROR",
            enable_complexity_routing=False,
            rate_limit_per_second=1e6,
            rate_limit_burst=1_000_000,
        )

        @asynccontextmanager
        async def serve() -> AsyncIterator[str]:
            async with running(chosen) as service:
                yield service.url

        with on_own_thread(serve) as address:
            yield address


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

    await until(there)
    return found
