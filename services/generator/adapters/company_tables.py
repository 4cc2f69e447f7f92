"""A company's own table as material for problems: its shape from the metadata cache, its rows invented.

No row of the company's leaves BigQuery: data sets are synthesized to look like the profile, in which personal data is
masked. Nested fields become columns of their own (``buyer.city`` is ``buyer_city``); lists and documents are left out.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import date, datetime
from typing import TYPE_CHECKING, Any, Final

from services.generator.ports import Material
from services.kernel.errors import TransientError
from services.kernel.jobs.context import JobFailedError

if TYPE_CHECKING:
    from services.kernel.metadata_cache import Column, ColumnProfile, Loaded, MetadataCache, TableMetadata

MAX_COLUMNS: Final = 60
_STEPS: Final = 20
_TYPES: Final = {
    "STRING": "VARCHAR",
    "INTEGER": "BIGINT",
    "FLOAT": "DOUBLE",
    "NUMERIC": "DECIMAL(18, 4)",
    "BIGNUMERIC": "DOUBLE",
    "BOOLEAN": "BOOLEAN",
    "DATE": "DATE",
    "DATETIME": "TIMESTAMP",
    "TIMESTAMP": "TIMESTAMP",
}


class CachedCompanyTables:
    def __init__(self, cache: MetadataCache) -> None:
        self._cache = cache

    async def material(self, table_id: str) -> Material:
        """See ``ports.CompanyTables``."""
        loaded = await self._cache.table(table_id)
        if loaded.state == "unavailable":
            raise TransientError(f"the metadata of {table_id} cannot be read: {loaded.problem}", code="no_metadata")
        if loaded.state == "missing":
            raise JobFailedError(
                f"data_type: {table_id} is not in the metadata cache; refresh its metadata first", code="unknown_table"
            )
        return material_of(loaded)

    def expire(self, table_id: str) -> None:
        self._cache.expire(table_id)


def material_of(loaded: Loaded[TableMetadata]) -> Material:
    """Raises JobFailedError: none of the columns has a type that problems can be made of."""
    from services.generator.datasets.profiles import ColumnProfile as Values
    from services.kernel.sql import schema as sql

    known = loaded.value
    rows = max(1, known.row_count or 1)
    columns: list[sql.Column] = []
    profiles: dict[str, Values] = {}
    for name, column in _flattened(known.table.columns):
        if name in profiles or len(columns) == MAX_COLUMNS:
            continue
        columns.append(sql.Column(name, _TYPES[column.type], not_null=column.mode == "REQUIRED"))
        profiles[name] = _values(column, column.profile, rows)
    if not columns:
        raise JobFailedError(
            f"data_type: {known.table.table_id} has no column that problems can be made of", code="unsuitable_table"
        )
    table = _identifier(known.table.table_id.rsplit(".", 1)[-1])
    return Material(sql.Schema((sql.Table(table, tuple(columns)),)), {table: profiles})


def _flattened(columns: tuple[Column, ...], prefix: str = "") -> Iterator[tuple[str, Column]]:
    for column in columns:
        if column.mode == "REPEATED":
            continue
        if column.fields:
            yield from _flattened(column.fields, f"{prefix}{column.name}_")
        elif column.type in _TYPES:
            yield _identifier(f"{prefix}{column.name}"), column


def _identifier(name: str) -> str:
    """Plain to type in an exercise, whatever BigQuery allows in names."""
    plain = re.sub(r"\W+", "_", name).strip("_") or "column"
    return f"t_{plain}" if plain[0].isdigit() else plain


def _values(column: Column, profile: ColumnProfile | None, rows: int) -> Any:
    from services.generator.datasets.profiles import ColumnProfile as Values

    if profile is None:
        return Values(rows, 0, 0, (), ())
    nulls = round((profile.null_share or 0.0) * rows)
    distinct = profile.distinct or 0
    if column.type == "STRING" and not profile.masked and 0 < distinct <= len(profile.samples):
        common = tuple((sample, 1) for sample in profile.samples)
        return Values(rows, nulls, distinct, common, tuple(sorted(profile.samples)))
    return Values(rows, nulls, distinct, (), _steps(column.type, profile))


def _steps(kind: str, profile: ColumnProfile) -> tuple[Any, ...]:
    """Even steps from the least to the greatest value: all that is known of the distribution."""
    if profile.minimum is None or profile.maximum is None:
        return ()
    try:
        low, high = _parsed(kind, profile.minimum), _parsed(kind, profile.maximum)
    except (ValueError, KeyError):
        return ()
    steps = [low + (high - low) * step / _STEPS for step in range(_STEPS + 1)]
    return tuple(int(step) for step in steps) if kind == "INTEGER" else tuple(steps)


def _parsed(kind: str, text: str) -> Any:
    if kind in ("INTEGER", "FLOAT", "NUMERIC", "BIGNUMERIC"):
        return float(text)
    if kind == "DATE":
        return date.fromisoformat(text)
    if kind in ("DATETIME", "TIMESTAMP"):
        return datetime.fromisoformat(text.replace("+00", "+00:00") if text.endswith("+00") else text).replace(
            tzinfo=None
        )
    raise KeyError(kind)
