"""Builds the metadata service: the only place of this service that opens clients."""

from __future__ import annotations

from datetime import timedelta
from functools import partial

from contracts.jobs import JobCancelled, JobType
from services.kernel.assembly import lay_foundation
from services.kernel.identity import TokenVerifier
from services.kernel.jobs.launcher import ChildProcessLauncher, CloudRunLauncher, hand_over
from services.kernel.jobs.worker import remember_cancellation
from services.kernel.llm.assembly import open_models
from services.kernel.messaging.oidc import OidcVerifier, TrustEveryone, Verifier
from services.kernel.messaging.replayer import Replayer
from services.kernel.metadata_cache import VersionedStorage
from services.kernel.runtime import Service
from services.metadata.adapters.bigquery import BigQueryWarehouse, Limits
from services.metadata.adapters.cache import StoredCache
from services.metadata.adapters.records import OutboxAnnouncer, PostgresFeedback, PostgresHints
from services.metadata.adapters.writing import ModelExampleWriter
from services.metadata.api.app import Parts, build_app
from services.metadata.api.events import SUBSCRIPTION, EventDoor
from services.metadata.handlers import HintWorker, Refreshing, refresh_metadata
from services.metadata.loops import follow_hints
from services.metadata.reconcile import Reconciler, Terms
from services.metadata.refreshing import Ports
from services.metadata.settings import MetadataSettings

NAME = "metadata"


async def build(settings: MetadataSettings, *, launched: bool = False) -> Service:
    """``launched``: for one long job in a process of its own, which hands over to nobody.

    Raises:
        OSError, asyncpg.PostgresError: the database cannot be reached or refuses the role.
        ConfigurationError, ValueError: a setting names what cannot be.
    """
    scope = settings.scope
    foundation = await lay_foundation(NAME, settings)
    database, project = foundation.database, settings.google_cloud_project
    models = open_models(settings, database)
    objects = VersionedStorage(settings.gcs_bucket, project)
    warehouse = _warehouse(settings)
    cache = StoredCache(objects, settings.gcs_bucket)
    feedback, hints = PostgresFeedback(database), PostgresHints(database)
    ports = Ports(warehouse, cache, ModelExampleWriter(models.router), feedback, OutboxAnnouncer(database))
    # bqemulator mixes up the results of concurrent queries.
    concurrency = 1 if settings.bigquery_emulator_host else settings.table_concurrency
    reconciler = Reconciler(ports, Terms(concurrency, timedelta(hours=settings.max_age_hours)))
    launcher = None if launched else _launcher(settings)
    pass_on = None if launcher is None else partial(hand_over, launcher=launcher, service=NAME)
    worker = foundation.worker(
        {JobType.METADATA_REFRESH: partial(refresh_metadata, ports=Refreshing(reconciler, scope, pass_on))},
        concurrency=settings.worker_concurrency,
        time_limit=settings.long_time_limit_seconds if launched else settings.time_limit_seconds,
    )
    consumers = foundation.consumers({JobCancelled: remember_cancellation})
    tokens = TokenVerifier(settings)
    door = EventDoor(hints, database, scope, settings.debounce_seconds, _event_verifiers(settings), tokens, project)
    app = build_app(Parts(reconciler, cache, hints, feedback, door, scope, tokens, settings.time_limit_seconds))
    hint_worker = HintWorker(reconciler, hints, database, scope, settings.debounce_seconds, project)
    closing = [models.close, objects.close, warehouse.close]
    return foundation.service(
        app,
        consumers,
        [worker],
        background=[partial(follow_hints, hint_worker), Replayer(database.pool, {SUBSCRIPTION: door}).run],
        on_close=closing if launcher is None else [launcher.close, *closing],
    )


def _warehouse(settings: MetadataSettings) -> BigQueryWarehouse:
    limits = Limits(settings.execute_bytes, settings.profile_bytes, settings.bigquery_timeout_seconds)
    return BigQueryWarehouse(
        settings.google_cloud_project,
        settings.bigquery_location,
        limits=limits,
        emulator=bool(settings.bigquery_emulator_host),
    )


def _launcher(settings: MetadataSettings) -> ChildProcessLauncher | CloudRunLauncher:
    if settings.launcher == "cloud_run":
        return CloudRunLauncher(settings.google_cloud_project, settings.region)
    return ChildProcessLauncher()


def _event_verifiers(settings: MetadataSettings) -> list[Verifier]:
    """Pub/Sub's and Eventarc's identities, as far as they are configured; administrators may always send events."""
    pairs = (
        (settings.push_audience, settings.push_service_account),
        (settings.eventarc_audience, settings.eventarc_service_account),
    )
    verifiers: list[Verifier] = [OidcVerifier(audience, account) for audience, account in pairs if audience and account]
    return [TrustEveryone()] if settings.push_emulator and not verifiers else verifiers
