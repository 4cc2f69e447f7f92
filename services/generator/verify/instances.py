"""Small data sets made for one query: its constants and their neighbours, NULLs, ties, repeats, lonely rows.

The mix follows what tells queries apart in practice (constants first, then repeats and ties, NULLs, boundaries), so
that a few rows kill most mutants.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, time
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import sqlglot
from sqlglot import exp

from services.generator.datasets.checks import Checks
from services.generator.verify.constants import compared_values, time_steps
from services.kernel.sql.dataset import Dataset, Row
from services.kernel.sql.schema import Column, ForeignKey, Schema, Table

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

_SAMPLE = 24
_TRIES = 6
_NARROW = 40


@dataclass(frozen=True)
class _Style:
    """How one data set is skewed."""

    rows: int
    nulls: float
    variety: int  # different values per column
    from_query: float  # how often a value comes from the query's constants
    templates: bool  # keep most of a real row
    # Small keys in a narrow range are aggregated in key order by the engine, wide ones are not.
    key_step: int


class InstanceMaker:
    """Makes data sets of a few rows for `tree` over the tables it reads and those they refer to.

    `scratch`: a database with the tables of `schema` without constraints, to test CHECKs in; their rows are lost.
    """

    def __init__(self, schema: Schema, tree: exp.Expr, samples: Dataset, scratch: DuckDBPyConnection) -> None:
        used = {t.name.lower() for t in tree.find_all(exp.Table)}
        self.tables = closure(schema, used)
        self._schema = schema
        self._constants = compared_values(tree)
        self._steps = time_steps(tree)
        self._named = {c.name.lower() for c in tree.find_all(exp.Column)}
        self._base = {t.name: list(samples.rows(t.name)) for t in self.tables}
        self._checks = {t.name: Checks(t, scratch) for t in self.tables}
        # Dates that land in the query's periods: columns that are not compared borrow them too.
        self._dates = [v for values in self._constants.values() for v in values if isinstance(v, date)]

    def make(self, rng: random.Random) -> Dataset | None:
        """One data set that meets every constraint, or None when this attempt did not."""
        style = _Style(
            rows=rng.choice((1, 2, 3, 4, 6, 8, 12, 12, 18)),
            nulls=rng.choice((0.0, 0.0, 0.2, 0.5)),
            variety=rng.choice((1, 2, 2, 3, 5)),
            from_query=rng.choice((0.4, 0.8, 0.95)),
            templates=rng.random() < 0.3,
            key_step=rng.choice((1, 997)),
        )
        made: dict[str, list[dict[str, Any]]] = {}
        for table in self.tables:
            count = max(1, round(style.rows * (0.6 if not table.foreign_keys else 1.0)))
            if rng.random() < 0.03:
                count = 0
            made[table.name] = self._checks[table.name].keep(self._rows(rng, table, style, count, made))
        data = Dataset(made)
        return None if next(data.violations(self._schema), None) else data

    def _rows(
        self, rng: random.Random, table: Table, style: _Style, count: int, made: Mapping[str, Sequence[Row]]
    ) -> list[dict[str, Any]]:
        palettes = {c.name: self._palette(rng, table, c, style) for c in table.columns}
        rows: list[dict[str, Any]] = []
        seen: dict[tuple[str, ...], set[tuple[Any, ...]]] = {key: set() for key in table.keys}
        for _ in range(count):
            for _ in range(_TRIES):
                row = self._row(rng, table, style, palettes, {**made, table.name: rows}, len(rows))
                if row is not None and _free(row, seen):
                    rows.append(row)
                    break
        return rows

    def _row(
        self, rng: random.Random, table: Table, style: _Style, palettes: Mapping[str, list[Any]],
        made: Mapping[str, Sequence[Row]], position: int,
    ) -> dict[str, Any] | None:  # fmt: skip
        samples = self._base[table.name]
        template = rng.choice(samples) if samples else {}
        row: dict[str, Any] = {c.name: template.get(c.name) for c in table.columns}
        linked = {name for key in table.foreign_keys for name in key.columns}
        for column in table.columns:
            if column.name in linked:
                continue
            if not samples or (column.name.lower() in self._named and not (style.templates and rng.random() < 0.6)):
                row[column.name] = rng.choice(palettes[column.name])
            if not table.is_required(column.name) and rng.random() < style.nulls:
                row[column.name] = None
        for key in table.foreign_keys:
            if not _link(rng, table, key, row, made, style):
                return None
        _number_keys(rng, table, row, linked, position, style)
        return row

    def _palette(self, rng: random.Random, table: Table, column: Column, style: _Style) -> list[Any]:
        """`variety` values of the column for this data set."""
        hot = [v for value in self._constants.get(column.name.lower(), ()) if (v := fitted(value, column)) is not None]
        seen = [row[column.name] for row in self._base[table.name] if row.get(column.name) is not None]
        allowed = self._checks[table.name].allowed(column.name)
        warm = allowed or seen or _plain(column)
        if isinstance(warm[0], date):
            return self._moments(rng, column, hot, warm, style)
        if isinstance(warm[0], (int, Decimal)) and not isinstance(warm[0], bool) and not allowed:
            warm = [*warm, *(type(warm[0])(n) for n in (0, 1, 2, 10))]
        return [rng.choice(hot if hot and rng.random() < style.from_query else warm) for _ in range(style.variety)]

    def _moments(self, rng: random.Random, column: Column, hot: list[Any], warm: list[Any], style: _Style) -> list[Any]:
        dates = hot or [v for value in self._dates if (v := fitted(value, column)) is not None]
        anchor = rng.choice(dates if dates and rng.random() < style.from_query else warm)
        out = [anchor]
        wanted = style.variety + rng.choice((0, 0, 1, 2))
        while len(out) < wanted:
            step = rng.choice(self._steps)
            moved = (rng.choice(out) if rng.random() < 0.6 else anchor) + (step if rng.random() < 0.8 else -step)
            out.append(moved)
        return out + (hot[: style.variety] if style.variety > 1 else [])


def sample(dataset: Dataset) -> Dataset:
    """At most 24 rows of each table, evenly over it: enough to know what its values look like."""
    return Dataset(
        {
            name: [rows[i * len(rows) // _SAMPLE] for i in range(min(_SAMPLE, len(rows)))]
            if len(rows) > _SAMPLE
            else list(rows)
            for name, rows in dataset.tables.items()
        }
    )


def narrowed(schema: Schema, queries: Sequence[str]) -> Schema:
    """`schema` without the columns of wide tables that no query and no constraint reads: a row costs by its columns.

    `queries`: the reference first; one that selects ``*`` reads every column.
    """
    tree = sqlglot.parse_one(queries[0], read="duckdb")
    if any(not isinstance(star.parent, exp.Count) for star in tree.find_all(exp.Star)):
        return schema
    return Schema(tuple(_narrowed(table, schema, queries) for table in schema.tables))


def _narrowed(table: Table, schema: Schema, queries: Sequence[str]) -> Table:
    if len(table.columns) <= _NARROW:
        return table
    held = {name.lower() for key in table.keys for name in key}
    for key in (key for other in schema.tables for key in other.foreign_keys):
        held.update(name.lower() for name in (*key.columns, *key.ref_columns))
    texts = "\n".join([*queries, *table.checks]).lower()
    columns = (
        c for c in table.columns if c.name.lower() in held or table.is_required(c.name) or c.name.lower() in texts
    )
    return replace(table, columns=tuple(columns) or table.columns[:1])


def closure(schema: Schema, used: set[str]) -> tuple[Table, ...]:
    """The tables named in `used` (lower case) and every table they refer to, in creation order."""
    wanted, waiting = set(), [name for name in used if schema.has(name)]
    while waiting:
        name = waiting.pop()
        if name not in wanted:
            wanted.add(name)
            waiting += [key.ref_table.lower() for key in schema.table(name).foreign_keys]
    return tuple(t for t in schema.tables if t.name.lower() in wanted)


def _free(row: Mapping[str, Any], seen: dict[tuple[str, ...], set[tuple[Any, ...]]]) -> bool:
    values = {key: tuple(row[name] for name in key) for key in seen}
    if any(None not in v and v in seen[key] for key, v in values.items()):
        return False
    for key, v in values.items():
        seen[key].add(v)
    return True


def _link(
    rng: random.Random,
    table: Table,
    key: ForeignKey,
    row: dict[str, Any],
    made: Mapping[str, Sequence[Row]],
    style: _Style,
) -> bool:
    """Point the row at a parent, one of the first few mostly; NULL where it may be. False when that cannot be."""
    parents = made.get(key.ref_table, ())
    optional = not any(table.is_required(name) for name in key.columns)
    if not parents or (optional and rng.random() < max(style.nulls, 0.1)):
        for name in key.columns:
            row[name] = None
        return optional
    parent = parents[min(rng.randrange(len(parents)), rng.randrange(len(parents)))]
    for name, ref in zip(key.columns, key.ref_columns, strict=True):
        row[name] = parent[ref]
    return True


def _number_keys(
    rng: random.Random, table: Table, row: dict[str, Any], linked: set[str], position: int, style: _Style
) -> None:
    """One-column whole-number keys count down, with holes, so that rows lie in another order than a tie-breaker would
    put them; other keys stay as drawn and may collide."""
    for key in table.keys:
        if len(key) == 1 and key[0] not in linked and isinstance(row[key[0]], int):
            row[key[0]] = max(1, (40 - 2 * position - rng.randrange(2)) * style.key_step)
        elif len(key) == 1 and key[0] not in linked and isinstance(row[key[0]], str):
            row[key[0]] = row[key[0]] if rng.random() < 0.7 else f"{row[key[0]]}{position}"


def fitted(value: Any, column: Column) -> Any:
    """`value` as the column's type would hold it, or None when it cannot."""
    kind = column.type.upper()
    if kind.startswith(("TIMESTAMP", "DATETIME")):
        if isinstance(value, datetime):
            return value
        return datetime.combine(value, time()) if isinstance(value, date) else None
    if kind == "DATE":
        return value.date() if isinstance(value, datetime) else value if isinstance(value, date) else None
    if isinstance(value, Decimal):
        if "INT" in kind:
            return int(value)
        if kind.startswith(("DECIMAL", "NUMERIC")):
            return value
        return float(value) if kind.startswith(("DOUBLE", "FLOAT", "REAL")) else None
    if isinstance(value, bool):
        return value if kind.startswith("BOOL") else None
    return value if isinstance(value, str) and kind.startswith(("VARCHAR", "TEXT", "CHAR", "STRING")) else None


def _plain(column: Column) -> list[Any]:
    """Values for a column of an empty table."""
    kind = column.type.upper()
    if kind.startswith(("TIMESTAMP", "DATETIME")):
        return [datetime(2026, 1, 5, 9), datetime(2026, 1, 6, 9)]  # noqa: DTZ001 - the column has no time zone
    if kind == "DATE":
        return [date(2026, 1, 5), date(2026, 1, 6)]
    if "INT" in kind:
        return [1, 2, 3]
    if kind.startswith(("DECIMAL", "NUMERIC")):
        return [Decimal(1), Decimal(2)]
    if kind.startswith(("DOUBLE", "FLOAT", "REAL")):
        return [1.0, 2.5]
    if kind.startswith("BOOL"):
        return [True, False]
    return ["a", "b", "c"] if kind.startswith(("VARCHAR", "TEXT", "CHAR", "STRING")) else [None]
