"""A generator's database, and workers around it with a scripted or the real composer."""

from collections.abc import AsyncIterator, Awaitable, Callable
from functools import partial

import pytest

from contracts import manifest
from contracts.jobs import JobRequested, JobType
from scripts.embedded.storage import StorageEmulator
from services.generator.adapters.company_tables import CachedCompanyTables
from services.generator.adapters.problem_sets import PostgresProblemSets
from services.generator.adapters.process import Compose, ProcessComposer
from services.generator.adapters.records import PostgresTips, PostgresWorkerLog
from services.generator.domain import OrderDefaults
from services.generator.handlers import Generation, generate_problems, logged, publish_tip
from services.kernel.database.unit_of_work import Database
from services.kernel.jobs.context import JobContext
from services.kernel.jobs.worker import JobRoute, Worker
from services.kernel.messaging.broker import Broker
from services.kernel.metadata_cache import MetadataCache, VersionedStorage
from services.kernel.storage import GoogleCloudStorage
from tests.integration.generator.scripted import Script, compose
from tests.support.services import let_go_of_sockets

REQUESTS = next(s for s in manifest.subscriptions_of("generator") if s.message is JobRequested)


@pytest.fixture
async def cache(storage_emulator: StorageEmulator, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[VersionedStorage]:
    """The metadata service's bucket."""
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", storage_emulator.url)
    store = VersionedStorage("nlq-metadata-cache", "querycraft-test")
    yield store
    await store.close()
    let_go_of_sockets()


@pytest.fixture
def tables(cache: VersionedStorage) -> CachedCompanyTables:
    return CachedCompanyTables(MetadataCache(cache))


MakeWorker = Callable[..., Worker]


@pytest.fixture
def make_worker(
    database: Database, broker: Broker, objects: GoogleCloudStorage, tables: CachedCompanyTables
) -> MakeWorker:
    """``make_worker(Script(...), ...)``, or with another function to compose by."""

    def make(
        script: Script | Compose = Script(),  # noqa: B008 - frozen
        *,
        pass_on: Callable[[JobContext], Awaitable[None]] | None = None,
        time_limit: float = 540.0,
        database: Database = database,
    ) -> Worker:
        ports = Generation(
            composer=ProcessComposer(partial(compose, script) if isinstance(script, Script) else script),
            sets=PostgresProblemSets(database),
            objects=objects,
            tables=tables,
            defaults=OrderDefaults(count=3, max_count=50, rows=1_000),
            long_count=20,
            pass_on=pass_on,
        )
        log = PostgresWorkerLog(database)
        handlers = {
            JobType.PROBLEM_GENERATION: logged(partial(generate_problems, ports=ports), log),
            JobType.DAILY_TIP: logged(partial(publish_tip, tips=PostgresTips(database)), log),
        }
        return Worker(JobRoute(REQUESTS, handlers, time_limit=time_limit), broker, database)

    return make
