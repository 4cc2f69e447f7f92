"""A run over many tables: one query per data set finds those that changed, and only they cost anything."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from datetime import timedelta
from uuid import UUID

from services.kernel import metrics
from services.kernel.errors import QueryCraftError
from services.kernel.metadata_cache import Index, IndexEntry, WriteConflict
from services.metadata.domain.tables import DatasetId, Listed, Scope, TableId
from services.metadata.refreshing import CONFLICT_TRIES, Ports, Refreshed, Task, refresh_table

_logger = logging.getLogger(__name__)

INDEX_EVERY = 50
"""Tables refreshed before the index learns of them: what a killed run looks at again."""
MOST_REASONS = 20
RESERVE_SECONDS = 60.0
"""No table is begun with less time left: reading it, asking a model and trying what it wrote must end in time."""

Progress = Callable[[str, int, int], Awaitable[None]]
"""What is being done, how many tables are behind, how many there are."""


@dataclass(frozen=True)
class Wish:
    """``reread``: look at every table of ``scope`` even if its listing is unchanged, as after a hint. ``force``:
    make everything anew. ``deadline``: monotonic seconds."""

    scope: Scope
    deadline: float
    reread: bool = False
    force: bool = False
    job_id: UUID | None = None


@dataclass(frozen=True)
class Terms:
    """``concurrency``: data sets listed, then tables refreshed, at once. ``max_age``: after which a table whose data
    changed is profiled again."""

    concurrency: int = 4
    max_age: timedelta = timedelta(hours=24)


@dataclass
class Report:
    """``changes``: tables by what became of them. ``failures``: table or data set -> why."""

    changes: Counter[str] = field(default_factory=Counter)
    failures: dict[str, QueryCraftError] = field(default_factory=dict)
    failed: int = 0
    examples: int = 0
    columns: int = 0
    notes: Counter[str] = field(default_factory=Counter)
    unfinished: int = 0

    @property
    def updated(self) -> int:
        return sum(self.changes[change] for change in ("created", "changed", "refreshed", "deleted"))

    def add(self, refreshed: Refreshed) -> None:
        self.changes[refreshed.change] += 1
        self.notes.update(refreshed.notes)
        if refreshed.entry is not None:
            self.examples += refreshed.entry.examples_count
            self.columns += refreshed.entry.columns_count

    def fail(self, what: str, error: QueryCraftError) -> None:
        self.failed += 1
        if len(self.failures) < MOST_REASONS:
            self.failures[what] = error


class Reconciler:
    def __init__(self, ports: Ports, terms: Terms = Terms()) -> None:
        self._ports = ports
        self._terms = terms

    async def run(self, wish: Wish, progress: Progress) -> Report:
        """Bring the wished tables up to date. Failures of single tables and data sets are in the report.

        Raises:
            TransientError, PermanentError: the index cannot be read or written.
        """
        report = Report()
        index = (await self._ports.cache.index()).index
        limit = asyncio.Semaphore(self._terms.concurrency)
        datasets = _by_dataset(wish.scope)
        await progress(f"listing {len(datasets)} data sets", 0, 1)
        listed = await asyncio.gather(
            *(self._listed(wish, dataset, named, index, report, limit) for dataset, named in datasets.items())
        )
        await self._refresh([task for tasks in listed for task in tasks], wish, report, progress)
        return report

    async def _listed(
        self,
        wish: Wish,
        dataset: DatasetId,
        named: frozenset[TableId],
        index: Index,
        report: Report,
        limit: asyncio.Semaphore,
    ) -> list[Task]:
        """What is to be done in one data set; nothing when it is out of reach."""
        async with limit:
            try:
                return [task async for task in self._tasks(wish, dataset, named, index, report)]
            except QueryCraftError as error:
                # What is cached stays; one data set out of reach does not keep the others from being fresh.
                report.fail(str(dataset), error)
                _log_failure(str(dataset), error)
                return []

    async def _tasks(
        self, wish: Wish, dataset: DatasetId, named: frozenset[TableId], index: Index, report: Report
    ) -> AsyncIterator[Task]:
        seen: set[TableId] = set()
        async for table, listed in self._ports.warehouse.listing(dataset, named):
            seen.add(table)
            entry = index.tables.get(str(table))
            task = self._task(wish, table, listed, entry)
            if task is not None:
                yield task
            else:
                report.changes["unchanged"] += 1
                metrics.METADATA_TABLES.add(1, {"outcome": "unchanged"})
        missing = named or {TableId.parse(name) for name in index.tables if name.startswith(f"{dataset}.")}
        for table in sorted(missing - seen):
            # Not listed: gone, or never there. Asked once more by name, since nothing is forgotten on a guess.
            yield Task(table, None, index.tables.get(str(table)), wish.deadline, job_id=wish.job_id)

    def _task(self, wish: Wish, table: TableId, listed: Listed, entry: IndexEntry | None) -> Task | None:
        aged = entry is not None and self._ports.now() - entry.generated_at >= self._terms.max_age
        reprofile = bool(
            aged and entry is not None and listed.modified_at is not None and listed.modified_at > entry.generated_at
        )
        same = entry is not None and entry.listed == listed.fingerprint
        if same and not (wish.reread or wish.force or reprofile):
            return None
        return Task(table, listed, entry, wish.deadline, wish.force, reprofile, wish.job_id)

    async def _refresh(self, tasks: list[Task], wish: Wish, report: Report, progress: Progress) -> None:
        """A bounded number at a time; the index learns of them in batches."""
        limit = asyncio.Semaphore(self._terms.concurrency)
        for start in range(0, len(tasks), INDEX_EVERY):
            batch = tasks[start : start + INDEX_EVERY]
            await progress(f"refreshing {batch[0].table}", start, len(tasks))
            done = await asyncio.gather(*(self._one(task, limit, report) for task in batch))
            await self._index({str(r.table): r.entry for r in done if r is not None})
            if report.unfinished:
                report.unfinished += len(tasks) - start - len(batch)
                return

    async def _one(self, task: Task, limit: asyncio.Semaphore, report: Report) -> Refreshed | None:
        async with limit:
            if task.deadline - time.monotonic() < RESERVE_SECONDS:
                report.unfinished += 1
                return None
            try:
                refreshed = await refresh_table(task, self._ports)
            except QueryCraftError as error:
                report.fail(str(task.table), error)
                metrics.METADATA_TABLES.add(1, {"outcome": "failed"})
                _log_failure(str(task.table), error)
                return None
        report.add(refreshed)
        metrics.METADATA_TABLES.add(1, {"outcome": refreshed.change})
        return refreshed

    async def _index(self, entries: dict[str, IndexEntry | None]) -> None:
        """Put these entries into the index as it is now, whoever wrote it last."""
        for left in reversed(range(CONFLICT_TRIES)):
            current = await self._ports.cache.index()
            known = current.index.tables
            fresh = {name: entry for name, entry in entries.items() if not _same(known.get(name), entry)}
            if not fresh:
                return
            try:
                await self._ports.cache.write_index(current.index.changed(fresh, self._ports.now()), current.generation)
            except WriteConflict:
                if not left:
                    raise
            else:
                return


def _same(known: IndexEntry | None, entry: IndexEntry | None) -> bool:
    """Whether the index says this already, or something newer about the same table."""
    if known is None or entry is None:
        return known is entry
    return known == entry or known.generated_at > entry.generated_at


def _by_dataset(scope: Scope) -> dict[DatasetId, frozenset[TableId]]:
    """Data sets with the tables wanted of them; an empty set wants all."""
    single: dict[DatasetId, set[TableId]] = {}
    for table in scope.tables:
        if table.dataset_id not in scope.datasets:
            single.setdefault(table.dataset_id, set()).add(table)
    every = {dataset: frozenset[TableId]() for dataset in scope.datasets}
    return dict(sorted({**every, **{dataset: frozenset(tables) for dataset, tables in single.items()}}.items()))


def _log_failure(what: str, error: QueryCraftError) -> None:
    _logger.warning(
        "metadata of %s could not be refreshed: %s",
        what,
        error,
        extra={"action": "metadata.failed", "table": what, "code": error.code},
    )
