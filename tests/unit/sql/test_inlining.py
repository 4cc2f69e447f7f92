"""GoogleSQL statements that bring their own rows, and what an emulator may run of them."""

from __future__ import annotations

import datetime
from decimal import Decimal

import pytest

from services.kernel.sql.dataset import Dataset
from services.kernel.sql.dialects import CannotInline, emulator_gaps, inline
from services.kernel.sql.guard import check
from services.kernel.sql.schema import Schema

SCHEMA = Schema.from_ddl(
    [
        "CREATE TABLE t (id INTEGER, name VARCHAR, paid DECIMAL(8, 2), at TIMESTAMP, day DATE, share DOUBLE,"
        " ok BOOLEAN)",
        "CREATE TABLE one (n INTEGER)",
    ]
)
ROWS = Dataset(
    {
        "t": [
            {
                "id": 1,
                "name": "it's \\ a\nline",
                "paid": Decimal("1.50"),
                "at": datetime.datetime(2026, 1, 2, 3, 4, 5),  # noqa: DTZ001 - a DATETIME has no zone
                "day": datetime.date(2026, 1, 2),
                "share": 0.5,
                "ok": True,
            },
            {"id": 2},
        ],
        "one": [{"n": 7}],
    }
)


def statement(sql: str, dataset: Dataset = ROWS) -> str:
    return inline(check(sql, "bigquery", [table.name for table in SCHEMA.tables]), SCHEMA, dataset)


def test_every_value_is_written_as_googlesql_reads_it() -> None:
    text = statement("SELECT id FROM t")
    assert "`paid` NUMERIC, `at` DATETIME, `day` DATE, `share` FLOAT64, `ok` BOOL" in text
    assert (
        "(1, 'it\\'s \\\\ a\\U0000000aline', NUMERIC '1.50', DATETIME '2026-01-02 03:04:05', DATE '2026-01-02',"
        " CAST('0.5' AS FLOAT64), TRUE)" in text
    )
    assert "(2, NULL, NULL, NULL, NULL, NULL, NULL)" in text
    assert "`one`" not in text


def test_a_single_column_stays_a_struct_and_an_empty_table_has_its_columns() -> None:
    assert "ARRAY<STRUCT<`n` INT64>>[STRUCT(7)]" in statement("SELECT n FROM one")
    assert "ARRAY<STRUCT<`n` INT64>>[]" in statement("SELECT n FROM one", Dataset({}))


def test_the_answer_stands_in_brackets_without_its_semicolon() -> None:
    assert statement("SELECT n FROM one; -- done").endswith("\n(\nSELECT n FROM one\n)")
    assert statement("SELECT n FROM one -- ; no end").endswith("\n(\nSELECT n FROM one -- ; no end\n)")
    assert statement("SELECT 1") == "SELECT 1"


@pytest.mark.parametrize(
    ("sql", "dataset", "told"),
    [
        ("WITH one AS (SELECT 1 AS n) SELECT n FROM one", ROWS, "give it another name"),
        ("SELECT n FROM one", Dataset({"one": [{"n": n} for n in range(30_000)]}), "characters"),
    ],
)
def test_what_cannot_be_one_statement_is_said(sql: str, dataset: Dataset, told: str) -> None:
    with pytest.raises(CannotInline, match=told):
        statement(sql, dataset)


@pytest.mark.parametrize(
    "expression",
    [
        "CAST(share AS INT64)",
        "CAST(paid AS INT64)",
        "TIMESTAMP_DIFF(TIMESTAMP(at), TIMESTAMP '2026-01-01 00:00:00+00', DAY)",
        "EXTRACT(WEEK(MONDAY) FROM day)",
        "DATE_TRUNC(day, WEEK(MONDAY))",
        "DATE_DIFF(day, DATE '2026-01-01', ISOWEEK)",
        "SUBSTR(name, 0, 2)",
        "TRIM(name)",
        "FARM_FINGERPRINT(name)",
        "NORMALIZE(name)",
        "FORMAT('%T', name)",
        "SOUNDEX(name)",
        "ARRAY_AGG(id)",
    ],
)
def test_an_emulator_gets_nothing_that_it_runs_wrong(expression: str) -> None:
    query = check(f"SELECT {expression} FROM t", "bigquery", ["t"])
    assert emulator_gaps(query.tree, SCHEMA)
