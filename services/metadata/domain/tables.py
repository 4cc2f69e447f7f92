"""Names of tables and data sets, and how a described table is told from another. Pure."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime

from services.kernel.metadata_cache import Column, TableSchema

# Project ids may carry a domain ("example.com:project") in old audit logs; the API writes them with a dot.
_PROJECT = r"[a-z][a-z0-9-]{4,28}[a-z0-9]"
_DATASET = r"[A-Za-z0-9_]{1,1024}"
_TABLE = r"[^\x00-\x1f`.\"'\\/:;*?!@#%&()\[\]{}<>|=+,]{1,300}"
_TABLE_ID = re.compile(rf"(?P<project>{_PROJECT})\.(?P<dataset>{_DATASET})\.(?P<table>{_TABLE})")
_DATASET_ID = re.compile(rf"(?P<project>{_PROJECT})\.(?P<dataset>{_DATASET})")


@dataclass(frozen=True, slots=True, order=True)
class DatasetId:
    project: str
    dataset: str

    def __str__(self) -> str:
        return f"{self.project}.{self.dataset}"

    @classmethod
    def parse(cls, text: str) -> DatasetId:
        """Raises ValueError: not ``project.dataset``."""
        match = _DATASET_ID.fullmatch(text.strip())
        if match is None:
            raise ValueError(f"{text[:120]!r} is no data set: write project.dataset")
        return cls(match["project"], match["dataset"])


@dataclass(frozen=True, slots=True, order=True)
class TableId:
    project: str
    dataset: str
    table: str

    def __str__(self) -> str:
        return f"{self.project}.{self.dataset}.{self.table}"

    @property
    def dataset_id(self) -> DatasetId:
        return DatasetId(self.project, self.dataset)

    @property
    def quoted(self) -> str:
        """As GoogleSQL names it."""
        return f"`{self}`"

    @classmethod
    def parse(cls, text: str) -> TableId:
        """Raises ValueError: not ``project.dataset.table``."""
        match = _TABLE_ID.fullmatch(text.strip())
        if match is None:
            raise ValueError(f"{text[:120]!r} is no table: write project.dataset.table")
        return cls(match["project"], match["dataset"], match["table"])


@dataclass(frozen=True)
class Scope:
    """What this service may read: whole data sets, and single tables."""

    datasets: frozenset[DatasetId] = frozenset()
    tables: frozenset[TableId] = frozenset()

    @classmethod
    def parse(cls, targets: Iterable[str]) -> Scope:
        """Raises ValueError: one of them is neither ``project.dataset`` nor ``project.dataset.table``."""
        datasets, tables = set(), set()
        for target in targets:
            if target.count(".") >= 2:
                tables.add(TableId.parse(target))
            else:
                datasets.add(DatasetId.parse(target))
        return cls(frozenset(datasets), frozenset(tables))

    def covers(self, table: TableId) -> bool:
        return table.dataset_id in self.datasets or table in self.tables


@dataclass(frozen=True, slots=True)
class Listed:
    """A table as INFORMATION_SCHEMA lists it. ``modified_at``: when its data changed last, where that is told."""

    fingerprint: str
    modified_at: datetime | None = None


@dataclass(frozen=True)
class Described:
    """A table as the API describes it. ``row_count`` and ``size_bytes`` are None for views."""

    schema: TableSchema
    modified_at: datetime | None
    read_at: datetime
    row_count: int | None = None
    size_bytes: int | None = None

    @property
    def id(self) -> TableId:
        return TableId.parse(self.schema.table_id)


@dataclass(frozen=True)
class Profiled:
    """``columns``: those of the schema with profiles. ``note``: why some or all profiles are missing, or empty."""

    columns: tuple[Column, ...]
    row_count: int | None
    note: str = ""


@dataclass(frozen=True)
class Trial:
    """One dry run or execution. ``rows``: how many came, None for a dry run. ``error``: the database's words."""

    runs: bool
    rows: int | None = None
    error: str = ""


@dataclass
class FingerprintBuilder:
    """The digest of a sequence of facts; their order counts, their separators cannot be forged."""

    _hash: hashlib._Hash = field(default_factory=hashlib.sha256)

    def add(self, *facts: object) -> None:
        for fact in facts:
            text = repr(fact).encode()
            self._hash.update(f"{len(text)}:".encode() + text)

    def digest(self) -> str:
        return f"sha256:{self._hash.hexdigest()}"


def fingerprint(schema: TableSchema) -> str:
    """Of everything about a schema that a reader may rely on; profiles and row counts do not belong to it."""
    builder = FingerprintBuilder()
    builder.add(schema.table_id, schema.description, schema.table_type, schema.clustering)
    builder.add(schema.partitioning.model_dump() if schema.partitioning else None)
    for path, column in schema.paths().items():
        builder.add(path, column.type, column.mode, column.description)
    return builder.digest()
