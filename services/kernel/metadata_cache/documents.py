"""The cache's JSON documents. Readers ignore fields they do not know, so that writers may add some."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Any

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from contracts.metadata import ColumnChange

INDEX_OBJECT = "index.json"
CONTENT_TYPE = "application/json; charset=utf-8"


class _Document(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore", populate_by_name=True)

    def to_bytes(self) -> bytes:
        """UTF-8 JSON, not ASCII-escaped."""
        return self.model_dump_json(by_alias=True, indent=2).encode()


class ColumnProfile(_Document):
    """What the column holds. ``distinct`` is approximate. ``minimum`` and ``maximum`` are given for numbers and times.

    ``masked``: the values looked like personal data, so ``samples`` show their form only and no range is given.
    """

    null_share: float | None = None
    distinct: int | None = None
    minimum: str | None = None
    maximum: str | None = None
    samples: tuple[str, ...] = ()
    masked: bool = False


class Column(_Document):
    """``type``: as BigQuery's API names it (STRING, INTEGER, RECORD). ``mode``: NULLABLE, REQUIRED or REPEATED."""

    name: str
    type: str
    mode: str = "NULLABLE"
    description: str = ""
    fields: tuple[Column, ...] = ()
    profile: ColumnProfile | None = None

    def walk(self, prefix: str = "") -> Iterator[tuple[str, Column]]:
        """This column and every field below it, by dotted path."""
        path = f"{prefix}{self.name}"
        yield path, self
        for inner in self.fields:
            yield from inner.walk(f"{path}.")


class Partitioning(_Document):
    """``column``: empty for partitions by arrival. ``kind``: DAY, HOUR, MONTH, YEAR or RANGE."""

    column: str = ""
    kind: str = "DAY"
    filter_required: bool = False


class TableSchema(_Document):
    """``table_id``: project.dataset.table. ``table_type``: TABLE, VIEW, MATERIALIZED_VIEW, EXTERNAL or SNAPSHOT."""

    table_id: str
    columns: tuple[Column, ...] = ()
    description: str = ""
    table_type: str = "TABLE"
    partitioning: Partitioning | None = None
    clustering: tuple[str, ...] = ()

    def paths(self) -> dict[str, Column]:
        """Every column and nested field by dotted path, in order."""
        return dict(pair for column in self.columns for pair in column.walk())


class Questions(_Document):
    ko: str
    en: str


class Quality(_Document):
    """``score`` 0..1 and the parts it was made of, each 0..1."""

    score: float
    runs: float
    non_empty: float
    covers_new_columns: float
    difficulty_spread: float
    feedback: float


class Example(_Document):
    """A question and the SQL that answers it. ``question`` is the Korean one of ``questions``.

    ``columns``: dotted paths the SQL reads. ``source``: 'model', 'offline' or 'feedback'.
    ``checks_passed`` of ``checks_made`` dry runs and executions succeeded.
    """

    id: str = ""
    question: str
    sql: str
    questions: Questions | None = None
    difficulty: str = "easy"
    columns: tuple[str, ...] = ()
    source: str = "model"
    model: str = ""
    quality: Quality | None = None
    checks_made: int = 0
    checks_passed: int = 0


class TableMetadata(_Document):
    """What the cache knows of one table. ``read_at``: when its schema was read, which decides what is newer.

    ``change`` and ``column_changes``: what the ``metadata-refreshed`` message about this object says.
    """

    generated_at: AwareDatetime
    table: TableSchema = Field(alias="schema")
    examples: tuple[Example, ...] = ()
    fingerprint: str = ""
    read_at: AwareDatetime | None = None
    modified_at: AwareDatetime | None = None
    row_count: int | None = None
    size_bytes: int | None = None
    profile_note: str = ""
    examples_note: str = ""
    change: str = "refreshed"
    column_changes: tuple[ColumnChange, ...] = ()

    def object_metadata(self) -> dict[str, str]:
        return {
            "generated_at": self.generated_at.isoformat(),
            "schema_table": self.table.table_id,
            "examples_count": str(len(self.examples)),
        }


class IndexEntry(_Document):
    """``listed``: fingerprint of the table's lines in INFORMATION_SCHEMA when it was last looked at."""

    object: str
    fingerprint: str
    listed: str = ""
    generated_at: AwareDatetime
    columns_count: int = 0
    examples_count: int = 0


class Index(_Document):
    """Every table in the cache by its id."""

    generated_at: AwareDatetime | None = None
    tables: dict[str, IndexEntry] = Field(default_factory=dict)

    def changed(self, entries: dict[str, IndexEntry | None], now: datetime) -> Index:
        """With these entries put in; None takes one out."""
        tables: dict[str, Any] = {**self.tables, **entries}
        return Index(generated_at=now, tables={name: tables[name] for name in sorted(tables) if tables[name]})


def object_name(table_id: str) -> str:
    """Where a table's document lies: ``project/dataset/table.json``."""
    project, dataset, table = table_id.split(".", 2)
    return f"{project}/{dataset}/{table}.json"
