"""Rows for the tables of a schema: typed values, their JSON form, loading into DuckDB, and constraint checks."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any, TypeAlias
from uuid import UUID

from services.kernel.errors import PermanentError
from services.kernel.sql.schema import Column, ForeignKey, Schema, Table, quote_identifier

if TYPE_CHECKING:
    from duckdb import Appender, DuckDBPyConnection

# A DuckDB value as its Python client returns it: None, a scalar, or a list, tuple or dict of values.
Value: TypeAlias = Any
Row: TypeAlias = Mapping[str, Value]
JsonRows: TypeAlias = dict[str, list[dict[str, Any]]]

_FEW_ROWS = 4


class InvalidDataset(PermanentError):
    """The rows do not fit the schema: an unknown table or column, or a value its type cannot hold."""

    code = "invalid_dataset"


@dataclass(frozen=True, slots=True)
class Violation:
    """A constraint that a data set breaks. ``kind``: not_null, unique or foreign_key."""

    kind: str
    table: str
    columns: tuple[str, ...]
    row: int


@dataclass(frozen=True)
class Dataset:
    """``tables``: table name -> rows; a row maps column name -> value, a column left out is NULL.

    Names are the schema's own spelling. A table left out is empty.
    """

    tables: Mapping[str, Sequence[Row]]
    name: str = ""

    @property
    def row_count(self) -> int:
        return sum(len(rows) for rows in self.tables.values())

    def rows(self, table: str) -> Sequence[Row]:
        return self.tables.get(table, ())

    def load(self, connection: DuckDBPyConnection, schema: Schema) -> None:
        """Creates every table of ``schema``, with its constraints, and inserts the rows.

        Raises duckdb.ConstraintException when the rows break a constraint, InvalidDataset for an unknown table.
        """
        unknown = set(self.tables) - {table.name for table in schema.tables}
        if unknown:
            raise InvalidDataset(f"the data set has rows for unknown tables: {', '.join(sorted(unknown))}")
        connection.execute(";".join(schema.ddl()))
        for table in schema.tables:
            for rows in _insertable(table, self.rows(table.name)):
                insert(connection, table, rows)

    def to_json(self) -> JsonRows:
        """``{table: [{column: value}]}``: dates, times, decimals, UUIDs, blobs and non-finite floats as strings that
        DuckDB casts back to the column's type; lists and structs as JSON arrays and objects."""
        return {
            table: [{column: encode_value(value) for column, value in row.items()} for row in rows]
            for table, rows in self.tables.items()
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Sequence[Mapping[str, Any]]], schema: Schema, name: str = "") -> Dataset:
        """Reads ``to_json``'s form, giving each value the type of its column; raises InvalidDataset."""
        return cls({schema.table(t).name: _typed_rows(schema.table(t), rows) for t, rows in _known(data, schema)}, name)

    def violations(self, schema: Schema) -> Iterator[Violation]:
        """Every broken NOT NULL, PRIMARY KEY, UNIQUE and FOREIGN KEY; CHECK is left to DuckDB's own load.

        As in SQL, a key with a NULL part equals no other key and refers to nothing.
        """
        for table in schema.tables:
            rows = self.rows(table.name)
            yield from _null_violations(table, rows)
            for key in table.keys:
                yield from _unique_violations(table, key, rows)
            for foreign in table.foreign_keys:
                parent = schema.table(foreign.ref_table)
                yield from _dangling(table, foreign, rows, parent, self.rows(parent.name))


def key_of(row: Row, table: Table, columns: Sequence[str]) -> tuple[Value, ...] | None:
    """The row's values in ``columns`` (any case), or None when one of them is NULL."""
    key = tuple(row.get(table.column(name).name) for name in columns)
    return None if any(part is None for part in key) else key


def _null_violations(table: Table, rows: Sequence[Row]) -> Iterator[Violation]:
    required = [column.name for column in table.columns if table.is_required(column.name)]
    for index, row in enumerate(rows):
        for name in required:
            if row.get(name) is None:
                yield Violation("not_null", table.name, (name,), index)


def _unique_violations(table: Table, key: tuple[str, ...], rows: Sequence[Row]) -> Iterator[Violation]:
    seen = set()
    for index, row in enumerate(rows):
        value = key_of(row, table, key)
        if value is None:
            continue
        if value in seen:
            yield Violation("unique", table.name, key, index)
        seen.add(value)


def _dangling(
    table: Table, foreign: ForeignKey, rows: Sequence[Row], parent: Table, parent_rows: Sequence[Row]
) -> Iterator[Violation]:
    known = {key_of(row, parent, foreign.ref_columns) for row in parent_rows}
    for index, row in enumerate(rows):
        value = key_of(row, table, foreign.columns)
        if value is not None and value not in known:
            yield Violation("foreign_key", table.name, foreign.columns, index)


def _insertable(table: Table, rows: Sequence[Row]) -> Iterator[Sequence[Row]]:
    """Batches that DuckDB accepts: it checks a reference to the same table against rows of earlier statements only."""
    own = [key for key in table.foreign_keys if key.ref_table.lower() == table.name.lower()]
    loaded: dict[ForeignKey, set[tuple[Value, ...] | None]] = {key: {None} for key in own}
    waiting: Sequence[Row] = rows
    while waiting:
        ready = [row for row in waiting if all(key_of(row, table, k.columns) in loaded[k] for k in own)] or waiting
        yield ready
        for key in own:
            loaded[key].update(key_of(row, table, key.ref_columns) for row in ready)
        chosen = {id(row) for row in ready}
        waiting = [row for row in waiting if id(row) not in chosen]


