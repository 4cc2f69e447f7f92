"""What a table's columns hold: one aggregate query and a few rows, told without anybody's personal data."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from services.kernel.metadata_cache import Column, ColumnProfile
from services.metadata.domain import masking
from services.metadata.domain.offline import partition_filter, plain_columns, quoted_path
from services.metadata.domain.tables import Described, Profiled

MAX_PATHS: Final = 300
"""Columns of a wider table beyond these get samples only."""
SAMPLES: Final = 5

_RANGED: Final = frozenset({"INTEGER", "FLOAT", "NUMERIC", "BIGNUMERIC", "DATE", "DATETIME", "TIMESTAMP", "TIME"})
_UNCOUNTABLE: Final = frozenset({"GEOGRAPHY", "JSON", "RECORD", "RANGE"})


@dataclass(frozen=True)
class Statement:
    """``note``: what of the table the figures are about, when not all of it."""

    sql: str
    note: str


def query(described: Described, most_bytes: int) -> Statement | None:
    """None: there is nothing to aggregate, or no telling what it would cost."""
    paths = _counted(described)
    if not paths or described.size_bytes is None:
        return None
    parts = ["COUNT(*) AS total"]
    for number, (path, column) in enumerate(paths):
        name = quoted_path(path)
        parts += [f"COUNTIF({name} IS NULL) AS n{number}", f"APPROX_COUNT_DISTINCT({name}) AS d{number}"]
        if column.type in _RANGED:
            parts += [f"CAST(MIN({name}) AS STRING) AS lo{number}", f"CAST(MAX({name}) AS STRING) AS hi{number}"]
    sample, note = "", ""
    if described.size_bytes > most_bytes:
        percent = max(0.001, 100 * most_bytes / described.size_bytes)
        sample, note = f" TABLESAMPLE SYSTEM ({percent:.3f} PERCENT)", f"profile of a sample of {percent:.3f} %"
    condition = partition_filter(described.schema)
    where = f"\nWHERE {condition}" if condition else ""
    return Statement(f"SELECT {', '.join(parts)}\nFROM {described.id.quoted}{sample}{where}", note)


def _counted(described: Described) -> list[tuple[str, Column]]:
    plain = plain_columns(described.schema.columns)
    return [(path, column) for path, column in plain if column.type not in _UNCOUNTABLE][:MAX_PATHS]


def assembled(described: Described, rows: Sequence[Mapping[str, Any]], figures: Any | None, note: str) -> Profiled:
    """``figures``: the row of ``query``'s statement. ``rows``: a few of the table's."""
    by_path = {path: _figures_of(number, figures) for number, (path, _) in enumerate(_counted(described))}
    columns = tuple(_profiled(column, column.name, rows, by_path) for column in described.schema.columns)
    whole = figures is not None and not note
    return Profiled(columns, int(figures["total"]) if whole and figures is not None else described.row_count, note)


def _figures_of(number: int, figures: Any | None) -> dict[str, Any]:
    if figures is None:
        return {}
    values = dict(figures)
    total = values["total"]
    return {
        "null_share": round(values[f"n{number}"] / total, 6) if total else None,
        "distinct": values[f"d{number}"],
        "minimum": values.get(f"lo{number}"),
        "maximum": values.get(f"hi{number}"),
    }


def _profiled(
    column: Column, path: str, rows: Sequence[Mapping[str, Any]], figures: Mapping[str, dict[str, Any]]
) -> Column:
    if column.fields:
        inner = tuple(_profiled(field, f"{path}.{field.name}", rows, figures) for field in column.fields)
        return column.model_copy(update={"fields": inner})
    values = [_text(value) for row in rows for value in _values(row, path.split(".")) if value is not None]
    samples, masked = masking.samples(path, values, SAMPLES)
    found = dict(figures.get(path, {}))
    if masked:
        found |= {"minimum": None, "maximum": None}
    profile = ColumnProfile(samples=samples, masked=masked, **found)
    return column.model_copy(update={"profile": profile})


def _values(value: Any, path: Sequence[str]) -> Iterator[Any]:
    """The values at a dotted path, through records and lists."""
    if isinstance(value, list):
        for item in value:
            yield from _values(item, path)
    elif not path:
        yield value
    elif isinstance(value, Mapping):
        yield from _values(value.get(path[0]), path[1:])


def _text(value: Any) -> str:
    if isinstance(value, bytes):
        return f"{len(value)} bytes"
    return value.isoformat() if hasattr(value, "isoformat") else str(value)
