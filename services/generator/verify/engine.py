"""Databases without constraints: one filled once, and one that is emptied and filled for every small data set."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from types import TracebackType
from typing import TYPE_CHECKING, Final, Self

from services.kernel.sql.dataset import Dataset, Row, insert
from services.kernel.sql.results import ResultSet
from services.kernel.sql.sandbox.engine import connect_locked
from services.kernel.sql.schema import Schema, Table, quote_identifier

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection, Statement

# An answer longer than this is no exercise; a mutant may return a little more before it counts as different.
MAX_ANSWER_ROWS: Final = 400


@contextmanager
def database(
    schema: Schema, dataset: Dataset | None = None, order: random.Random | None = None
) -> Iterator[DuckDBPyConnection]:
    """A locked in-memory database with the tables of `schema` without constraints, filled from `dataset`.

    Constraints cost time and change no result; callers check them by ``Dataset.violations``. `order`: load the rows
    shuffled by it.
    """
    connection = connect_locked()
    try:
        create(connection, schema.tables)
        if dataset is not None:
            fill(connection, schema.tables, dataset, order)
        yield connection
    finally:
        connection.close()


def create(connection: DuckDBPyConnection, tables: Sequence[Table]) -> None:
    for table in tables:
        connection.execute(bare_table(table))


def bare_table(table: Table) -> str:
    """CREATE TABLE without constraints."""
    columns = ", ".join(f"{quote_identifier(c.name)} {c.type}" for c in table.columns)
    return f"CREATE TABLE {quote_identifier(table.name)} ({columns})"


def fill(
    connection: DuckDBPyConnection, tables: Sequence[Table], dataset: Dataset, order: random.Random | None = None
) -> None:
    """Replace the rows of `tables`."""
    connection.execute(";".join(f"TRUNCATE {quote_identifier(table.name)}" for table in tables))
    for table in tables:
        rows: list[Row] = list(dataset.rows(table.name))
        if order is not None:
            order.shuffle(rows)
        if rows:
            insert(connection, table, rows)


class ScratchDatabase:
    """Data sets of a few rows one after the other, each asked the same queries; every query is parsed once.

    ``optimize``: off, a query on a few rows takes half as long; rows that no ORDER BY tells apart may then come in
    another order than they would elsewhere.
    """

    def __init__(self, schema: Schema, *, optimize: bool) -> None:
        self.connection = connect_locked(optimize=optimize)
        self._parsed: dict[str, Statement | str] = {}
        create(self.connection, schema.tables)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.connection.close()

    def fill(self, tables: Sequence[Table], dataset: Dataset, order: random.Random | None = None) -> None:
        """Replace the rows of `tables`, shuffled by `order`."""
        fill(self.connection, tables, dataset, order)

    def run(self, sql: str) -> ResultSet:
        """Raises duckdb.Error."""
        parsed = self._parsed.get(sql)
        if parsed is None:
            statements = self.connection.extract_statements(sql)
            parsed = self._parsed[sql] = statements[0] if len(statements) == 1 else sql
        return ResultSet.fetch(self.connection, parsed, MAX_ANSWER_ROWS)


def run(connection: DuckDBPyConnection, sql: str) -> ResultSet:
    """Raises duckdb.Error."""
    return ResultSet.fetch(connection, sql, MAX_ANSWER_ROWS)
