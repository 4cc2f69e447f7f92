"""The assistant's database, sandbox and handlers, and one published problem about orders."""

import json
import uuid
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime
from functools import partial
from typing import Any, cast

import pytest

from contracts import manifest
from contracts.jobs import JobFailed, JobRequested, JobSucceeded, JobType
from contracts.problems import GradingDataSet, LocaleHints, LocaleText, ProblemPublished, Provenance
from scripts.emulators.gemini import GeminiStub, per_day
from services.assistant.adapters.questions import PostgresQuestions, keeping
from services.assistant.adapters.sql_writer import ModelSqlWriter
from services.assistant.adapters.table_notes import CachedTableKnowledge
from services.assistant.analysis.handler import Analysis, analyse
from services.assistant.data import Sources
from services.assistant.optimization.handler import Optimization, optimize_query
from services.assistant.sandboxed import TASKS, Sandboxed
from services.assistant.settings import AssistantSettings
from services.kernel.base_sets import BaseSets
from services.kernel.database.unit_of_work import Database
from services.kernel.jobs.worker import JobRoute, Worker
from services.kernel.llm.assembly import Models, open_models
from services.kernel.messaging.broker import Broker
from services.kernel.metadata_cache import MetadataCache, VersionedObjects
from services.kernel.sql.sandbox.pool import SandboxPool
from services.kernel.storage import GoogleCloudStorage
from tests.support.services import delivery_of, emitted, job_requested

REQUESTS = next(s for s in manifest.subscriptions_of("assistant") if s.message is JobRequested)

DDL = [
    "CREATE TABLE members (id INTEGER PRIMARY KEY, country VARCHAR)",
    "CREATE TABLE orders (id INTEGER PRIMARY KEY, member_id INTEGER REFERENCES members (id), amount INTEGER)",
]
ROWS: dict[str, list[dict[str, Any]]] = {
    "members": [{"id": n, "country": ["KR", "JP"][n % 2]} for n in range(1, 11)],
    "orders": [{"id": n, "member_id": n % 10 + 1, "amount": n} for n in range(1, 2_001)],
}
REFERENCE = "SELECT qm.country, count(*) AS n FROM members AS qm GROUP BY qm.country ORDER BY qm.country"


@pytest.fixture
def stub(monkeypatch: pytest.MonkeyPatch) -> Iterator[GeminiStub]:
    """Nobody answers until a test says so."""
    with GeminiStub() as stub:
        monkeypatch.setenv("GOOGLE_GEMINI_BASE_URL", stub.url)
        stub.answer_with(lambda _: per_day())
        yield stub


@pytest.fixture
async def models(database: Database, stub: GeminiStub) -> AsyncIterator[Models]:
    opened = open_models(AssistantSettings(database_url="postgresql://unused", gemini_api_key="key"), database)
    yield opened
    await opened.close()


class NoCache:
    """The metadata cache's objects, of which there are none."""

    async def fetch(self, name: str, known: int) -> None:
        return None


@pytest.fixture
async def worker(database: Database, broker: Broker, models: Models) -> AsyncIterator[Worker]:
    """For analyses and optimizations."""
    questions = PostgresQuestions(database)
    async with SandboxPool(1, tasks=TASKS) as pool:
        sandbox = Sandboxed(pool)
        # Base data sets come inline here; the bucket is never asked.
        sources = Sources(questions, BaseSets(pool, GoogleCloudStorage("unused", "unused"), 2))
        knowledge = CachedTableKnowledge(MetadataCache(cast("VersionedObjects", NoCache())))
        analysis = Analysis(sources, questions, sandbox, knowledge, ModelSqlWriter(models.router), 20.0)
        handlers = {
            JobType.ANALYSIS: partial(analyse, ports=analysis),
            JobType.OPTIMIZATION: partial(optimize_query, ports=Optimization(sources, sandbox, 3_000)),
        }
        yield Worker(JobRoute(REQUESTS, handlers), broker, database)


async def publish(database: Database, **changes: Any) -> ProblemPublished:
    message = ProblemPublished(
        **{
            "problem_id": str(uuid.uuid4()),
            "problem_date": "2026-11-21",
            "data_type": "pa",
            "set_index": 0,
            "difficulty": "easy",
            "title": LocaleText(ko="나라별 회원 수", en="Members by country"),
            "description": LocaleText(ko="나라마다 회원이 몇 명인지 세세요.", en="Count the members of each country."),
            "initial_sql": "",
            "expected_answer": "{}",
            "hints": LocaleHints(ko=[], en=[]),
            "tags": [],
            "ddl": DDL,
            "reference_sql": REFERENCE,
            "ordered": True,
            "datasets": [GradingDataSet(name="base", kind="base", row_count=2_010, inline=json.dumps(ROWS))],
            "provenance": Provenance(source="offline", seed=1),
            "published_at": datetime.now(UTC),
            **changes,
        }
    )
    async with database.transaction() as unit:
        await keeping(PostgresQuestions(database))(message, unit)
    return message


async def ended(worker: Worker, database: Database, job: JobRequested) -> JobSucceeded | JobFailed:
    assert await worker.dispatch(delivery_of(job)) == "ack"
    ends = [*await emitted(database, JobSucceeded), *await emitted(database, JobFailed)]
    return next(end for end in ends if end.job_id == job.job_id)


async def result_of(worker: Worker, database: Database, job_type: str, query: Any, **fields: Any) -> dict[str, Any]:
    end = await ended(worker, database, job_requested(job_type, query, **fields))
    assert isinstance(end, JobSucceeded), end
    result: dict[str, Any] = json.loads(end.result)
    return result


async def failure_of(worker: Worker, database: Database, job_type: str, query: Any, **fields: Any) -> JobFailed:
    end = await ended(worker, database, job_requested(job_type, query, **fields))
    assert isinstance(end, JobFailed), end
    return end
