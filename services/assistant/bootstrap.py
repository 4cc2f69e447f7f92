"""Builds the assistant: the only place of this service that opens clients."""

from __future__ import annotations

import asyncio
from functools import partial

from contracts import manifest
from contracts.jobs import JobCancelled, JobRequested, JobType
from contracts.problems import ProblemPublished
from services.assistant.adapters.opinions import BatchedOpinions
from services.assistant.adapters.questions import PostgresQuestions, keeping
from services.assistant.adapters.records import PostgresClassifiers, PostgresCorrections
from services.assistant.adapters.training import ProcessTrainer, ServedClassifiers
from services.assistant.analysis.handler import Analysis, analyse
from services.assistant.api import add_triage
from services.assistant.data import Sources
from services.assistant.optimization.handler import Optimization, optimize_query
from services.assistant.sandboxed import TASKS, Sandboxed
from services.assistant.settings import AssistantSettings
from services.assistant.triage.handler import Triage, triage
from services.assistant.triage.taxonomy import SHIPPED, load_all
from services.kernel.assembly import lay_foundation, mount_push
from services.kernel.base_sets import BaseSets
from services.kernel.errors import ConfigurationError
from services.kernel.http import add_health, create_app
from services.kernel.identity import TokenVerifier
from services.kernel.jobs.context import JobHandler
from services.kernel.jobs.worker import JobRoute, Worker, remember_cancellation
from services.kernel.llm.assembly import open_models
from services.kernel.llm.quota_api import add_quota
from services.kernel.messaging.consumer import Consumer, Route
from services.kernel.messaging.push import MAX_PUSH_BYTES
from services.kernel.runtime import Service
from services.kernel.sql.sandbox.pool import SandboxPool
from services.kernel.storage import GoogleCloudStorage

NAME = "assistant"


async def build(settings: AssistantSettings) -> Service:
    """The service, ready to run.

    Raises:
        ConfigurationError: a taxonomy cannot be used.
        OSError, asyncpg.PostgresError: the database cannot be reached or refuses the role.
    """
    more = (settings.taxonomy_directory,) if settings.taxonomy_directory is not None else ()
    taxonomies = load_all((SHIPPED, *more))
    if settings.default_taxonomy not in taxonomies:
        raise ConfigurationError(f"QC_DEFAULT_TAXONOMY: there is no taxonomy {settings.default_taxonomy!r}")
    foundation = await lay_foundation(NAME, settings)
    database, broker = foundation.database, foundation.broker
    models = open_models(settings, database)
    corrections = PostgresCorrections(database)
    classifiers = ServedClassifiers(
        taxonomies, PostgresClassifiers(database), corrections, ProcessTrainer(), settings.retrain_seconds
    )
    opinions = BatchedOpinions(models.router)
    triage_ports = Triage(
        taxonomies,
        settings.default_taxonomy,
        classifiers,
        opinions,
        settings.model_accuracy,
        settings.triage_patience_seconds,
    )
    objects = GoogleCloudStorage(settings.dataset_bucket, settings.google_cloud_project)
    pool = SandboxPool(settings.sandbox_size, max_waiting=settings.worker_concurrency, tasks=TASKS)
    questions = PostgresQuestions(database)
    sources, sandbox = Sources(questions, BaseSets(pool, objects, settings.base_sets_held)), Sandboxed(pool)
    handlers: dict[str, JobHandler] = {
        JobType.TRIAGE: partial(triage, ports=triage_ports),
        JobType.ANALYSIS: partial(analyse, ports=Analysis(sources, questions, sandbox)),
        JobType.OPTIMIZATION: partial(optimize_query, ports=Optimization(sources, sandbox, settings.judge_budget_ms)),
    }
    by_message = {subscription.message: subscription for subscription in manifest.subscriptions_of(NAME)}
    project = settings.google_cloud_project
    route = JobRoute(by_message[JobRequested], handlers, concurrency=settings.worker_concurrency)
    worker = Worker(route, broker, database, project_id=project)
    consumers = [
        Consumer(Route(by_message[message], handler), broker, database, project_id=project)
        for message, handler in ((ProblemPublished, keeping(questions)), (JobCancelled, remember_cancellation))
    ]
    app = create_app("QueryCraft assistant", "Sorts requests, answers questions with SQL, speeds up queries.",
                     max_body=MAX_PUSH_BYTES)  # fmt: skip
    verifier = TokenVerifier(settings)
    add_health(app, database.ping)
    add_quota(app, models, verifier)
    add_triage(app, taxonomies, corrections, verifier, classifiers.wake)
    mount_push(app, settings, [*consumers, worker])
    return Service(
        NAME,
        settings,
        database,
        broker,
        consumers=consumers,
        workers=[worker],
        background=[classifiers.keep_current, partial(_keep_warm, pool)],
        app=app,
        on_close=[opinions.close, models.close, pool.close, objects.close],
    )


async def _keep_warm(pool: SandboxPool) -> None:
    """Fork the first workers beside the service's start, not within it; a job that comes sooner waits."""
    await pool.__aenter__()
    await asyncio.Event().wait()
