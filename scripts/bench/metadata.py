"""What keeping many tables fresh costs: a first run, one with nothing changed, one with a few tables changed.

    python -m scripts.bench.metadata [--tables 1000] [--changed 10] [--output build/metadata.json]

Tables are in bqemulator, objects in the storage emulator, and the model is a stand-in that answers at once with the
safe examples, so the seconds are those of the emulators and of our own code; the calls are what the cloud would bill.
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
from pathlib import Path
from typing import TYPE_CHECKING, Any

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

    name: str
    seconds: float
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


async def measure(tables: int, changed: int, concurrency: int) -> list[Figures]:
    """Raises BigQueryUnavailable, StorageUnavailable: an emulator does not start."""
    with contextlib.ExitStack() as stack:
        directory = stack.enter_context(temporary_directory())
        storage = stack.enter_context(StorageEmulator(directory / "storage"))
        emulator = stack.enter_context(BigQueryEmulator(directory / "bigquery.log", project=PROJECT))
        os.environ |= {"STORAGE_EMULATOR_HOST": storage.url, "BIGQUERY_EMULATOR_HOST": emulator.url}
        owner = _owner()
        datasets = await asyncio.to_thread(_create, owner, tables)
        bucket = f"bench-{uuid.uuid4().hex[:8]}"
        async with httpx.AsyncClient(base_url=storage.url) as http:
            (await http.post("/storage/v1/b", json={"name": bucket})).raise_for_status()
        objects = VersionedStorage(bucket, PROJECT)
        warehouse = BigQueryWarehouse(PROJECT, emulator=True)
        ports = Ports(warehouse, StoredCache(objects, bucket), StandInModel(), NoFeedback(), NobodyListens())
        reconciler = Reconciler(ports, Terms(concurrency=concurrency))
        scope = Scope(frozenset(datasets))
        figures = [await _run("first run", reconciler, scope), await _run("nothing changed", reconciler, scope)]
        await asyncio.to_thread(_change, owner, datasets[0], changed)
        figures.append(await _run(f"{changed} changed", reconciler, scope))
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

    began = time.monotonic()
    with counting() as calls:
        report: Report = await reconciler.run(Wish(scope, began + 3_600), silent)
    seconds = time.monotonic() - began
    if report.failed:
        raise RuntimeError(f"{name}: {report.failed} failed, first: {next(iter(report.failures.values()))}")
    return Figures(
        name,
        round(seconds, 2),
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
    parser.add_argument("--concurrency", type=int, default=1, help="bqemulator answers one query at a time")
    parser.add_argument("--output", type=Path, default=Path("build/metadata.json"))
    options = parser.parse_args()
    figures: list[dict[str, Any]] = [
        asdict(each) for each in asyncio.run(measure(options.tables, options.changed, options.concurrency))
    ]
    options.output.parent.mkdir(parents=True, exist_ok=True)
    options.output.write_text(json.dumps(figures, indent=2), encoding="utf-8")
    for each in figures:
        print(f"{each['name']:>16}: {each['seconds']:8.2f} s, BigQuery {each['bigquery_calls']:5}, model "
              f"{each['model_calls']:4}, {each['outcomes']}, peak {each['peak_mb']} MB")  # fmt: skip


if __name__ == "__main__":
    main()
