"""A scratch database that is emptied and filled again for every small data set."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from services.kernel.sql.dataset import Dataset, Row, insert_statement
from services.kernel.sql.results import ResultSet
from services.kernel.sql.sandbox.engine import connect_locked
from services.kernel.sql.schema import Schema, Table, quote_identifier

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

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
    for table in tables:
        connection.execute(f"DELETE FROM {quote_identifier(table.name)}")
        rows: list[Row] = list(dataset.rows(table.name))
        if order is not None:
            order.shuffle(rows)
        if rows:
            connection.execute(insert_statement(table, rows))


def run(connection: DuckDBPyConnection, sql: str) -> ResultSet:
    """Raises duckdb.Error."""
    return ResultSet.fetch(connection, sql, MAX_ANSWER_ROWS)
