"""A grader's database, its sandbox and judge, and one small problem about orders."""

import json
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime
from functools import partial
from typing import Any

import pytest

from contracts import manifest
from contracts.jobs import JobFailed, JobRequested, JobSucceeded, JobType
from contracts.problems import GradingDataSet, LocaleHints, LocaleText, ProblemPublished, Provenance
from services.generator.adapters.composing import to_parquet
from services.grader.adapters.model_wording import ModelWording
from services.grader.adapters.problems import PostgresProblems
from services.grader.adapters.sandbox_judge import TASKS, SandboxJudge
from services.grader.adapters.submissions import PostgresSubmissions
from services.grader.handlers import Grading, grade, keeping
from services.kernel.base_sets import BaseSets
from services.kernel.database.unit_of_work import Database
from services.kernel.jobs.worker import JobRoute, Worker
from services.kernel.llm.call_log import PostgresCallLog
from services.kernel.llm.catalogue import CHAINS, MODELS, Catalogue
from services.kernel.llm.router import ModelRouter
from services.kernel.messaging.broker import Broker
from services.kernel.sql.dataset import Dataset
from services.kernel.sql.sandbox.pool import SandboxPool
from services.kernel.sql.schema import Schema
from services.kernel.storage import GoogleCloudStorage, table_object
from tests.support.services import delivery_of, emitted, job_requested

REQUESTS = next(s for s in manifest.subscriptions_of("grader") if s.message is JobRequested)

DDL = [
    "CREATE TABLE members (id INTEGER PRIMARY KEY, country VARCHAR, joined DATE NOT NULL)",
    "CREATE TABLE orders (id INTEGER PRIMARY KEY, member_id INTEGER REFERENCES members (id), amount DECIMAL(8, 2))",
]
REFERENCE = """
SELECT qm.country, count(qo.id)
FROM members AS qm LEFT JOIN orders AS qo ON qo.member_id = qm.id AND qo.amount >= 17.25
GROUP BY qm.country
"""
RIGHT = """
SELECT country, (SELECT count(*) FROM orders WHERE amount >= 17.25 AND member_id IN (SELECT id FROM members AS x
 WHERE x.country IS NOT DISTINCT FROM m.country)) FROM (SELECT DISTINCT country FROM members) AS m
"""
LUCKY = REFERENCE.replace(">= 17.25", "> 17.25")
WRONG = "SELECT country, count(*) FROM members GROUP BY country"
SECRETS = ("qm.", "qo.", "AS qm", "AS qo", "LEFT JOIN")
"""Parts of the reference that no answer holds. Its constants and columns are none: data and results show them."""


def base_rows(members: int = 300) -> Dataset:
    countries = ["KR", "JP", "US", None]
    return Dataset(
        {
            "members": [
                {"id": n, "country": countries[n % 4], "joined": datetime(2026, 1, 1 + n % 28, tzinfo=UTC).date()}
                for n in range(1, members + 1)
            ],
            "orders": [
                {"id": n, "member_id": n % members + 1, "amount": f"{n % 50}.10"} for n in range(1, 3 * members + 1)
            ],
        },
        "base",
    )


@pytest.fixture
async def pool() -> AsyncIterator[SandboxPool]:
    async with SandboxPool(2, tasks=TASKS) as pool:
        yield pool


@pytest.fixture
def judge(pool: SandboxPool, objects: GoogleCloudStorage) -> SandboxJudge:
    return SandboxJudge(pool, BaseSets(pool, objects, held=2), budget_ms=500, at_once=2)


@pytest.fixture
async def wording(database: Database) -> AsyncIterator[ModelWording]:
    """Without a key: every word is the offline one."""
    wording = ModelWording(ModelRouter(Catalogue(MODELS, CHAINS), None, PostgresCallLog(database)), patience=4.0)
    yield wording
    await wording.close()


@pytest.fixture
def worker(database: Database, broker: Broker, judge: SandboxJudge, wording: ModelWording) -> Worker:
    ports = Grading(PostgresProblems(database), PostgresSubmissions(database), judge, wording, patience=10.0)
    return Worker(JobRoute(REQUESTS, {JobType.GRADING: partial(grade, ports=ports)}), broker, database)


Publish = Callable[..., Awaitable[ProblemPublished]]


@pytest.fixture
def publish(database: Database, objects: GoogleCloudStorage) -> Publish:
    """Publish the problem, or a changed one, and let the grader keep its copy."""

    async def publish(
        *, base: Dataset | None = None, small: list[dict[str, Any]] | None = None, **changes: Any
    ) -> ProblemPublished:
        datasets = [await _stored(objects, base or base_rows())]
        for number, tables in enumerate(small or [], 1):
            count = sum(len(rows) for rows in tables.values())
            datasets.append(
                GradingDataSet(name=f"small-{number}", kind="small", row_count=count, inline=json.dumps(tables))
            )
        message = ProblemPublished(
            **{
                "problem_id": str(uuid.uuid4()),
                "problem_date": "2026-11-21",
                "data_type": "pa",
                "set_index": 0,
                "difficulty": "medium",
                "title": LocaleText(ko="나라별 주문", en="Orders by country"),
                "description": LocaleText(ko="나라별 주문 수", en="Orders per country"),
                "initial_sql": "SELECT\nFROM members",
                "expected_answer": "{}",
                "hints": LocaleHints(ko=["묶으세요"], en=["Group the rows"]),
                "tags": ["left-join", "group-by"],
                "ddl": DDL,
                "reference_sql": REFERENCE,
                "ordered": False,
                "datasets": datasets,
                "provenance": Provenance(source="offline", seed=1),
                "published_at": datetime.now(UTC),
                **changes,
            }
        )
        async with database.transaction() as unit:
            await keeping(PostgresProblems(database))(message, unit)
        return message

    return publish


async def _stored(objects: GoogleCloudStorage, base: Dataset) -> GradingDataSet:
    prefix = f"datasets/{uuid.uuid4()}"
    for table, content in to_parquet(Schema.from_ddl(DDL), base).items():
        await objects.write_once(table_object(prefix, table), content, content_type="application/vnd.apache.parquet")
    return GradingDataSet(name="base", kind="base", row_count=base.row_count, uri=f"gs://{objects.bucket}/{prefix}")


async def submit(worker: Worker, database: Database, problem_id: str, sql: str, **fields: Any) -> dict[str, Any]:
    """The result of one submission's job; ``user_id`` is the job's, the rest stands in its query."""
    user_id = fields.pop("user_id", "")
    job = job_requested("grading", {"problem_id": problem_id, "sql": sql, **fields}, user_id=user_id)
    assert await worker.dispatch(delivery_of(job)) == "ack"
    ends = [end for end in await emitted(database, JobSucceeded) if end.job_id == job.job_id]
    assert ends, [failed.error_message for failed in await emitted(database, JobFailed)]
    result: dict[str, Any] = json.loads(ends[0].result)
    return result
