"""Builds the generator: the only place of this service that opens clients."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial

from contracts.jobs import JobCancelled, JobType
from contracts.metadata import MetadataRefreshed
from services.generator.adapters.company_tables import CachedCompanyTables
from services.generator.adapters.composing import compose
from services.generator.adapters.problem_sets import PostgresProblemSets
from services.generator.adapters.process import ProcessComposer
from services.generator.adapters.records import PostgresTips, PostgresWorkerLog
from services.generator.domain import OrderDefaults
from services.generator.handlers import Generation, forget_table, generate_problems, logged, publish_tip
from services.generator.models.composer import ModelComposer
from services.generator.models.tips import ModelTips
from services.generator.settings import GeneratorSettings
from services.kernel.assembly import lay_foundation
from services.kernel.database.unit_of_work import Database
from services.kernel.http import add_health, create_app
from services.kernel.identity import TokenVerifier
from services.kernel.jobs.context import JobContext, JobHandler
from services.kernel.jobs.launcher import ChildProcessLauncher, CloudRunLauncher, hand_over
from services.kernel.jobs.worker import remember_cancellation
from services.kernel.llm.assembly import Models, open_models
from services.kernel.llm.quota_api import add_quota
from services.kernel.messaging.push import MAX_PUSH_BYTES
from services.kernel.metadata_cache import MetadataCache, VersionedStorage
from services.kernel.runtime import Service
from services.kernel.storage import GoogleCloudStorage

NAME = "generator"


async def build(settings: GeneratorSettings, *, launched: bool = False) -> Service:
    """``launched``: for one long job in a process of its own, which hands over to nobody.

    Raises:
        OSError, asyncpg.PostgresError: the database cannot be reached or refuses the role.
    """
    foundation = await lay_foundation(NAME, settings)
    database = foundation.database
    objects = GoogleCloudStorage(settings.dataset_bucket, settings.google_cloud_project)
    cache = VersionedStorage(settings.gcs_bucket, settings.google_cloud_project)
    tables = CachedCompanyTables(MetadataCache(cache))
    models = open_models(settings, database)
    launcher = None if launched else _launcher(settings)
    pass_on = None if launcher is None else partial(hand_over, launcher=launcher, service=NAME)
    worker = foundation.worker(
        _handlers(settings, database, objects, tables, models, pass_on),
        concurrency=settings.worker_concurrency,
        time_limit=settings.long_time_limit_seconds if launched else settings.time_limit_seconds,
    )
    forget = partial(forget_table, expire=tables.expire)
    consumers = foundation.consumers({JobCancelled: remember_cancellation, MetadataRefreshed: forget})
    app = create_app(
        "QueryCraft generator",
        "Makes practice problems and tips as jobs; this door is for operations.",
        max_body=MAX_PUSH_BYTES,
    )
    add_health(app, database.ping)
    add_quota(app, models, TokenVerifier(settings))
    closing = [models.close, objects.close, cache.close]
    return foundation.service(
        app, consumers, [worker], on_close=closing if launcher is None else [launcher.close, *closing]
    )


def _launcher(settings: GeneratorSettings) -> ChildProcessLauncher | CloudRunLauncher:
    if settings.launcher == "cloud_run":
        return CloudRunLauncher(settings.google_cloud_project, settings.region)
    return ChildProcessLauncher()


def _handlers(
    settings: GeneratorSettings,
    database: Database,
    objects: GoogleCloudStorage,
    tables: CachedCompanyTables,
    models: Models,
    pass_on: Callable[[JobContext], Awaitable[None]] | None,
) -> dict[str, JobHandler]:
    ports = Generation(
        composer=ModelComposer(models.router, ProcessComposer(compose)),
        sets=PostgresProblemSets(database),
        objects=objects,
        tables=tables,
        defaults=OrderDefaults(settings.default_count, settings.max_count, settings.base_rows),
        long_count=settings.long_count,
        pass_on=pass_on,
    )
    log = PostgresWorkerLog(database)
    return {
        JobType.PROBLEM_GENERATION: logged(partial(generate_problems, ports=ports), log),
        JobType.DAILY_TIP: logged(
            partial(publish_tip, tips=PostgresTips(database), write=ModelTips(models.router)), log
        ),
    }
