"""A service called ``probe`` with the quota ledger and a worker log, and a router whose models are a stub's."""

import os
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from datetime import UTC, date, datetime

import psycopg
import pytest

from scripts.embedded.postgres import PostgresServer
from scripts.emulators.gemini import GeminiStub
from services.kernel.database.migrations import prepare
from services.kernel.database.tables import LLM, WORKER_LOGS
from services.kernel.database.unit_of_work import Database
from services.kernel.llm.call_log import Caller, PostgresCallLog
from services.kernel.llm.calling import AccountedCalls
from services.kernel.llm.catalogue import Catalogue, Limits, Model, Purpose
from services.kernel.llm.ledger import QuotaLedger
from services.kernel.llm.router import Manners, ModelRouter
from tests.support.services import filled_database, opened

ROOMY = Limits(1_000, 10_000_000, 1_000)
CALLER = Caller("problem_generation")
QUICK = Manners(timeout=5.0, patience=5.0, backoff=0.001)


def _fill(url: str) -> None:
    prepare(url, "probe")
    with psycopg.connect(url) as admin:
        admin.execute("SET search_path = probe")
        for ddl in (LLM, WORKER_LOGS):
            admin.execute(ddl)


@pytest.fixture
def service_name() -> str:
    return "probe"


@pytest.fixture
def database_url(postgres_server: PostgresServer, service_name: str) -> Iterator[str]:
    with filled_database(postgres_server, service_name, "template_llm", _fill) as url:
        yield url


class Clock:
    """A time that stands still until it is moved; a drop-in for the database's."""

    def __init__(self, now: datetime) -> None:
        self.now = now

    async def __call__(self, _: object) -> datetime:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock(datetime(2026, 11, 21, 12, 0, tzinfo=UTC))


@pytest.fixture
def stub(monkeypatch: pytest.MonkeyPatch) -> Iterator[GeminiStub]:
    with GeminiStub() as stub:
        monkeypatch.setenv("GOOGLE_GEMINI_BASE_URL", stub.url)
        yield stub


def catalogue(*models: Model) -> Catalogue:
    """Every purpose asks these models in this order."""
    names = tuple(model.name for model in models)
    return Catalogue({model.name: model for model in models}, dict.fromkeys(Purpose, names))


FIRST, SECOND = Model("first", ROOMY), Model("second", ROOMY)

MakeRouter = Callable[..., ModelRouter]


@pytest.fixture
async def make_router(database: Database, stub: GeminiStub) -> AsyncIterator[MakeRouter]:
    """``make_router(FIRST, SECOND, manners=...)``; the router's client is closed after the test."""
    from services.kernel.llm.gemini import GeminiClient

    assert os.environ["GOOGLE_GEMINI_BASE_URL"] == stub.url
    client = GeminiClient("stub-key")
    log = PostgresCallLog(database)

    def make(*models: Model, manners: Manners = QUICK, today: date = date(2026, 11, 21)) -> ModelRouter:
        calls = AccountedCalls(client, QuotaLedger(database), log)
        return ModelRouter(catalogue(*(models or (FIRST, SECOND))), calls, log, manners, today=lambda: today)

    yield make
    await client.close()


@asynccontextmanager
async def reopened(url: str) -> AsyncIterator[QuotaLedger]:
    """Another replica, or the same one after a restart."""
    async with opened(url, "probe") as database:
        yield QuotaLedger(database)
