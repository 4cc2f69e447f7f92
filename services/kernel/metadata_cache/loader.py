"""The loader: a table's metadata from the cache, at most an hour old, whatever happens to storage."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Generic, Literal, TypeVar

from pydantic import ValidationError

from services.kernel.metadata_cache.documents import INDEX_OBJECT, Index, TableMetadata, TableSchema, object_name
from services.kernel.metadata_cache.objects import ABSENT, NotModified, VersionedObjects

_logger = logging.getLogger(__name__)

TTL_SECONDS = 3_600.0
RETRY_SECONDS = 30.0
"""After a failure storage is left alone this long, so that an outage costs its readers no waiting."""
MAX_ENTRIES = 10_000

D = TypeVar("D", Index, TableMetadata)
State = Literal["fresh", "stale", "missing", "unavailable"]
"""``stale``: storage fails and this is what was read last. ``missing``: nothing is cached under this name.
``unavailable``: storage fails, or the object is broken, and nothing was read before."""


@dataclass(frozen=True)
class Loaded(Generic[D]):
    """``value`` is always valid; empty when ``state`` is 'missing' or 'unavailable', and ``problem`` says why."""

    value: D
    state: State
    generation: int = ABSENT
    problem: str = ""


@dataclass
class _Entry(Generic[D]):
    loaded: Loaded[D]
    due_at: float


class MetadataCache:
    """Holds what it read in memory. Concurrent callers for one table share one request. Never raises.

    ``clock``: monotonic seconds.
    """

    def __init__(
        self, objects: VersionedObjects, *, ttl: float = TTL_SECONDS, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._objects = objects
        self._ttl = ttl
        self._clock = clock
        self._tables: dict[str, _Entry[TableMetadata]] = {}
        self._index: dict[str, _Entry[Index]] = {}
        self._loading: dict[str, asyncio.Task[None]] = {}

    async def table(self, table_id: str) -> Loaded[TableMetadata]:
        """``table_id``: project.dataset.table."""
        empty = TableMetadata(generated_at=datetime.fromtimestamp(0, UTC), table=TableSchema(table_id=table_id))
        try:
            name = object_name(table_id)
        except ValueError:
            return Loaded(empty, "missing", problem=f"{table_id!r} is not project.dataset.table")
        return await self._get(self._tables, name, TableMetadata, empty)

    async def index(self) -> Loaded[Index]:
        return await self._get(self._index, INDEX_OBJECT, Index, Index())

    def expire(self, table_id: str) -> None:
        """Ask storage again at the next call: the table is known to have changed. What was read stays as a reserve."""
        for entries, name in ((self._tables, _name_or_empty(table_id)), (self._index, INDEX_OBJECT)):
            entry = entries.get(name)
            if entry is not None:
                entry.due_at = self._clock()

    async def _get(self, entries: dict[str, _Entry[D]], name: str, kind: type[D], empty: D) -> Loaded[D]:
        entry = entries.get(name)
        if entry is None or entry.due_at <= self._clock():
            task = self._loading.get(name)
            if task is None:
                task = asyncio.create_task(self._load(entries, name, kind, empty), name=f"load {name}")
                self._loading[name] = task
                task.add_done_callback(lambda _: self._loading.pop(name, None))
            # Shielded: a caller that gives up must not take the answer away from the others.
            await asyncio.shield(task)
        return entries[name].loaded

    async def _load(self, entries: dict[str, _Entry[D]], name: str, kind: type[D], empty: D) -> None:
        previous = entries[name].loaded if name in entries else None
        wait = self._ttl
        try:
            loaded = await self._fetch(name, kind, empty, previous)
        except Exception as error:  # the promise of this class: its callers work on, with less
            _logger.warning(
                "metadata cache cannot be read: %s: %s", name, error, extra={"action": "metadata_cache.unavailable"}
            )
            wait = min(RETRY_SECONDS, self._ttl)
            problem = f"{type(error).__name__}: {error}"
            if previous is not None and previous.state in ("fresh", "stale"):
                loaded = Loaded(previous.value, "stale", previous.generation, problem)
            else:
                loaded = Loaded(empty, "unavailable", ABSENT, problem)
        if name not in entries and len(entries) >= MAX_ENTRIES:
            entries.pop(next(iter(entries)))  # the one held longest
        entries[name] = _Entry(loaded, self._clock() + wait)

    async def _fetch(self, name: str, kind: type[D], empty: D, previous: Loaded[D] | None) -> Loaded[D]:
        known = previous.generation if previous is not None else ABSENT
        stored = await self._objects.fetch(name, known)
        if isinstance(stored, NotModified):
            if previous is None:
                raise AssertionError("storage says 'not modified' about what was never read")
            return Loaded(previous.value, "fresh", previous.generation)
        if stored is None:
            return Loaded(empty, "missing", problem="there is no such object in the cache")
        try:
            return Loaded(kind.model_validate_json(stored.data), "fresh", stored.generation)
        except ValidationError as error:
            problem = f"the object is broken: {error.error_count()} wrong fields, first {error.errors()[0]['loc']}"
            raise ValueError(problem) from error


def _name_or_empty(table_id: str) -> str:
    try:
        return object_name(table_id)
    except ValueError:
        return ""
