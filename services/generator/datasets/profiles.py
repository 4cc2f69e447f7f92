"""What a column looks like: how many values, how many NULLs, which values, between which bounds."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from services.kernel.sql.dataset import Dataset
from services.kernel.sql.schema import Schema

Row = Mapping[str, Any]
# Enough to name every category of a small column and to see that a large one has more.
_COMMON = 40
_STEPS = 20


@dataclass(frozen=True)
class ColumnProfile:
    """`common`: (value, rows) by falling frequency. `quantiles`: 21 ordered values from minimum to maximum."""

    rows: int
    nulls: int
    distinct: int
    common: tuple[tuple[Any, int], ...]
    quantiles: tuple[Any, ...]

    @property
    def null_share(self) -> float:
        return self.nulls / self.rows if self.rows else 0.0


Profile = dict[str, dict[str, ColumnProfile]]


def profile_rows(rows: Sequence[Row], columns: Sequence[str]) -> dict[str, ColumnProfile]:
    return {column: _profile([row.get(column) for row in rows]) for column in columns}


def _profile(values: Sequence[Any]) -> ColumnProfile:
    present = [value for value in values if value is not None]
    try:
        counts = Counter(present)
        ordered = sorted(present)
    except TypeError:  # lists, structs or mixed values: countable by text only, and without an order
        counts, ordered = Counter(map(repr, present)), []
    steps = tuple(ordered[(len(ordered) - 1) * i // _STEPS] for i in range(_STEPS + 1)) if ordered else ()
    ranked = sorted(counts.items(), key=lambda pair: (-pair[1], str(pair[0])))
    return ColumnProfile(len(values), len(values) - len(present), len(counts), tuple(ranked[:_COMMON]), steps)


def profile_dataset(schema: Schema, dataset: Dataset) -> Profile:
    """Profiles by table and column, for every table of the schema; an empty table has zero rows in each column."""
    return {table.name: profile_rows(dataset.rows(table.name), table.column_names) for table in schema.tables}
