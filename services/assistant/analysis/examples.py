"""Questions that a data set's tables answer by themselves, with their SQL: made from the schema, never from problems.

They are what an analysis falls back to without a model. Pure; every query is plain counting and summing over one
table, so that it is right by construction.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from services.kernel.sql.schema import Column, Schema, Table

MOST: Final = 600
"""Examples of one data set."""
_PAIRS: Final = 24
"""Combinations of a grouping and a number, of one table."""
_NUMBERS: Final = ("INT", "DECIMAL", "NUMERIC", "DOUBLE", "FLOAT", "REAL")
_TEXTS: Final = ("VARCHAR", "TEXT", "STRING", "BOOLEAN")
_TIMES: Final = ("DATE", "TIMESTAMP", "DATETIME")


@dataclass(frozen=True)
class DataExample:
    """``sql`` in DuckDB's dialect. ``origin``: "schema" or "metadata_cache". ``table`` and ``columns``: what exactly it
    is about, or empty where only its words say so. ``implied``: columns that need not be named, being the only ones of
    their kind in the table."""

    ko: str
    en: str
    sql: str
    origin: str = "schema"
    table: str = ""
    columns: frozenset[str] = frozenset()
    implied: frozenset[str] = frozenset()


def examples_of(schema: Schema) -> list[DataExample]:
    """Totals, groups, days, months and sums of every table, in the schema's order."""
    made: list[DataExample] = []
    for table in schema.tables:
        made += _of_table(table)
    return made[:MOST]


def _of_table(table: Table) -> Iterator[DataExample]:
    from services.kernel.sql.schema import quote_identifier as quoted

    name, source = table.name, quoted(table.name)
    yield DataExample(
        f"{name} 테이블의 전체 행 수는 몇 개인가요?",
        f"How many rows does {name} have in all?",
        f"SELECT count(*) AS row_count FROM {source}",
        table=name,
    )
    groups = [column for column in table.columns if column.type.upper().startswith(_TEXTS)]
    numbers = [column for column in table.columns if _is_number(column) and not _is_key(column, table)]
    for column in groups:
        yield from _groups(name, source, column.name, quoted(column.name))
    times = [column for column in table.columns if column.type.upper().startswith(_TIMES)]
    for column in times:
        yield from _periods(name, source, column.name, quoted(column.name), alone=len(times) == 1)
    for column in numbers:
        yield _summary(name, source, column.name, quoted(column.name))
    pairs = [(group.name, number.name) for group in groups for number in numbers]
    for group, number in pairs[:_PAIRS]:
        by, value = quoted(group), quoted(number)
        yield DataExample(
            f"{name}의 {group}별 {number} 합계와 평균",
            f"total and average {number} per {group} of {name}",
            f"SELECT {by}, count(*) AS row_count, avg({value}) AS average, sum({value}) AS total FROM {source} "
            f"GROUP BY {by} ORDER BY total DESC NULLS LAST, {by}",
            table=name,
            columns=frozenset((group, number)),
        )


def _groups(name: str, source: str, column: str, by: str) -> Iterator[DataExample]:
    counted = f"SELECT {by}, count(*) AS row_count FROM {source} GROUP BY {by} ORDER BY row_count DESC, {by}"
    about: dict[str, Any] = {"table": name, "columns": frozenset((column,))}
    yield DataExample(f"{name}의 {column}별 행 수", f"number of rows of {name} per {column}", counted, **about)
    yield DataExample(
        f"{name}에서 행이 가장 많은 {column} 상위 10개",
        f"top 10 {column} of {name} by number of rows",
        f"{counted} LIMIT 10",
        **about,
    )
    yield DataExample(
        f"{name}에 서로 다른 {column} 값은 몇 개인가요?",
        f"How many distinct values of {column} does {name} have?",
        f"SELECT count(DISTINCT {by}) AS distinct_values FROM {source}",
        **about,
    )


def _periods(name: str, source: str, column: str, value: str, *, alone: bool) -> Iterator[DataExample]:
    for ko, en, unit in (("날짜별", "day", "day"), ("월별", "month", "month"), ("연도별", "year", "year")):
        yield DataExample(
            f"{name}의 {column} 기준 {ko} 행 수",
            f"number of rows of {name} per {en} of {column}",
            f"SELECT date_trunc('{unit}', {value}) AS {unit}, count(*) AS row_count FROM {source} "
            f"WHERE {value} IS NOT NULL GROUP BY 1 ORDER BY 1",
            table=name,
            columns=frozenset((column,)),
            implied=frozenset((column,) if alone else ()),
        )


def _summary(name: str, source: str, column: str, value: str) -> DataExample:
    return DataExample(
        f"{name}의 {column} 최솟값, 평균, 최댓값, 합계",
        f"minimum, average, maximum and total of {column} in {name}",
        f"SELECT min({value}) AS minimum, avg({value}) AS average, max({value}) AS maximum, sum({value}) AS total "
        f"FROM {source}",
        table=name,
        columns=frozenset((column,)),
    )


def _is_number(column: Column) -> bool:
    kind = column.type.upper()
    return "[" not in kind and any(part in kind for part in _NUMBERS) and not kind.startswith("INTERVAL")


def _is_key(column: Column, table: Table) -> bool:
    """Sums of keys say nothing."""
    names = {part.lower() for key in table.keys for part in key}
    names |= {part.lower() for key in table.foreign_keys for part in key.columns}
    return column.name.lower() in names or column.name.lower().endswith("_id")


def transpiled(examples: Sequence[tuple[str, str, str]], table_id: str, schema: Schema) -> list[DataExample]:
    """The metadata cache's (ko, en, BigQuery SQL) as DuckDB's over the one table that stands for ``table_id`` here;
    what cannot be said there is left out."""
    import sqlglot
    from sqlglot import exp
    from sqlglot.errors import SqlglotError

    if len(schema.tables) != 1:
        return []
    found = []
    for ko, en, sql in examples:
        try:
            tree = sqlglot.parse_one(sql, read="bigquery")
        except SqlglotError:
            continue
        names = {common.alias_or_name.lower() for common in tree.find_all(exp.CTE)}
        tables = [table for table in tree.find_all(exp.Table) if table.name.lower() not in names]
        if not all(_names(table, table_id) for table in tables):
            continue
        for table in tables:
            here = exp.to_table(schema.tables[0].name)
            here.set("alias", table.args.get("alias") or exp.TableAlias(this=exp.to_identifier(table.name)))
            table.replace(here)
        found.append(DataExample(ko, en, tree.sql(dialect="duckdb"), "metadata_cache"))
    return found


def _names(table: object, table_id: str) -> bool:
    from sqlglot import exp

    return isinstance(table, exp.Table) and ".".join(part.name for part in table.parts).lower() == table_id.lower()
