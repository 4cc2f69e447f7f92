"""A metadata service on its own database, the storage emulator and bqemulator, with tables to change."""

from __future__ import annotations

import time
import uuid
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from scripts.embedded.storage import StorageEmulator
from services.kernel.database.unit_of_work import Database
from services.kernel.metadata_cache import TableMetadata, VersionedStorage
from services.metadata.adapters.bigquery import BigQueryWarehouse, Limits
from services.metadata.adapters.cache import StoredCache
from services.metadata.adapters.records import OutboxAnnouncer, PostgresFeedback, PostgresHints
from services.metadata.domain.examples import Failed, Proposal
from services.metadata.domain.offline import safe_examples
from services.metadata.domain.tables import DatasetId, Scope, TableId
from services.metadata.handlers import HintWorker
from services.metadata.ports import WriteRequest, Written
from services.metadata.reconcile import Reconciler, Report, Terms, Wish
from services.metadata.refreshing import Ports
from services.metadata.tally import MODEL, count
from tests.support.services import let_go_of_sockets

if TYPE_CHECKING:
    from google.cloud.bigquery import Client, SchemaField

DATASET = "shop"


@dataclass
class ScriptedWriter:
    """A model in a test's hands. Without a script it writes the safe examples and counts as a model."""

    write_script: list[Callable[[WriteRequest], tuple[Proposal, ...]]] = field(default_factory=list)
    repair_script: list[tuple[Proposal, ...]] = field(default_factory=list)
    requests: list[WriteRequest] = field(default_factory=list)
    failures: list[Failed] = field(default_factory=list)

    async def write(self, request: WriteRequest) -> Written:
        count(MODEL)
        self.requests.append(request)
        if self.write_script:
            return Written(self.write_script.pop(0)(request))
        return Written(tuple(safe_examples(request.schema))[: request.wanted])

    async def repair(self, request: WriteRequest, failed: Any) -> Written:
        count(MODEL)
        self.failures.extend(failed)
        return Written(self.repair_script.pop(0) if self.repair_script else ())


@dataclass
class Workshop:
    """The service's parts, and the data set they look at."""

    database: Database
    bigquery: Client
    objects: VersionedStorage
    writer: ScriptedWriter
    hints: PostgresHints
    feedback: PostgresFeedback
    cache: StoredCache
    warehouse: BigQueryWarehouse
    project: str

    @property
    def ports(self) -> Ports:
        return Ports(self.warehouse, self.cache, self.writer, self.feedback, OutboxAnnouncer(self.database))

    @property
    def scope(self) -> Scope:
        return Scope(frozenset({DatasetId(self.project, DATASET)}))

    def reconciler(self, **replaced: Any) -> Reconciler:
        ports = Ports(**{**vars(self.ports), **replaced})
        return Reconciler(ports, Terms(concurrency=1, max_age=timedelta(hours=24)))

    async def refresh(self, *tables: TableId, force: bool = False, **replaced: Any) -> Report:
        scope = Scope(tables=frozenset(tables)) if tables else self.scope
        wish = Wish(scope, time.monotonic() + 120, reread=bool(tables), force=force)
        return await self.reconciler(**replaced).run(wish, silent)

    def hint_worker(self, **replaced: Any) -> HintWorker:
        return HintWorker(self.reconciler(**replaced), self.hints, self.database, self.scope, 0.0, self.project)

    def table(self, name: str) -> TableId:
        return TableId(self.project, DATASET, name)

    async def cached(self, name: str) -> TableMetadata | None:
        found = await self.cache.table(self.table(name))
        return found.metadata if found else None

    def create(
        self, name: str, schema: list[SchemaField], rows: list[dict[str, Any]] | None = None, **facts: Any
    ) -> None:
        from google.cloud.bigquery import Table

        table = Table(str(self.table(name)), schema=schema)
        for fact, value in facts.items():
            setattr(table, fact, value)
        self.bigquery.create_table(table)
        if rows:
            assert self.bigquery.insert_rows_json(str(self.table(name)), list(rows)) == []

    def run(self, sql: str) -> None:
        self.bigquery.query_and_wait(sql)


async def silent(step: str, done: int, of: int) -> None:
    return None


@pytest.fixture
async def workshop(
    database: Database,
    bigquery: Client,
    bigquery_project: str,
    storage_emulator: StorageEmulator,
    monkeypatch: pytest.MonkeyPatch,
) -> AsyncIterator[Workshop]:
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", storage_emulator.url)
    bucket = f"cache-{uuid.uuid4().hex[:12]}"
    async with httpx.AsyncClient(base_url=storage_emulator.url) as http:
        (await http.post("/storage/v1/b", json={"name": bucket})).raise_for_status()
    bigquery.create_dataset(DATASET)
    objects = VersionedStorage(bucket, bigquery_project)
    warehouse = BigQueryWarehouse(bigquery_project, limits=Limits(timeout=30), emulator=True)
    yield Workshop(
        database,
        bigquery,
        objects,
        ScriptedWriter(),
        PostgresHints(database),
        PostgresFeedback(database),
        StoredCache(objects, bucket),
        warehouse,
        bigquery_project,
    )
    await objects.close()
    await warehouse.close()
    let_go_of_sockets()
