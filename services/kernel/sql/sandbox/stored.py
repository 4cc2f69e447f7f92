"""Trusted data sets as DuckDB databases, loaded once and shared copy-on-write with every worker forked after.

Kinds, and what each file holds:

    rows     one JSON file: {"ddl": [CREATE TABLE, ...], "rows": {table: [{column: value}, ...]}}; a value is JSON, or
             text that DuckDB casts to the column's type
    parquet  one Parquet file per table, in the order of ``tables``
    duckdb   one database file; every table and view of its main schema is copied
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from services.kernel.sql.dataset import Dataset
from services.kernel.sql.sandbox import engine
from services.kernel.sql.schema import Schema, quote_identifier

if TYPE_CHECKING:
    import duckdb

DatasetKind = Literal["rows", "parquet", "duckdb"]


_NESTED = re.compile(r"\]$|^(?:STRUCT|MAP|UNION)\b")


@dataclass(frozen=True, slots=True)
class StoredDataset:
    """``connection``: a locked in-memory database holding ``tables``; a worker's writes to it stay the worker's own.

    ``dataset``: the same rows as typed values, for a data set that came as rows.
    """

    connection: duckdb.DuckDBPyConnection
    tables: tuple[str, ...]
    dataset: Dataset | None = None


def load(name: str, kind: DatasetKind, tables: Sequence[str], descriptors: Sequence[int]) -> StoredDataset:
    """Reads open files into a locked database.

    Raises ValueError for an unknown kind and DuckDB's errors for data it cannot read.
    """
    connection = engine.connect()
    dataset = None
    paths = [f"/proc/self/fd/{descriptor}" for descriptor in descriptors]
    if kind == "rows":
        with open(paths[0], encoding="utf-8") as file:
            content = json.load(file)
        fill(connection, content)
        dataset = Dataset.from_json(content["rows"], Schema.from_ddl(content["ddl"]), name)
    elif kind == "parquet":
        for table, path in zip(tables, paths, strict=True):
            connection.execute(f"CREATE TABLE {quote_identifier(table)} AS FROM read_parquet(?)", [path])
    elif kind == "duckdb":
        connection.execute(f"ATTACH '{paths[0]}' AS source (READ_ONLY)")
        connection.execute("COPY FROM DATABASE source TO memory")
        connection.execute("DETACH source")
    else:
        raise ValueError(f"unknown kind of data set: {kind!r}")
    engine.lock(connection)
    return StoredDataset(connection, _tables(connection), dataset)


def fill(connection: duckdb.DuckDBPyConnection, content: Mapping[str, Any]) -> list[str]:
    """Creates and fills the tables of a ``rows`` data set and names them.

    Raises DuckDB's errors; constraints of the DDL hold.
    """
    for statement in content["ddl"]:
        connection.execute(statement)
    for table, rows in content["rows"].items():
        if rows:
            _insert(connection, table, rows)
    return list(_tables(connection))


def _insert(connection: duckdb.DuckDBPyConnection, table: str, rows: Sequence[Mapping[str, Any]]) -> None:
    """One statement per table: the engine parses and casts the JSON itself, some thousand rows in milliseconds.

    Scalars go through text, whose cast to the column's type raises where JSON's own conversion would give NULL.
    """
    described = connection.execute(
        "SELECT column_name, data_type FROM duckdb_columns() WHERE table_name ILIKE ? AND NOT internal", [table]
    ).fetchall()
    types = {name: data_type if _NESTED.search(data_type) else "VARCHAR" for name, data_type in described}
    spelling = {name.lower(): name for name in types}
    given = {spelling.get(key.lower(), "") for row in rows for key in row}
    if "" in given or not given:
        raise ValueError(f"the rows of {table} name columns it does not have, or none")
    types = {name: data_type for name, data_type in types.items() if name in given}
    complete = [dict.fromkeys(types) | {spelling[key.lower()]: value for key, value in row.items()} for row in rows]
    columns = ", ".join(quote_identifier(name) for name in types)
    connection.execute(
        f"INSERT INTO {quote_identifier(table)} ({columns}) SELECT {columns} FROM"
        " (SELECT unnest(from_json_strict(?, ?), max_depth := 2))",
        [json.dumps(complete), json.dumps([types])],
    )


def _tables(connection: duckdb.DuckDBPyConnection) -> tuple[str, ...]:
    rows = connection.execute(
        "SELECT table_name FROM duckdb_tables() WHERE NOT internal UNION "
        "SELECT view_name FROM duckdb_views() WHERE NOT internal ORDER BY 1"
    ).fetchall()
    return tuple(str(name) for (name,) in rows)
