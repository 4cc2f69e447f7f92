"""What a refresh needs from outside."""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol
from uuid import UUID

from contracts.metadata import MetadataRefreshed
from services.kernel.errors import PermanentError
from services.kernel.metadata_cache import Index, TableMetadata, TableSchema
from services.metadata.domain.events import Hint
from services.metadata.domain.examples import Failed, Proposal, Votes
from services.metadata.domain.tables import DatasetId, Described, Listed, Profiled, TableId, Trial


class TableGone(PermanentError):
    """There is no such table, in a data set that exists."""

    code = "table_gone"


class Warehouse(Protocol):
    """BigQuery. Every method raises TransientError or PermanentError when it is out of reach or refuses."""

    def listing(self, dataset: DatasetId, tables: Collection[TableId] = ()) -> AsyncIterator[tuple[TableId, Listed]]:
        """One query on INFORMATION_SCHEMA: the data set's tables, or those of ``tables`` that exist."""
        ...

    async def describe(self, table: TableId) -> Described:
        """Raises TableGone: there is no such table."""
        ...

    async def profile(self, described: Described) -> Profiled:
        """Profiles of the columns with personal data masked. What cannot be had is told in ``note``."""
        ...

    async def attempt(self, sql: str, described: Described) -> Trial:
        """Execute on a small table, dry-run on a large one or a view. Wrong SQL is a result, not an exception."""
        ...


@dataclass(frozen=True)
class WriteRequest:
    """``existing``: questions that need no second example. ``cover``: new columns that want one.
    ``deadline``: monotonic seconds."""

    schema: TableSchema
    wanted: int
    existing: Sequence[str]
    cover: Collection[str]
    deadline: float
    job_id: UUID | None = None


@dataclass(frozen=True)
class Written:
    """``note``: why no model, or not the first one, wrote these; empty when it did."""

    proposals: tuple[Proposal, ...]
    note: str = ""


class ExampleWriter(Protocol):
    async def write(self, request: WriteRequest) -> Written:
        """New examples; at least the offline ones when no model answers, with a ``note`` that says so."""
        ...

    async def repair(self, request: WriteRequest, failed: Sequence[Failed]) -> Written:
        """One more try at SQL that failed, with the database's words; nothing when no model answers."""
        ...


@dataclass(frozen=True)
class CachedTable:
    metadata: TableMetadata
    generation: int


@dataclass(frozen=True)
class CachedIndex:
    index: Index
    generation: int


class Cache(Protocol):
    """The objects in storage. Every method raises TransientError or PermanentError as storage says."""

    async def table(self, table: TableId) -> CachedTable | None:
        """None: there is none, or it is broken and will be written anew."""
        ...

    async def write(self, metadata: TableMetadata, generation: int) -> int:
        """Raises WriteConflict: another refresher wrote since ``generation`` was read (0: did not exist)."""
        ...

    async def remove(self, table: TableId, generation: int) -> None: ...

    async def index(self) -> CachedIndex: ...

    async def write_index(self, index: Index, generation: int) -> int:
        """Raises WriteConflict."""
        ...

    def uri(self, table: TableId) -> str: ...


class Announcer(Protocol):
    async def announce(self, message: MetadataRefreshed, message_id: str) -> None:
        """Publish what is in the cache now; the same id twice is one message."""
        ...


class Feedback(Protocol):
    async def votes(self, table: TableId) -> dict[str, Votes]:
        """By example id."""
        ...


@dataclass(frozen=True)
class DueHint:
    """A table to look at. ``seen``: how many events were merged into it when it was taken. ``token``: of its lease,
    which settling and postponing check."""

    table: TableId
    seen: int
    attempts: int
    token: UUID


class Hints(Protocol):
    async def add(self, hints: Sequence[Hint], window_seconds: float) -> None:
        """Merge these into what is waiting: a table's first hint starts its window, later ones join it."""
        ...

    async def take(self, limit: int, lease_seconds: float) -> list[DueHint]:
        """Those whose window is over, leased to the caller."""
        ...

    async def settle(self, done: Sequence[DueHint], window_seconds: float) -> None:
        """Forget them; one that met new events meanwhile waits for another window."""
        ...

    async def postpone(self, failed: DueHint, delay_seconds: float, reason: str) -> None: ...

    async def next_due(self) -> datetime | None: ...
