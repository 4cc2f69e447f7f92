"""Builds the assistant: the only place of this service that opens clients."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from functools import partial

from contracts.jobs import JobCancelled, JobType
from contracts.problems import ProblemPublished
from services.assistant.adapters.opinions import BatchedOpinions
from services.assistant.adapters.questions import PostgresQuestions, keeping
from services.assistant.adapters.records import PostgresClassifiers, PostgresCorrections
from services.assistant.adapters.sql_writer import ModelSqlWriter
from services.assistant.adapters.table_notes import CachedTableKnowledge
from services.assistant.adapters.training import ProcessTrainer, ServedClassifiers
from services.assistant.analysis.handler import Analysis, analyse
from services.assistant.api import add_triage
from services.assistant.data import Sources
from services.assistant.optimization.handler import Optimization, optimize_query
from services.assistant.sandboxed import TASKS, Sandboxed
from services.assistant.settings import AssistantSettings
from services.assistant.triage.handler import Triage, triage
from services.assistant.triage.taxonomy import SHIPPED, Taxonomy, load_all
from services.kernel.assembly import lay_foundation
from services.kernel.base_sets import BaseSets
from services.kernel.errors import ConfigurationError
from services.kernel.http import add_health, create_app
from services.kernel.identity import TokenVerifier
from services.kernel.jobs.context import JobHandler
from services.kernel.jobs.worker import remember_cancellation
from services.kernel.llm.assembly import open_models
from services.kernel.llm.quota_api import add_quota
from services.kernel.llm.router import ModelRouter
from services.kernel.messaging.push import MAX_PUSH_BYTES
from services.kernel.metadata_cache import MetadataCache, VersionedStorage
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
    taxonomies = _taxonomies(settings)
    foundation = await lay_foundation(NAME, settings)
    database = foundation.database
    models = open_models(settings, database)
    corrections, questions = PostgresCorrections(database), PostgresQuestions(database)
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
    data = _open_data(settings, questions)
    handlers: dict[str, JobHandler] = {
        JobType.TRIAGE: partial(triage, ports=triage_ports),
        **_on_data(settings, data, models.router),
    }
    worker = foundation.worker(handlers, concurrency=settings.worker_concurrency)
    consumers = foundation.consumers({ProblemPublished: keeping(questions), JobCancelled: remember_cancellation})
    app = create_app("QueryCraft assistant", "Sorts requests, answers questions with SQL, speeds up queries.",
                     max_body=MAX_PUSH_BYTES)  # fmt: skip
    verifier = TokenVerifier(settings)
    add_health(app, database.ping)
    add_quota(app, models, verifier)
    add_triage(app, taxonomies, corrections, verifier, classifiers.wake)
    return foundation.service(
        app,
        consumers,
        [worker],
        background=[classifiers.keep_current, partial(_keep_warm, data.pool)],
        on_close=[opinions.close, models.close, data.pool.close, data.objects.close, data.metadata.close],
    )


def _taxonomies(settings: AssistantSettings) -> dict[str, Taxonomy]:
    more = (settings.taxonomy_directory,) if settings.taxonomy_directory is not None else ()
    taxonomies = load_all((SHIPPED, *more))
    if settings.default_taxonomy not in taxonomies:
        raise ConfigurationError(f"QC_DEFAULT_TAXONOMY: there is no taxonomy {settings.default_taxonomy!r}")
    return taxonomies


@dataclass(frozen=True)
class _Data:
    """What analyses and optimizations stand on; the last three are to be closed."""

    questions: PostgresQuestions
    sources: Sources
    sandbox: Sandboxed
    pool: SandboxPool
    objects: GoogleCloudStorage
    metadata: VersionedStorage


def _open_data(settings: AssistantSettings, questions: PostgresQuestions) -> _Data:
    project = settings.google_cloud_project
    objects = GoogleCloudStorage(settings.dataset_bucket, project)
    pool = SandboxPool(settings.sandbox_size, max_waiting=settings.worker_concurrency, tasks=TASKS)
    sources = Sources(questions, BaseSets(pool, objects, settings.base_sets_held))
    return _Data(questions, sources, Sandboxed(pool), pool, objects, VersionedStorage(settings.gcs_bucket, project))


def _on_data(settings: AssistantSettings, data: _Data, router: ModelRouter) -> dict[str, JobHandler]:
    analysis = Analysis(
        data.sources,
        data.questions,
        data.sandbox,
        CachedTableKnowledge(MetadataCache(data.metadata)),
        ModelSqlWriter(router),
        settings.analysis_patience_seconds,
    )
    optimization = Optimization(data.sources, data.sandbox, settings.judge_budget_ms)
    return {
        JobType.ANALYSIS: partial(analyse, ports=analysis),
        JobType.OPTIMIZATION: partial(optimize_query, ports=optimization),
    }


async def _keep_warm(pool: SandboxPool) -> None:
    """Fork the first workers beside the service's start, not within it; a job that comes sooner waits."""
    await pool.__aenter__()
    await asyncio.Event().wait()
