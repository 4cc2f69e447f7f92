"""What keeping many tables fresh costs: a first run, one with nothing changed, one with a few tables changed.

    python -m scripts.bench.metadata [--tables 1000] [--changed 10]

Tables are in bqemulator, objects in the storage emulator, and the model is a stand-in that answers at once with the
safe examples. The calls are what the cloud would bill. ``seconds`` are mostly the emulator's: it takes a second to list
a data set of 100 tables. ``own_cpu_s`` is what this service's code and Google's clients used themselves.
"""

import argparse
import asyncio
import contextlib
import json
import os
import resource
import time
import uuid
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any
from unittest import mock

import httpx

from contracts.metadata import MetadataRefreshed
from scripts.embedded.bigquery import BigQueryEmulator
from scripts.embedded.platform import temporary_directory
from scripts.embedded.storage import StorageEmulator
from services.kernel.metadata_cache import VersionedStorage
from services.metadata.adapters.bigquery import BigQueryWarehouse
from services.metadata.adapters.cache import StoredCache
from services.metadata.domain.examples import Failed, Votes
from services.metadata.domain.offline import safe_examples
from services.metadata.domain.tables import DatasetId, Scope, TableId
from services.metadata.ports import WriteRequest, Written
from services.metadata.reconcile import Reconciler, Report, Terms, Wish
from services.metadata.refreshing import Ports
from services.metadata.tally import MODEL, count, counting

if TYPE_CHECKING:
    from google.cloud.bigquery import Client

PROJECT = "bench-project"
TABLES_PER_DATASET = 100


@dataclass(frozen=True)
class Figures:
    """``calls``: to BigQuery by kind, and to the model. ``peak_mb``: of this process so far."""

    seconds: float
    own_cpu_s: float
    outcomes: dict[str, int]
    bigquery_calls: int
    model_calls: int
    calls: dict[str, int]
    peak_mb: int


class StandInModel:
    async def write(self, request: WriteRequest) -> Written:
        count(MODEL)
        return Written(tuple(safe_examples(request.schema))[: request.wanted])

    async def repair(self, request: WriteRequest, failed: Sequence[Failed]) -> Written:
        return Written(())


class NoFeedback:
    async def votes(self, table: TableId) -> dict[str, Votes]:
        return {}


class NobodyListens:
    async def announce(self, message: MetadataRefreshed, message_id: str) -> None:
        """The outbox is measured elsewhere."""


def measure(tables: int = 200, changed: int = 10) -> dict[str, Any]:
    """Figures of three runs: ``first``, ``nothing_changed`` and ``some_changed``, of which ``changed`` tables had.

    Raises:
        EmulatorUnavailable: an emulator does not start.
        RuntimeError: a table could not be refreshed.
    """
    with contextlib.ExitStack() as stack:
        directory = stack.enter_context(temporary_directory())
        storage = stack.enter_context(StorageEmulator(directory / "storage"))
        emulator = stack.enter_context(BigQueryEmulator(directory / "bigquery.log", project=PROJECT))
        hosts = {"STORAGE_EMULATOR_HOST": storage.url, "BIGQUERY_EMULATOR_HOST": emulator.url}
        stack.enter_context(mock.patch.dict(os.environ, hosts))
        runs = asyncio.run(_measure(storage.url, tables, changed))
    datasets = -(-tables // TABLES_PER_DATASET)
    return {
        "tables": tables,
        "data_sets": datasets,
        "changed": changed,
        **{name: asdict(figures) for name, figures in runs.items()},
        "calls_per_new_table": round(runs["first"].bigquery_calls / tables, 2),
        "calls_per_data_set_when_nothing_changed": runs["nothing_changed"].bigquery_calls / datasets,
        "model_calls_per_changed_table": runs["some_changed"].model_calls / changed,
        "memory_growth_mb": runs["some_changed"].peak_mb - runs["first"].peak_mb,
    }


async def _measure(storage_url: str, tables: int, changed: int) -> dict[str, Figures]:
    owner = _owner()
    datasets = await asyncio.to_thread(_create, owner, tables)
    bucket = f"bench-{uuid.uuid4().hex[:8]}"
    async with httpx.AsyncClient(base_url=storage_url) as http:
        (await http.post("/storage/v1/b", json={"name": bucket})).raise_for_status()
    objects = VersionedStorage(bucket, PROJECT)
    warehouse = BigQueryWarehouse(PROJECT, emulator=True)
    ports = Ports(warehouse, StoredCache(objects, bucket), StandInModel(), NoFeedback(), NobodyListens())
    # bqemulator mixes up the results of concurrent queries.
    reconciler = Reconciler(ports, Terms(concurrency=1))
    scope = Scope(frozenset(datasets))
    figures = {name: await _run(name, reconciler, scope) for name in ("first", "nothing_changed")}
    await asyncio.to_thread(_change, owner, datasets[0], changed)
    figures["some_changed"] = await _run("some_changed", reconciler, scope)
    await objects.close()
    await warehouse.close()
    owner.close()
    return figures


def _owner() -> "Client":
    from google.auth.credentials import AnonymousCredentials
    from google.cloud.bigquery import Client

    return Client(project=PROJECT, credentials=AnonymousCredentials())


def _create(owner: "Client", tables: int) -> list[DatasetId]:
    from google.cloud.bigquery import SchemaField, Table

    schema = [SchemaField("id", "INTEGER"), SchemaField("state", "STRING"), SchemaField("day", "DATE")]
    datasets = [DatasetId(PROJECT, f"shop_{n}") for n in range((tables + TABLES_PER_DATASET - 1) // TABLES_PER_DATASET)]
    for dataset in datasets:
        owner.create_dataset(dataset.dataset)
    for number in range(tables):
        dataset = datasets[number // TABLES_PER_DATASET]
        owner.create_table(Table(f"{dataset}.t{number:05d}", schema=schema))
    return datasets


def _change(owner: "Client", dataset: DatasetId, changed: int) -> None:
    from google.cloud.bigquery import SchemaField

    for item in list(owner.list_tables(dataset.dataset))[:changed]:
        table = owner.get_table(item.reference)
        table.schema = [*table.schema, SchemaField("amount", "FLOAT")]
        owner.update_table(table, ["schema"])


async def _run(name: str, reconciler: Reconciler, scope: Scope) -> Figures:
    async def silent(step: str, done: int, of: int) -> None:
        return None

    began, cpu = time.monotonic(), time.process_time()
    with counting() as calls:
        report: Report = await reconciler.run(Wish(scope, began + 3_600), silent)
    seconds, own = time.monotonic() - began, time.process_time() - cpu
    if report.failed:
        raise RuntimeError(f"{name}: {report.failed} failed, first: {next(iter(report.failures.values()))}")
    return Figures(
        round(seconds, 2),
        round(own, 2),
        dict(report.changes),
        calls.total() - calls[MODEL],
        calls[MODEL],
        dict(calls),
        resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure metadata refreshes over many tables.")
    parser.add_argument("--tables", type=int, default=1_000)
    parser.add_argument("--changed", type=int, default=10)
    options = parser.parse_args()
    print(json.dumps(measure(options.tables, options.changed), indent=2))


if __name__ == "__main__":
    main()
