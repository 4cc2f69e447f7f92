"""A run over many data sets: listed at the same time, each failing alone, and which of their tables cost anything."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Collection
from datetime import UTC, datetime, timedelta
from typing import cast

import pytest

from services.kernel.errors import TransientError
from services.kernel.metadata_cache import Index, IndexEntry
from services.metadata.domain.tables import DatasetId, Described, Listed, Scope, TableId
from services.metadata.ports import CachedIndex, CachedTable
from services.metadata.reconcile import Reconciler, Terms, Wish
from services.metadata.refreshing import Ports

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
TABLE = TableId("some-project", "shop", "orders")
DATASETS = [DatasetId("some-project", f"set_{number}") for number in range(4)]


class EmptyIndex:
    async def index(self) -> CachedIndex:
        return CachedIndex(Index(), 0)


class Together:
    """Answers no listing before all of them have been asked for."""

    def __init__(self) -> None:
        self._all = asyncio.Barrier(len(DATASETS))

    async def listing(
        self, dataset: DatasetId, tables: Collection[TableId] = ()
    ) -> AsyncIterator[tuple[TableId, Listed]]:
        await self._all.wait()
        if dataset == DATASETS[0]:
            raise TransientError("BigQuery is out of reach", code="bigquery_unavailable")
        for _ in range(0):
            yield TableId("", "", ""), Listed("")


class OneTable:
    """Lists one table and cannot describe it, so that a look at it shows in the report."""

    def __init__(self, listed: Listed) -> None:
        self._listed = listed

    async def listing(
        self, dataset: DatasetId, tables: Collection[TableId] = ()
    ) -> AsyncIterator[tuple[TableId, Listed]]:
        yield TABLE, self._listed

    async def describe(self, table: TableId) -> Described:
        raise TransientError("BigQuery is out of reach", code="bigquery_unavailable")


class Cached:
    """What the index says of that table."""

    def __init__(self, age: timedelta) -> None:
        entry = IndexEntry(object="o", fingerprint="f", listed="same", generated_at=NOW - age)
        self._index = Index(tables={str(TABLE): entry})

    async def index(self) -> CachedIndex:
        return CachedIndex(self._index, 1)

    async def table(self, table: TableId) -> CachedTable | None:
        return None


async def silent(step: str, done: int, of: int) -> None:
    return None


async def test_data_sets_are_listed_at_the_same_time_and_fail_alone() -> None:
    ports = cast(Ports, type("Parts", (), {"cache": EmptyIndex(), "warehouse": Together()}))
    run = Reconciler(ports, Terms(concurrency=4)).run(Wish(Scope(frozenset(DATASETS)), time.monotonic() + 60), silent)
    report = await asyncio.wait_for(run, 10)
    assert (list(report.failures), report.failed) == ([str(DATASETS[0])], 1)


@pytest.mark.parametrize(
    ("listed", "age", "looked_at"),
    [
        (Listed("same", NOW - timedelta(hours=1)), timedelta(hours=25), True),
        (Listed("same", NOW - timedelta(hours=1)), timedelta(hours=23), False),
        (Listed("same", NOW - timedelta(hours=26)), timedelta(hours=25), False),
        (Listed("same", None), timedelta(hours=25), False),
        (Listed("other", NOW - timedelta(hours=26)), timedelta(hours=1), True),
    ],
    ids=[
        "old and its data changed",
        "young",
        "old and its data did not change",
        "old, nobody knows",
        "its schema changed",
    ],
)
async def test_a_table_is_looked_at_when_its_schema_changed_or_a_day_after_its_data_did(
    listed: Listed, age: timedelta, looked_at: bool
) -> None:
    parts = {"cache": Cached(age), "warehouse": OneTable(listed), "now": staticmethod(lambda: NOW)}
    ports = cast(Ports, type("Parts", (), parts))
    wish = Wish(Scope(frozenset({TABLE.dataset_id})), time.monotonic() + 600)
    report = await Reconciler(ports, Terms(max_age=timedelta(hours=24))).run(wish, silent)
    assert (str(TABLE) in report.failures) is looked_at
    assert report.changes["unchanged"] == (not looked_at)