def insert(connection: DuckDBPyConnection, table: Table, rows: Sequence[Row]) -> None:
    """All ``rows`` at once, into a table of its own name; raises duckdb.Error.

    A few as a literal statement, of which each value costs the engine time to read; more by an appender, which costs
    time to open.
    """
    columns = [column for column in table.columns if any(row.get(column.name) is not None for row in rows)]
    columns = columns or [table.columns[0]]
    if len(rows) <= _FEW_ROWS:
        values = ", ".join(f"({', '.join(render_literal(row.get(c.name)) for c in columns)})" for row in rows)
        names = ", ".join(quote_identifier(column.name) for column in columns)
        connection.execute(f"INSERT INTO {quote_identifier(table.name)} ({names}) VALUES {values}")
        return
    appender = connection.appender(quote_identifier(table.name), columns=[column.name for column in columns])
    append(appender, [bindable(rows, column) for column in columns])


def append(appender: Appender, values: Sequence[Sequence[Value]]) -> None:
    """Rows from one sequence of values per column; raises duckdb.Error, and then nothing of them stays behind."""
    try:
        appender.append_rows(zip(*values, strict=True))
        appender.flush()
    except Exception:
        appender.clear()  # else the next flush, or the appender's end, would bring the rows before the bad one
        raise


def bindable(rows: Sequence[Row], column: Column) -> list[Value]:
    """The rows' values of ``column`` as parameters of its type that mean what their literals do: the binding would
    shift a time with an offset to UTC where the column has none, and carry hours over into days."""
    values = [row.get(column.name) for row in rows]
    if column.type.upper().startswith(("TIMESTAMP", "DATETIME", "INTERVAL")):
        return [encode_value(value) if isinstance(value, datetime | timedelta) else value for value in values]
    return values


def render_literal(value: Value) -> str:
    """A DuckDB literal; typed values are strings that the column's type casts."""
    if value is None:
        return "NULL"
    if isinstance(value, bool):
        return "TRUE" if value else "FALSE"
    if isinstance(value, int | Decimal):
        return str(value)
    if isinstance(value, list | tuple):
        return f"[{', '.join(render_literal(part) for part in value)}]"
    if isinstance(value, dict):
        if all(isinstance(key, str) for key in value):
            fields = ", ".join(f"{quote_identifier(key)}: {render_literal(part)}" for key, part in value.items())
            return "{" + fields + "}" if value else "MAP {}"
        return "MAP {" + ", ".join(f"{render_literal(k)}: {render_literal(v)}" for k, v in value.items()) + "}"
    text = str(encode_value(value)).replace("'", "''")
    return f"'{text}'::DOUBLE" if isinstance(value, float) else f"'{text}'"


def encode_value(value: Value) -> Any:
    """The JSON form of one value (see Dataset.to_json)."""
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float):
        return value if value == value and abs(value) != float("inf") else str(value)
    if isinstance(value, bytes):
        return "".join(f"\\x{byte:02X}" for byte in value)
    if isinstance(value, datetime):
        return value.isoformat(sep=" ")
    if isinstance(value, date | time):
        return value.isoformat()
    if isinstance(value, timedelta):
        return f"{value // timedelta(microseconds=1)} microseconds"
    if isinstance(value, list | tuple):
        return [encode_value(part) for part in value]
    if isinstance(value, dict):
        return {str(encode_value(key)): encode_value(part) for key, part in value.items()}
    return str(value)


def _known(
    data: Mapping[str, Sequence[Mapping[str, Any]]], schema: Schema
) -> Iterator[tuple[str, Sequence[Mapping[str, Any]]]]:
    for table, rows in data.items():
        if not schema.has(table):
            raise InvalidDataset(f"the data set has rows for an unknown table: {table}")
        yield table, rows


def _typed_rows(table: Table, rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Value]]:
    typed = []
    for row in rows:
        unknown = [name for name in row if not table.has(name)]
        if unknown:
            raise InvalidDataset(f"table {table.name} has no column {', '.join(unknown)}")
        typed.append({table.column(name).name: decode_value(value, table.column(name)) for name, value in row.items()})
    return typed


_INTERVAL = re.compile(r"(-?\d+) microseconds")


def decode_value(value: Any, column: Column) -> Value:
    """The typed value of a JSON ``value`` for ``column``; values of other types pass through for DuckDB to cast."""
    base = column.type.upper().split("(")[0].strip()
    if value is None or column.type.endswith("]"):
        return value
    try:
        return _decode_scalar(value, base)
    except (ValueError, ArithmeticError) as error:
        raise InvalidDataset(f"column {column.name} of type {column.type} cannot hold {value!r}") from error


def _decode_scalar(value: Any, base: str) -> Value:
    if base in {"DECIMAL", "NUMERIC"} and isinstance(value, str | int | float) and not isinstance(value, bool):
        return Decimal(str(value))
    if base in {"DOUBLE", "FLOAT", "REAL"} and isinstance(value, str | int) and not isinstance(value, bool):
        return float(value)
    if not isinstance(value, str):
        return value
    if base == "DATE":
        return date.fromisoformat(value[:10])
    if base.startswith("TIMESTAMP") or base == "DATETIME":
        return datetime.fromisoformat(value)
    if base == "TIME":
        return time.fromisoformat(value)
    if base == "UUID":
        return UUID(value)
    if base == "BLOB":
        return bytes.fromhex(value.replace("\\x", ""))
    match = _INTERVAL.fullmatch(value) if base == "INTERVAL" else None
    return timedelta(microseconds=int(match[1])) if match else value
