"""Examples that are right without a model: only on columns that exist and have the type they need. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from services.kernel.metadata_cache import Column, Questions, TableSchema
from services.metadata.domain.examples import Difficulty, Proposal
from services.metadata.domain.tables import TableId

_DATES = {"DATE": "{path}", "TIMESTAMP": "DATE({path})", "DATETIME": "DATE({path})"}
_NUMBERS = frozenset({"INTEGER", "INT64", "FLOAT", "FLOAT64", "NUMERIC", "BIGNUMERIC"})
_GROUPS = frozenset({"STRING", "BOOLEAN", "BOOL"})
_KEYS = ("id", "_id", "key", "no", "uuid")
DAYS = 10


def safe_examples(schema: TableSchema) -> list[Proposal]:
    """Up to five: the total, rows per day of the last ten days there are, largest groups, an average, list elements."""
    return list(_Safe(schema).proposals())


class _Safe:
    def __init__(self, schema: TableSchema) -> None:
        self._table = TableId.parse(schema.table_id)
        self._columns = dict(plain_columns(schema.columns))
        self._schema = schema
        self._filter = partition_filter(schema)

    def proposals(self) -> Iterator[Proposal]:
        name, where = self._table.table, self._where()
        yield _proposal(
            f"{name} 테이블의 전체 행 수는 몇 개인가요?",
            f"How many rows does {name} have in all?",
            f"SELECT COUNT(*) AS total_count\nFROM {self._table.quoted}{where}",
        )
        yield from self._per_day()
        yield from self._largest_groups()
        yield from self._average()
        yield from self._elements()

    def _where(self, *conditions: str) -> str:
        every = [condition for condition in (self._filter, *conditions) if condition]
        return "\nWHERE " + "\n  AND ".join(every) if every else ""

    def _per_day(self) -> Iterator[Proposal]:
        path = self._first(_DATES, prefer=self._schema.partitioning.column if self._schema.partitioning else "")
        if path is None:
            return
        day = _DATES[self._columns[path].type].format(path=quoted_path(path))
        last = f"(SELECT MAX({day}) FROM {self._table.quoted}{self._where()})"
        where = self._where(f"{day} > DATE_SUB({last}, INTERVAL {DAYS} DAY)")
        yield _proposal(
            f"{path} 기준으로 데이터가 있는 마지막 {DAYS}일 동안 날짜별 행 수를 보여 주세요.",
            f"How many rows are there per day of {path}, over the last {DAYS} days that have data?",
            f"SELECT {day} AS day, COUNT(*) AS daily_count\nFROM {self._table.quoted}{where}\n"
            "GROUP BY day\nORDER BY day DESC",
            "medium",
        )

    def _largest_groups(self) -> Iterator[Proposal]:
        path = self._grouping()
        if path is None:
            return
        yield _proposal(
            f"{path} 값별 행 수가 많은 순서로 상위 10개를 보여 주세요.",
            f"Which 10 values of {path} have the most rows?",
            f"SELECT {quoted_path(path)} AS value, COUNT(*) AS row_count\nFROM {self._table.quoted}"
            f"{self._where(f'{quoted_path(path)} IS NOT NULL')}\n"
            "GROUP BY value\nORDER BY row_count DESC, value\nLIMIT 10",
            "medium",
        )

    def _average(self) -> Iterator[Proposal]:
        path = self._first(_NUMBERS, avoid=_KEYS)
        if path is None:
            return
        column = quoted_path(path)
        yield _proposal(
            f"{path}의 최솟값, 평균, 최댓값은 얼마인가요?",
            f"What are the smallest, average and largest {path}?",
            f"SELECT MIN({column}) AS smallest, AVG({column}) AS average, MAX({column}) AS largest\n"
            f"FROM {self._table.quoted}{self._where()}",
        )

    def _elements(self) -> Iterator[Proposal]:
        found = next((column for column in self._schema.columns if column.mode == "REPEATED"), None)
        if found is None:
            return
        yield _proposal(
            f"행마다 {found.name} 항목은 평균 몇 개인가요?",
            f"How many {found.name} does a row have on average?",
            f"SELECT AVG(ARRAY_LENGTH({quoted_path(found.name)})) AS average_count\n"
            f"FROM {self._table.quoted}{self._where()}",
            "hard",
        )

    def _first(
        self, types: frozenset[str] | dict[str, str], prefer: str = "", avoid: tuple[str, ...] = ()
    ) -> str | None:
        fitting = [path for path, column in self._columns.items() if column.type in types]
        if prefer in fitting:
            return prefer
        return next((path for path in fitting if not path.lower().endswith(avoid)), None) if avoid else _head(fitting)

    def _grouping(self) -> str | None:
        """A column with few values, if profiles know one; never one with personal data."""
        fitting = [
            (path, column.profile)
            for path, column in self._columns.items()
            if column.type in _GROUPS and not (column.profile and column.profile.masked)
        ]
        few = [path for path, profile in fitting if profile and profile.distinct is not None and profile.distinct <= 50]
        return _head(few) or _head([path for path, _ in fitting])


def _head(paths: list[str]) -> str | None:
    return paths[0] if paths else None


def plain_columns(columns: tuple[Column, ...], prefix: str = "") -> Iterator[tuple[str, Column]]:
    """Scalars that can be named without UNNEST."""
    for column in columns:
        if column.mode == "REPEATED":
            continue
        if column.fields:
            yield from plain_columns(column.fields, f"{prefix}{column.name}.")
        else:
            yield f"{prefix}{column.name}", column


def partition_filter(schema: TableSchema) -> str:
    """The condition that a table which requires a partition filter accepts; empty when it needs none."""
    partitioning = schema.partitioning
    if partitioning is None or not partitioning.filter_required:
        return ""
    if not partitioning.column:
        return "_PARTITIONTIME >= TIMESTAMP '1970-01-01'"
    kind = schema.paths()[partitioning.column].type
    bound = {"DATE": "DATE '1970-01-01'", "DATETIME": "DATETIME '1970-01-01'", "TIMESTAMP": "TIMESTAMP '1970-01-01'"}
    return f"{quoted_path(partitioning.column)} >= {bound.get(kind, '0')}"


def quoted_path(path: str) -> str:
    return ".".join(f"`{part}`" for part in path.split("."))


def _proposal(ko: str, en: str, sql: str, difficulty: Difficulty = "easy") -> Proposal:
    return Proposal(Questions(ko=ko, en=en), sql, difficulty, source="offline")
