"""Rows for a schema nobody has seen: keys, references, NULLs and checks hold, moments follow from their parents'."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import Any

from services.generator.datasets.checks import Checks
from services.generator.datasets.naming import singular, split_words
from services.generator.datasets.profiles import ColumnProfile, Profile
from services.generator.datasets.sampling import Calendar, Skewed, moment, seeded, zipf
from services.generator.datasets.values import Draw, UnsupportedType, ValueMaker, ends_something
from services.kernel.sql.dataset import Dataset
from services.kernel.sql.schema import Column, ForeignKey, Schema, Table

Row = dict[str, Any]
_TRIES = 12
_INTEGER = ("INT", "BIGINT", "INTEGER", "SMALLINT", "TINYINT", "HUGEINT", "UBIGINT", "UINTEGER", "USMALLINT")


def synthesize(schema: Schema, seed: int, rows: int, profile: Profile | None = None) -> Dataset:
    """About `rows` rows over all tables, fewer where keys or checks allow no more; the same for the same arguments.

    `profile`: columns it describes are drawn like it. Raises UnsupportedType when a required column's type has no
    plain values.
    """
    rng = seeded("synthesis", seed, rows)
    calendar = Calendar(date(2026, 1, 5), max(35, min(365, int(rows**0.5))))
    made: dict[str, list[Row]] = {}
    for table, count in _shares(schema, rows, profile or {}).items():
        plan = _TablePlan(schema.table(table), rng, calendar, made, (profile or {}).get(table, {}))
        made[table] = plan.rows(count)
    return Dataset(made, name=f"synthetic-{seed}-{rows}")


def _shares(schema: Schema, rows: int, profile: Profile) -> dict[str, int]:
    """Tables that refer to others and hold moments are the large ones; one that its profile knows as empty stays so."""
    weights = {}
    for table in schema.tables:
        timed = any(c.type.upper().startswith(("TIMESTAMP", "DATE")) for c in table.columns)
        weights[table.name] = 1.0 + 2.5 * len(table.foreign_keys) + (1.5 if timed else 0.0)
    total = sum(weights.values())
    empty = {name for name, columns in profile.items() if columns and not any(c.rows for c in columns.values())}
    return {name: 0 if name in empty else max(8, int(rows * w / total)) for name, w in weights.items()}


@dataclass
class _TablePlan:
    table: Table
    rng: random.Random
    calendar: Calendar
    made: Mapping[str, Sequence[Row]]
    profile: Mapping[str, ColumnProfile]
    _seen: dict[tuple[str, ...], set[tuple[Any, ...]]] = field(default_factory=dict)

    def rows(self, count: int) -> list[Row]:
        stem = singular(" ".join(split_words(self.table.name)) or "row")
        maker = ValueMaker(self.rng, self.calendar)
        linked = {name for key in self.table.foreign_keys for name in key.columns}
        checks = Checks(self.table)
        draws = {c.name: self._draw(maker, c, stem, checks) for c in self.table.columns if c.name not in linked}
        shares = {
            c.name: maker.null_share(c, self.profile.get(c.name))
            for c in self.table.columns
            if not self.table.is_required(c.name) and c.name not in {k for key in self.table.keys for k in key}
        }
        parents = {key: self._parents(key) for key in self.table.foreign_keys}
        rows: list[Row] = []
        while len(rows) < count:
            row = next((r for _ in range(_TRIES) if (r := self._row(draws, shares, parents, rows)) is not None), None)
            if row is None:  # every combination of the key is taken
                break
            rows.append(row)
        if not self.table.keys or (len(self.table.primary_key) == 1 and not self.table.unique):
            rows += self._repeated(rows)
        return checks.keep(rows)

    def _draw(self, maker: ValueMaker, column: Column, stem: str, checks: Checks) -> Draw:
        allowed = checks.allowed(column.name)
        if allowed is not None:
            return lambda: self.rng.choice(allowed)
        try:
            draw = maker.draw(column, stem, self.profile.get(column.name))
        except UnsupportedType:
            if self.table.is_required(column.name):
                raise
            return lambda: None
        low, high = checks.bounds(column.name)
        return lambda: _clamped(draw(), low, high)

    def _parents(self, key: ForeignKey) -> Skewed[Row] | None:
        rows = list(self.made.get(key.ref_table, ()))
        self.rng.shuffle(rows)
        active = rows[: max(1, int(len(rows) * 0.9))]  # some parents stay without children
        return zipf(active, 0.8) if active else None

    def _row(
        self,
        draws: Mapping[str, Draw],
        shares: Mapping[str, float],
        parents: Mapping[ForeignKey, Skewed[Row] | None],
        rows: list[Row],
    ) -> Row | None:
        row: Row = {}
        after: datetime | None = None
        for key, source in parents.items():
            parent = self._parent(key, source, rows)
            if parent is None and any(self.table.is_required(name) for name in key.columns):
                return None
            for name, ref in zip(key.columns, key.ref_columns, strict=True):
                row[name] = parent[ref] if parent else None
            after = max(filter(None, (after, _first_moment(parent))), default=None) if parent else after
        for column in self.table.columns:
            if column.name in draws:
                empty = self.rng.random() < shares.get(column.name, 0.0)
                row[column.name] = None if empty else draws[column.name]()
        self._number(row, len(rows))
        self._order_moments(row, after)
        return {c.name: row[c.name] for c in self.table.columns} if self._unique(row) else None

    def _parent(self, key: ForeignKey, source: Skewed[Row] | None, rows: list[Row]) -> Row | None:
        optional = not any(self.table.is_required(name) for name in key.columns)
        if key.ref_table.lower() == self.table.name.lower():
            return self.rng.choice(rows) if rows and self.rng.random() < 0.75 else None
        if source is None or (optional and self.rng.random() < 0.08):
            return None
        return source.draw(self.rng)

    def _number(self, row: Row, position: int) -> None:
        """Whole-number keys that refer to nothing count up from 1; text keys carry their number."""
        linked = {name for key in self.table.foreign_keys for name in key.columns}
        for key in self.table.keys:
            own = [self.table.column(name) for name in key if name not in linked]
            if len(key) == 1 and own:
                kind = own[0].type.upper().split("(")[0]
                if kind in _INTEGER:
                    row[own[0].name] = position + 1
                elif kind in ("VARCHAR", "TEXT", "CHAR", "STRING"):
                    initial = (split_words(self.table.name) or ["r"])[0][:1].upper()
                    row[own[0].name] = f"{initial}{position + 1:04d}"

    def _order_moments(self, row: Row, after: datetime | None) -> None:
        """Nothing happens before its parent, and an end never precedes its start."""
        names = [
            c.name for c in self.table.columns if isinstance(row.get(c.name), date) and "birth" not in c.name.lower()
        ]
        names.sort(key=lambda n: ends_something(n))
        previous = after
        for position, name in enumerate(names):
            value = row[name]
            start = value if isinstance(value, datetime) else moment(self.rng, value)
            if previous is not None and start < previous:
                start = previous + timedelta(seconds=self.rng.randrange(60, 9 * 86_400))
            elif position and previous is not None:
                start = previous + timedelta(seconds=int(self.rng.expovariate(1 / 250_000)) + 60)
            row[name] = start.replace(microsecond=0) if isinstance(value, datetime) else start.date()
            previous = start

    def _unique(self, row: Row) -> bool:
        values = {key: tuple(row[name] for name in key) for key in self.table.keys}
        if any(None not in v and v in self._seen.get(key, ()) for key, v in values.items()):
            return False
        for key, v in values.items():
            self._seen.setdefault(key, set()).add(v)
        return True

    def _repeated(self, rows: list[Row]) -> list[Row]:
        """Two rows in a hundred come again, under a new key when there is one: delivery is at least once."""
        timed = any(isinstance(v, datetime) for v in (rows[0].values() if rows else ()))
        if not timed or (self.table.primary_key and not isinstance(rows[0][self.table.primary_key[0]], int)):
            return []
        again = [dict(row) for row in self.rng.sample(rows, k=len(rows) // 50)]
        for i, row in enumerate(again, len(rows) + 1):
            if self.table.primary_key:
                row[self.table.primary_key[0]] = i
        linked = {name for key in self.table.foreign_keys for name in key.columns}
        return [] if self.table.primary_key and self.table.primary_key[0] in linked else again


def _first_moment(row: Row | None) -> datetime | None:
    moments = [v for v in (row or {}).values() if isinstance(v, datetime)]
    return min(moments) if moments else None


def _clamped(value: Any, low: Any, high: Any) -> Any:
    if value is None or isinstance(value, (str, bool)):
        return value
    if low is not None and value < low:
        return type(value)(low)
    return type(value)(high) if high is not None and value > high else value
