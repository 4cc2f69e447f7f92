"""A GoogleSQL statement that brings its own rows: nothing is stored, nothing is read, so nothing is billed for storage.

A query over literal rows processes 0 bytes in BigQuery (cloud.google.com/bigquery/pricing, on-demand: bytes processed).
"""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from typing import TYPE_CHECKING, Final

from services.kernel.errors import PermanentError
from services.kernel.sql.dataset import Dataset, Value, encode_value
from services.kernel.sql.dialects.types import family_of

if TYPE_CHECKING:
    from sqlglot import exp

    from services.kernel.sql.guard import CheckedQuery
    from services.kernel.sql.schema import Schema, Table

MOST_CHARACTERS: Final = 200_000
"""BigQuery takes statements of 1 MB; an emulator needs seconds for tens of thousands of characters of rows."""

_TYPES: Final = {
    "integer": "INT64",
    "float": "FLOAT64",
    "string": "STRING",
    "boolean": "BOOL",
    "date": "DATE",
    "datetime": "DATETIME",
    "timestamp": "TIMESTAMP",
}
_PREFIXED: Final = frozenset({"NUMERIC", "BIGNUMERIC", "DATE", "DATETIME", "TIMESTAMP"})


class CannotInline(PermanentError):
    """These rows and this query cannot become one GoogleSQL statement; the message says why."""

    code = "cannot_inline"


def inline(query: CheckedQuery, schema: Schema, dataset: Dataset) -> str:
    """``query`` (GoogleSQL, checked) with a CTE of ``dataset``'s rows for every table it names.

    Raises CannotInline: a column's type has no GoogleSQL form here, a CTE of the query has a table's name, or the
    statement gets too long.
    """
    from sqlglot import exp

    shadowing = {cte.alias.lower() for cte in query.tree.find_all(exp.CTE)} & {t.name.lower() for t in schema.tables}
    if shadowing:
        raise CannotInline(f"a WITH part has the name of a table: {', '.join(sorted(shadowing))}; give it another name")
    named = {name.split(".")[-1] for name in query.tables}
    tables = [table for table in schema.tables if table.name.lower() in named]
    ctes = [f"{_quoted(table.name)} AS (SELECT * FROM UNNEST({_rows(table, dataset)}))" for table in tables]
    own = _without_semicolon(query.sql)
    # Brackets, and not one WITH for both: the query may be recursive. The line break ends a comment it may end with.
    statement = f"WITH {', '.join(ctes)}\n(\n{own}\n)" if ctes else own
    if len(statement) > MOST_CHARACTERS:
        raise CannotInline(f"with its rows the statement has {len(statement):,} characters of {MOST_CHARACTERS:,}")
    return statement


def _without_semicolon(sql: str) -> str:
    from sqlglot import Dialect, TokenType

    tokens = Dialect.get_or_raise("bigquery").tokenize(sql)
    ends = [token.start for token in tokens if token.token_type == TokenType.SEMICOLON]
    return sql[: ends[0]] if ends else sql


def _rows(table: Table, dataset: Dataset) -> str:
    types = [_type_of(column.name, column.type) for column in table.columns]
    fields = ", ".join(f"{_quoted(c.name)} {name}" for c, name in zip(table.columns, types, strict=True))
    # One value in brackets is only that value: a struct of one field needs its name.
    kind = "STRUCT" if len(types) == 1 else ""
    rows = (
        f"{kind}({', '.join(_literal(row.get(c.name), name) for c, name in zip(table.columns, types, strict=True))})"
        for row in dataset.rows(table.name)
    )
    return f"ARRAY<STRUCT<{fields}>>[{', '.join(rows)}]"


def _type_of(column: str, duckdb_type: str) -> str:
    from sqlglot import exp

    built = exp.DataType.build(duckdb_type, dialect="duckdb")
    family = family_of(built)
    if family == "decimal":
        scale = int(built.expressions[1].name) if len(built.expressions) > 1 else 0
        return "NUMERIC" if scale <= 9 and _precision(built) - scale <= 29 else "BIGNUMERIC"
    if family not in _TYPES or built.this == exp.DType.INT128:
        raise CannotInline(f"column {column}: a {duckdb_type} has no form in GoogleSQL here")
    return _TYPES[family]


def _precision(built: exp.DataType) -> int:
    return int(built.expressions[0].name) if built.expressions else 18


def _literal(value: Value, type_name: str) -> str:
    """``value`` as GoogleSQL writes it ("Lexical structure": literals)."""
    if value is None:
        return "NULL"
    if isinstance(value, bool):
        return "TRUE" if value else "FALSE"
    if type_name == "FLOAT64":
        return f"CAST({_string(str(value))} AS FLOAT64)"
    if isinstance(value, int | Decimal) and type_name == "INT64":
        return str(int(value))
    text = _string(str(encode_value(value)))
    return f"{type_name} {text}" if type_name in _PREFIXED else text


def _string(text: str) -> str:
    return f"'{''.join(_escaped(text))}'"


def _escaped(text: str) -> Iterator[str]:
    for character in text:
        if character in "'\\":
            yield f"\\{character}"
        elif character.isprintable():
            yield character
        else:
            yield f"\\U{ord(character):08x}"


def _quoted(name: str) -> str:
    return f"`{name}`"
