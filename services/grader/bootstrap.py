"""Builds the grader: the only place of this service that opens clients."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial

from contracts.jobs import JobCancelled, JobType
from contracts.problems import ProblemPublished
from services.grader.adapters.bigquery import BigQueryEngine
from services.grader.adapters.model_wording import ModelWording
from services.grader.adapters.problems import PostgresProblems
from services.grader.adapters.routed_judge import RoutedJudge
from services.grader.adapters.sandbox_judge import TASKS, SandboxJudge
from services.grader.adapters.submissions import PostgresSubmissions
from services.grader.handlers import Grading, grade, keeping
from services.grader.ports import Judge
from services.grader.settings import GraderSettings
from services.kernel.assembly import lay_foundation
from services.kernel.base_sets import BaseSets
from services.kernel.database.pool import open_pool
from services.kernel.database.unit_of_work import Database
from services.kernel.http import add_health, create_app
from services.kernel.identity import TokenVerifier
from services.kernel.jobs.worker import remember_cancellation
from services.kernel.llm.assembly import open_models
from services.kernel.llm.quota_api import add_quota
from services.kernel.messaging.push import MAX_PUSH_BYTES
from services.kernel.runtime import Service
from services.kernel.sql.sandbox.pool import SandboxPool
from services.kernel.storage import GoogleCloudStorage

NAME = "grader"


async def build(settings: GraderSettings) -> Service:
    """Raises OSError, asyncpg.PostgresError: the database cannot be reached or refuses the role."""
    foundation = await lay_foundation(NAME, settings)
    database = foundation.database
    objects = GoogleCloudStorage(settings.dataset_bucket, settings.google_cloud_project)
    # Every grading job may wait in line for a sandbox: jobs are what is limited, not the line.
    pool = SandboxPool(settings.sandbox_size, max_waiting=settings.worker_concurrency, tasks=TASKS)
    engine = _google_sql(settings)
    models = open_models(settings, database)
    wording = ModelWording(models.router, settings.wording_patience_seconds)
    problems = PostgresProblems(database)
    ports = Grading(
        problems=problems,
        submissions=PostgresSubmissions(database),
        judge=_routed(_judge(settings, pool, objects), pool, engine),
        wording=wording,
        patience=settings.unknown_problem_seconds,
    )
    worker = foundation.worker({JobType.GRADING: partial(grade, ports=ports)}, concurrency=settings.worker_concurrency)
    consumers = foundation.consumers({ProblemPublished: keeping(problems), JobCancelled: remember_cancellation})
    app = create_app(
        "QueryCraft grader", "Judges answers as jobs; this door is for operations.", max_body=MAX_PUSH_BYTES
    )
    add_health(app, database.ping)
    add_quota(app, models, TokenVerifier(settings))
    return foundation.service(
        app,
        consumers,
        [worker],
        background=[partial(_keep_warm, pool)],
        on_close=[wording.close, models.close, pool.close, objects.close, *([engine.close] if engine else [])],
    )


def _judge(settings: GraderSettings, pool: SandboxPool, objects: GoogleCloudStorage) -> SandboxJudge:
    base_sets = BaseSets(pool, objects, settings.base_sets_held)
    return SandboxJudge(pool, base_sets, settings.judge_budget_ms, settings.sandbox_size)


def _google_sql(settings: GraderSettings) -> BigQueryEngine | None:
    if settings.googlesql_engine == "off":
        return None
    return BigQueryEngine(
        settings.google_cloud_project,
        location=settings.bigquery_location,
        max_bytes=settings.googlesql_max_bytes_billed,
        timeout=settings.googlesql_timeout_seconds,
        emulated=bool(settings.bigquery_emulator_host),
    )


def _routed(judge: SandboxJudge, pool: SandboxPool, engine: BigQueryEngine | None) -> Judge:
    return judge if engine is None else RoutedJudge(judge, pool, engine)


async def _keep_warm(pool: SandboxPool) -> None:
    """Fork the first workers beside the service's start, not within it; a grading job that comes sooner waits."""
    await pool.__aenter__()
    await asyncio.Event().wait()


@dataclass(frozen=True)
class Rejudging:
    """What rejudging needs of the grader, without broker or HTTP."""

    problems: PostgresProblems
    submissions: PostgresSubmissions
    judge: Judge


@asynccontextmanager
async def rejudging(settings: GraderSettings) -> AsyncIterator[Rejudging]:
    """Raises OSError, asyncpg.PostgresError: the database cannot be reached or refuses the role."""
    database = Database(await open_pool(NAME, settings, size=2), NAME)
    objects = GoogleCloudStorage(settings.dataset_bucket, settings.google_cloud_project)
    engine = _google_sql(settings)
    try:
        async with SandboxPool(settings.sandbox_size, tasks=TASKS) as pool:
            judge = _routed(_judge(settings, pool, objects), pool, engine)
            yield Rejudging(PostgresProblems(database), PostgresSubmissions(database), judge)
    finally:
        if engine is not None:
            await engine.close()
        await objects.close()
        await database.close()
