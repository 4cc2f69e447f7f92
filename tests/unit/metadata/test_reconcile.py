"""A run over many data sets: they are listed at the same time, and one out of reach costs the others nothing."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Collection
from typing import cast

from services.kernel.errors import TransientError
from services.kernel.metadata_cache import Index
from services.metadata.domain.tables import DatasetId, Listed, Scope, TableId
from services.metadata.ports import CachedIndex
from services.metadata.reconcile import Reconciler, Terms, Wish
from services.metadata.refreshing import Ports

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


async def silent(step: str, done: int, of: int) -> None:
    return None


async def test_data_sets_are_listed_at_the_same_time_and_fail_alone() -> None:
    ports = cast(Ports, type("Parts", (), {"cache": EmptyIndex(), "warehouse": Together()}))
    run = Reconciler(ports, Terms(concurrency=4)).run(Wish(Scope(frozenset(DATASETS)), time.monotonic() + 60), silent)
    report = await asyncio.wait_for(run, 10)
    assert (list(report.failures), report.failed) == ([str(DATASETS[0])], 1)
