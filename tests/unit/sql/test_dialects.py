"""GoogleSQL on DuckDB: what is translated returns what BigQuery's reference says; the rest is sent to BigQuery."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import duckdb
import pytest

from services.kernel.sql.dialects import NeedsBigQuery, Translated, to_duckdb
from services.kernel.sql.guard import check
from services.kernel.sql.sandbox import engine
from services.kernel.sql.schema import Schema

DDL = [
    "CREATE TABLE t (id BIGINT, x DOUBLE, n DECIMAL(10, 2), s VARCHAR, d DATE, dt TIMESTAMP, ts TIMESTAMPTZ, b BOOLEAN)"
]
ROWS = """INSERT INTO t VALUES
    (1, 2.5, 1.25, ' apple ', '2024-01-31', '2024-01-31 10:20:30', '2024-01-31 10:20:30+00', true),
    (2, -2.5, NULL, NULL, '2024-02-04', '2024-02-04 00:00:00', '2024-02-04 23:59:59+00', false)"""


@pytest.fixture
def connection() -> duckdb.DuckDBPyConnection:
    connection = engine.connect_locked()
    connection.execute(DDL[0])
    connection.execute(ROWS)
    return connection


def route(sql: str) -> Translated | NeedsBigQuery:
    return to_duckdb(check(sql, "bigquery"), Schema.from_ddl(DDL))


def run(connection: duckdb.DuckDBPyConnection, sql: str) -> list[tuple[Any, ...]]:
    routed = route(sql)
    assert isinstance(routed, Translated), routed
    return connection.execute(routed.sql).fetchall()


# Values from the examples and the rules in BigQuery's function reference.
TRANSLATED: list[tuple[str, Any]] = [
    ("7 / 2", 3.5),
    ("DIV(-7, 2)", -3),
    ("MOD(-7, 3)", -1),
    ("SAFE_DIVIDE(1, 0)", None),
    ("0.1 + 0.2 = 0.3", False),
    ("CAST(x AS INT64)", 3),
    ("CAST('12' AS INT64)", 12),
    ("CAST(id AS STRING)", "1"),
    ("CAST(d AS STRING)", "2024-01-31"),
    ("CAST(b AS STRING)", "true"),
    ("ROUND(2.5)", 3.0),
    ("ROUND(-2.5)", -3.0),
    ("LN(1)", 0.0),
    ("LOG(1)", 0.0),
    ("GREATEST(1, NULL, 3)", None),
    ("LEAST(3, 2)", 2),
    ("CONCAT('a', NULL)", None),
    ("'a' || 'b'", "ab"),
    ("TRIM(s)", "apple"),
    ("TRIM('\\t\\nx\\u3000')", "x"),
    ("LTRIM('xxapple', 'x')", "apple"),
    ("SUBSTR('apple', 2, 2)", "pp"),
    ("REGEXP_REPLACE('aaa', 'a', 'b')", "bbb"),
    ("REGEXP_CONTAINS('foo@bar', r'@b')", True),
    ("STRPOS('foo@example.com', '@')", 4),
    ("STARTS_WITH('bar', 'b')", True),
    ("LENGTH('한글')", 2),
    ("REPLACE('cherry pie', 'pie', 'cobbler')", "cherry cobbler"),
    ("EXTRACT(DAYOFWEEK FROM DATE '2024-02-04')", 1),
    ("EXTRACT(DAYOFWEEK FROM DATE '2024-02-03')", 7),
    ("EXTRACT(ISOWEEK FROM DATE '2016-01-03')", 53),
    ("EXTRACT(ISOYEAR FROM DATE '2016-01-03')", 2015),
    ("EXTRACT(DATE FROM ts)", date(2024, 1, 31)),
    ("EXTRACT(SECOND FROM dt)", 30),
    ("DATE_ADD(d, INTERVAL 1 MONTH)", date(2024, 2, 29)),
    ("DATE_ADD(DATE '2008-12-25', INTERVAL 5 DAY)", date(2008, 12, 30)),
    ("DATE_SUB(DATE '2008-12-25', INTERVAL id DAY)", date(2008, 12, 24)),
    ("DATE_DIFF(DATE '2010-07-07', DATE '2008-12-25', DAY)", 559),
    ("DATE_DIFF(DATE '2017-12-30', DATE '2014-12-30', YEAR)", 3),
    ("DATE_TRUNC(DATE '2008-12-25', MONTH)", date(2008, 12, 1)),
    ("DATE_TRUNC(DATE '2017-11-05', WEEK(MONDAY))", date(2017, 10, 30)),
    ("DATE_TRUNC(DATE '2017-11-05', ISOWEEK)", date(2017, 10, 30)),
    ("DATETIME_DIFF(DATETIME '2010-07-07 10:20:00', DATETIME '2008-12-25 15:30:00', DAY)", 559),
    ("TIMESTAMP_DIFF(TIMESTAMP '2001-02-01 01:00:00', TIMESTAMP '2001-02-01 00:00:01', HOUR)", 0),
    ("TIMESTAMP_DIFF(TIMESTAMP '2018-08-14', TIMESTAMP '2018-10-14', DAY)", -61),
    ("TIMESTAMP_DIFF(TIMESTAMP '2010-07-07 10:20:00', TIMESTAMP '2008-12-25 15:30:00', HOUR)", 13410),
    ("TIMESTAMP_TRUNC(ts, HOUR)", datetime(2024, 1, 31, 10, tzinfo=UTC)),
    ("DATETIME_TRUNC(dt, DAY)", datetime(2024, 1, 31)),  # noqa: DTZ001 - a DATETIME has no zone
    ("FORMAT_DATE('%Y-%m', d)", "2024-01"),
    ("DATE(ts)", date(2024, 1, 31)),
    ("DATE(2016, 12, 25)", date(2016, 12, 25)),
    ("IF(b, 'yes', 'no')", "yes"),
    ("IFNULL(NULL, 0)", 0),
    ("n + 0.5", Decimal("1.75")),
    ("POW(2, 3)", 8.0),
    ("s IN ('apple', ' apple ')", True),
    ("d = '2024-01-31'", True),
]


@pytest.mark.parametrize(("expression", "expected"), TRANSLATED)
def test_a_translated_expression_has_bigquerys_value(
    connection: duckdb.DuckDBPyConnection, expression: str, expected: Any
) -> None:
    ((value,),) = run(connection, f"SELECT {expression} FROM t WHERE id = 1")
    if isinstance(value, datetime) and value.tzinfo is not None:
        value = value.astimezone(UTC)
    assert value == expected
    assert type(value) is type(expected) or not isinstance(expected, date | str | bool)


@pytest.mark.parametrize(
    "expression", ["1 / 0", "x / (id - id)", "MOD(1, 0)", "DIV(1, 0)", "LN(0)", "SQRT(-1)", "LOG(-x)"]
)
def test_an_invalid_operation_is_an_error_as_in_bigquery(
    connection: duckdb.DuckDBPyConnection, expression: str
) -> None:
    with pytest.raises(duckdb.Error):
        run(connection, f"SELECT {expression} FROM t WHERE id = 1")


@pytest.mark.parametrize(
    ("sql", "expected"),
    [
        ("SELECT id FROM t ORDER BY s", [(2,), (1,)]),
        ("SELECT id FROM t ORDER BY s DESC", [(1,), (2,)]),
        ("SELECT ROW_NUMBER() OVER (ORDER BY n) FROM t ORDER BY id", [(2,), (1,)]),
        ("SELECT id FROM `p.d.t` AS u WHERE u.s IS NULL", [(2,)]),
        ("SELECT * EXCEPT (x, n, s, d, dt, ts, b) FROM d.t ORDER BY 1", [(1,), (2,)]),
        ("SELECT v * 2 FROM UNNEST([1, 2]) AS v ORDER BY 1", [(2,), (4,)]),
        ("SELECT v FROM t, UNNEST(GENERATE_ARRAY(1, 2)) AS v WHERE id = 1 ORDER BY v", [(1,), (2,)]),
        ("SELECT 1 UNION DISTINCT SELECT 1 UNION DISTINCT SELECT 1", [(1,)]),
        ("SELECT COUNTIF(b), LOGICAL_AND(b) FROM t", [(1, False)]),
        ("SELECT STRING_AGG(CAST(id AS STRING), '-' ORDER BY id DESC) FROM t", [("2-1",)]),
        ("SELECT id FROM t WHERE TRUE QUALIFY RANK() OVER (ORDER BY id) = 1", [(1,)]),
        (
            "WITH e AS (SELECT id, DATE_TRUNC(d, MONTH) AS m FROM t) SELECT DATE_DIFF(MAX(m), MIN(m), DAY) FROM e",
            [(31,)],
        ),
    ],
)
def test_a_translated_statement_returns_bigquerys_rows(
    connection: duckdb.DuckDBPyConnection, sql: str, expected: list[tuple[Any, ...]]
) -> None:
    assert run(connection, sql) == expected


# Constructs whose translation is silently wrong or unproven; each code is the one the routing must give.
ROUTED: list[tuple[str, str]] = [
    ("EXTRACT(WEEK FROM d)", "semantics"),
    ("EXTRACT(WEEK(MONDAY) FROM d)", "semantics"),
    ("EXTRACT(MILLISECOND FROM dt)", "semantics"),
    ("EXTRACT(HOUR FROM ts AT TIME ZONE 'Asia/Seoul')", "semantics"),
    ("SUBSTR(s, 0, 2)", "semantics"),
    ("SUBSTR(s, -2)", "semantics"),
    ("SUBSTR(s, id)", "semantics"),
    ("FORMAT('%05d', id)", "unverified"),
    ("CAST(s AS INT64)", "semantics"),
    ("CAST(x AS STRING)", "semantics"),
    ("CAST(x AS NUMERIC)", "semantics"),
    ("SAFE_CAST(s AS INT64)", "semantics"),
    ("CAST(s AS DATE)", "semantics"),
    ("CAST(unheard_of AS INT64)", "untyped"),
    ("DATE_ADD(unheard_of, INTERVAL 1 DAY)", "untyped"),
    ("DATE_DIFF(d, d, WEEK)", "semantics"),
    ("DATE_TRUNC(d, WEEK)", "semantics"),
    ("DATE_TRUNC(d, WEEK(THURSDAY))", "semantics"),
    ("TIMESTAMP_TRUNC(ts, DAY, 'Asia/Seoul')", "semantics"),
    ("d - d", "semantics"),
    ("d + 1", "semantics"),
    ("d + INTERVAL 1 DAY", "semantics"),
    ("s LIKE 'a\\\\_%'", "semantics"),
    ("REGEXP_EXTRACT(s, r'a(b)?')", "unverified"),
    ("REGEXP_CONTAINS(s, s)", "semantics"),
    ("FORMAT_DATE('%U', d)", "semantics"),
    ("PARSE_DATE('%Y', s)", "unverified"),
    ("SAFE.SUBSTR(s, 1)", "unverified"),
    ("FARM_FINGERPRINT(s)", "unverified"),
    ("NORMALIZE(s)", "unverified"),
    ("ARRAY_AGG(id LIMIT 1)", "unverified"),
    ("ANY_VALUE(id)", "unverified"),
    ("APPROX_COUNT_DISTINCT(id)", "unverified"),
    ("SPLIT(s, ',')[OFFSET(0)]", "unverified"),
    ("STRUCT(1 AS a)", "unverified"),
    ("GENERATE_UUID()", "unverified"),
    ("TO_JSON_STRING(t)", "unverified"),
    ("POW(x, x)", "semantics"),
    ("LOG(x, 2)", "unverified"),
    ("id = s", "type_mismatch"),
    ("s = 1", "type_mismatch"),
    ("id IN ('1')", "type_mismatch"),
    ("[1, NULL]", "semantics"),
    ("PERCENTILE_CONT(x, 0.5) OVER ()", "unverified"),
    ("UNIX_SECONDS(ts)", "unverified"),
]


@pytest.mark.parametrize(("expression", "code"), ROUTED)
def test_what_could_differ_goes_to_bigquery(expression: str, code: str) -> None:
    routed = route(f"SELECT {expression} FROM t")
    assert isinstance(routed, NeedsBigQuery), routed
    assert code in {reason.code for reason in routed.reasons}


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT v, o FROM UNNEST([5, 6]) AS v WITH OFFSET AS o",
        "SELECT v FROM t, UNNEST(SPLIT(s, ',')) AS v",
        "SELECT * FROM t PIVOT(SUM(x) FOR s IN ('a', 'b'))",
        "SELECT * FROM t TABLESAMPLE SYSTEM (10 PERCENT)",
        "SELECT AS STRUCT id FROM t",
    ],
)
def test_statements_that_go_to_bigquery(sql: str) -> None:
    assert isinstance(route(sql), NeedsBigQuery)


def test_types_are_not_guessed_without_a_schema() -> None:
    routed = to_duckdb(check("SELECT DATE_ADD(d, INTERVAL 1 DAY) FROM t", "bigquery"))
    assert isinstance(routed, NeedsBigQuery)
    assert {reason.code for reason in routed.reasons} == {"untyped"}


def test_duckdbs_own_sql_is_left_as_it_is() -> None:
    sql = "SELECT  1 -- as written"
    assert to_duckdb(check(sql, "duckdb")) == Translated(sql)
