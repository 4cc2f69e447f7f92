"""CHECK constraints as far as values can be drawn to meet them, and DuckDB's own word on the rest."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import sqlglot
from sqlglot import exp

from services.kernel.sql.dataset import insert
from services.kernel.sql.sandbox.engine import connect_locked
from services.kernel.sql.schema import Table, quote_identifier

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

_ABOVE = (exp.GT, exp.GTE)
_BELOW = (exp.LT, exp.LTE)


class Checks:
    """What the CHECKs of one table allow.

    `scratch`: a database that has the table without constraints and may lose its rows; without it one is opened.
    """

    def __init__(self, table: Table, scratch: DuckDBPyConnection | None = None) -> None:
        self._table = table
        self._connection = scratch
        self._allowed: dict[str, list[Any]] = {}
        self._low: dict[str, Decimal] = {}
        self._high: dict[str, Decimal] = {}
        for check in table.checks:
            self._read(sqlglot.parse_one(check, read="duckdb").unnest())

    def allowed(self, column: str) -> list[Any] | None:
        """The values of ``column IN (...)``, or None when no such check exists."""
        return self._allowed.get(column.lower())

    def bounds(self, column: str) -> tuple[Decimal | None, Decimal | None]:
        """The inclusive bounds that comparisons with constants set."""
        return self._low.get(column.lower()), self._high.get(column.lower())

    def keep(self, rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
        """The rows that meet every check, as DuckDB sees it (NULL passes)."""
        if not self._table.checks or not rows:
            return list(rows)
        connection = self._scratch()
        test = " AND ".join(f"(({check}) IS NOT FALSE)" for check in self._table.checks)
        name = quote_identifier(self._table.name)
        connection.execute(f"TRUNCATE {name}")
        insert(connection, self._table, rows)
        found = connection.execute(f"SELECT {test} FROM {name} ORDER BY rowid").fetchall()
        return [row for row, (passes,) in zip(rows, found, strict=True) if passes]

    def _scratch(self) -> DuckDBPyConnection:
        """A table without constraints, opened on first use: a fresh database costs more than all the checks."""
        if self._connection is None:
            self._connection = connect_locked()
            bare = ", ".join(f"{quote_identifier(c.name)} {c.type}" for c in self._table.columns)
            self._connection.execute(f"CREATE TABLE {quote_identifier(self._table.name)} ({bare})")
        return self._connection

    def _read(self, part: exp.Expr) -> None:
        if isinstance(part, exp.And):
            for inner in part.flatten():
                self._read(inner.unnest())
        elif isinstance(part, exp.In) and isinstance(part.this, exp.Column):
            values = [e.to_py() for e in part.expressions if isinstance(e, (exp.Literal, exp.Neg))]
            self._allowed[part.this.name.lower()] = values
        elif isinstance(part, exp.Between) and isinstance(part.this, exp.Column):
            self._bound(part.this, part.args["low"], self._low, 0)
            self._bound(part.this, part.args["high"], self._high, 0)
        elif isinstance(part, (*_ABOVE, *_BELOW)) and isinstance(part.this, exp.Column):
            upper = isinstance(part, _BELOW)
            strict = (-1 if upper else 1) if isinstance(part, (exp.GT, exp.LT)) else 0
            self._bound(part.this, part.expression, self._high if upper else self._low, strict)

    def _bound(self, column: exp.Column, value: exp.Expr, into: dict[str, Decimal], step: int) -> None:
        number = value.to_py() if isinstance(value, (exp.Literal, exp.Neg)) else None
        if isinstance(number, (int, float, Decimal)):
            into[column.name.lower()] = Decimal(str(number)) + step
