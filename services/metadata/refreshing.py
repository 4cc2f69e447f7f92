"""The refresh of one table: read it, keep what still holds, make what is missing, store it, tell it."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Literal
from uuid import UUID

from contracts.metadata import MetadataRefreshed
from services.kernel.metadata_cache import Example, IndexEntry, TableMetadata, WriteConflict, object_name
from services.kernel.metadata_cache.objects import ABSENT
from services.metadata.domain import examples as rules
from services.metadata.domain.changes import SchemaDifference, affected, difference
from services.metadata.domain.examples import Verified, Votes
from services.metadata.domain.tables import Described, Listed, Profiled, TableId, Trial, fingerprint
from services.metadata.making import ExampleMaker
from services.metadata.ports import (
    Announcer,
    Cache,
    CachedTable,
    ExampleWriter,
    Feedback,
    TableGone,
    Warehouse,
)

_logger = logging.getLogger(__name__)

CONFLICT_TRIES = 4

Change = Literal["created", "changed", "refreshed", "deleted", "unchanged", "superseded"]
"""``superseded``: another refresher read the table later and wrote first; its result stands."""


@dataclass(frozen=True)
class Ports:
    warehouse: Warehouse
    cache: Cache
    writer: ExampleWriter
    feedback: Feedback
    announcer: Announcer
    now: Callable[[], datetime] = lambda: datetime.now(UTC)


@dataclass(frozen=True)
class Task:
    """One table to look at. ``known``: what the index says of it. ``force``: everything anew. ``reprofile``: its data
    changed and its cache is old. ``deadline``: monotonic seconds."""

    table: TableId
    listed: Listed | None
    known: IndexEntry | None
    deadline: float
    force: bool = False
    reprofile: bool = False
    job_id: UUID | None = None


@dataclass(frozen=True)
class Refreshed:
    """``entry``: what the index shall say; None takes the table out."""

    table: TableId
    change: Change
    entry: IndexEntry | None
    notes: tuple[str, ...] = ()


async def refresh_table(task: Task, ports: Ports) -> Refreshed:
    """Bring one table's cache object up to date.

    Raises:
        TransientError, PermanentError: BigQuery or storage failed; the object that was there stays as it was.
    """
    for _ in range(CONFLICT_TRIES):
        try:
            return await _attempt(task, ports)
        except WriteConflict as conflict:
            last = conflict
            _logger.info("%s: read again", conflict, extra={"action": "metadata.conflict", "table": str(task.table)})
    raise last


async def _attempt(task: Task, ports: Ports) -> Refreshed:
    cached = await ports.cache.table(task.table)
    try:
        described = await ports.warehouse.describe(task.table)
    except TableGone:
        if cached is None and task.known is None:
            raise
        return await _removed(task.table, cached, ports)
    if cached is not None and _is_newer(cached.metadata, described):
        return Refreshed(task.table, "superseded", _entry(cached.metadata, task.listed))
    votes = await ports.feedback.votes(task.table)
    plan = _planned(task, cached, described, votes)
    if plan.unchanged and cached is not None:
        if task.known is None or task.known.generated_at != cached.metadata.generated_at:
            # Whoever wrote this object died before the index knew of it, and perhaps before it was told.
            await _announce(cached.metadata, cached.generation, ports)
        return Refreshed(task.table, "unchanged", _entry(cached.metadata, task.listed))
    metadata, notes = await _made(task, plan, described, cached, votes, ports)
    generation = await ports.cache.write(metadata, cached.generation if cached else ABSENT)
    await _announce(metadata, generation, ports)
    return Refreshed(task.table, plan.change, _entry(metadata, task.listed), notes)


@dataclass(frozen=True)
class _Plan:
    """``again``: profile the table and run its examples again; else only their scores and gaps are seen to."""

    difference: SchemaDifference
    selection: rules.Selection
    change: Change
    again: bool
    unchanged: bool


def _planned(task: Task, cached: CachedTable | None, described: Described, votes: dict[str, Votes]) -> _Plan:
    known = cached.metadata if cached is not None and cached.metadata.fingerprint else None
    if known is None:
        nothing = SchemaDifference((), moved=False)
        return _Plan(nothing, rules.Selection(), "created", again=True, unchanged=False)
    found = difference(known.table, described.schema)
    invalid = {example.id for example in known.examples if task.force or affected(example, found.broken)}
    selection = rules.select(known.examples, invalid, votes)
    rescored = any(_outdated(example, votes) for example in known.examples)
    return _Plan(
        found,
        selection,
        change="changed" if found else "refreshed",
        again=bool(found) or task.force or task.reprofile,
        unchanged=not (found or task.force or task.reprofile or rescored or selection.dropped or not known.examples),
    )


def _outdated(example: Example, votes: dict[str, Votes]) -> bool:
    """Whether learners said something since it was scored."""
    said = round(votes.get(example.id, Votes()).score, 4)
    return example.quality is None or example.quality.feedback != said


def _is_newer(known: TableMetadata, described: Described) -> bool:
    """Whether the cache was made from a later reading of the table than ours."""
    if known.read_at is None:
        return False
    if known.modified_at and described.modified_at and known.modified_at != described.modified_at:
        return known.modified_at > described.modified_at
    return known.read_at > described.read_at


async def _made(
    task: Task,
    plan: _Plan,
    described: Described,
    cached: CachedTable | None,
    votes: dict[str, Votes],
    ports: Ports,
) -> tuple[TableMetadata, tuple[str, ...]]:
    if plan.again or cached is None:
        profiled = await ports.warehouse.profile(described)
    else:
        known = cached.metadata
        profiled = Profiled(known.table.columns, known.row_count, known.profile_note)
    schema = described.schema.model_copy(update={"columns": profiled.columns})
    maker = ExampleMaker(ports.warehouse, ports.writer, replace(described, schema=schema), task.deadline, task.job_id)
    kept = plan.selection.kept
    checked = await maker.checked_again(kept) if plan.again else _as_checked(kept)
    found, note = await maker.filled(checked, plan.selection.replacements, plan.difference.new)
    metadata = TableMetadata(
        generated_at=ports.now(),
        table=schema,
        examples=rules.scored(found, plan.difference.new, votes),
        fingerprint=fingerprint(schema),
        read_at=described.read_at,
        modified_at=described.modified_at,
        row_count=profiled.row_count,
        size_bytes=described.size_bytes,
        profile_note=profiled.note,
        examples_note=note,
        change=plan.change,
        column_changes=plan.difference.columns,
    )
    return metadata, tuple(filter(None, (profiled.note, note)))


def _as_checked(kept: Sequence[Example]) -> list[Verified]:
    """As they were found when they last ran: neither the schema nor the data has changed since."""
    rows = {0.0: 0, 1.0: 1}
    return [Verified(e, Trial(True, rows.get(e.quality.non_empty if e.quality else 0.5))) for e in kept]


async def _removed(table: TableId, cached: CachedTable | None, ports: Ports) -> Refreshed:
    if cached is None:
        return Refreshed(table, "deleted", None)
    gone = MetadataRefreshed(
        table_id=str(table),
        change="deleted",
        fingerprint=cached.metadata.fingerprint,
        cache_uri=ports.cache.uri(table),
        columns_count=0,
        examples_count=0,
        generated_at=ports.now(),
    )
    # Told first: a kill in between tells it twice, and never not at all.
    await ports.announcer.announce(gone, f"{table}@{cached.generation}:deleted")
    await ports.cache.remove(table, cached.generation)
    return Refreshed(table, "deleted", None)


async def _announce(metadata: TableMetadata, generation: int, ports: Ports) -> None:
    table = TableId.parse(metadata.table.table_id)
    message = MetadataRefreshed(
        table_id=str(table),
        change=metadata.change,
        fingerprint=metadata.fingerprint,
        cache_uri=ports.cache.uri(table),
        columns_count=len(metadata.table.columns),
        examples_count=len(metadata.examples),
        column_changes=list(metadata.column_changes),
        generated_at=metadata.generated_at,
    )
    await ports.announcer.announce(message, f"{table}@{generation}")


def _entry(metadata: TableMetadata, listed: Listed | None) -> IndexEntry:
    return IndexEntry(
        object=object_name(metadata.table.table_id),
        fingerprint=metadata.fingerprint,
        listed=listed.fingerprint if listed else "",
        generated_at=metadata.generated_at,
        columns_count=len(metadata.table.columns),
        examples_count=len(metadata.examples),
    )
