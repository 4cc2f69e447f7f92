"""Anti-patterns, rewrites, charts and readings."""

from typing import Any

import pytest
import sqlglot

from services.assistant.analysis import charts
from services.assistant.optimization.antipatterns import find
from services.assistant.optimization.candidates import candidates
from services.kernel.sql.schema import Schema

SCHEMA = Schema.from_ddl(
    [
        "CREATE TABLE users (id INTEGER PRIMARY KEY, country VARCHAR)",
        "CREATE TABLE events (id INTEGER PRIMARY KEY, user_id INTEGER, ts TIMESTAMP, amount INTEGER)",
    ]
)


@pytest.mark.parametrize(
    ("sql", "codes"),
    [
        ("SELECT id FROM users", set()),
        ("SELECT * FROM users", {"select_star"}),
        ("SELECT count(*) AS n FROM users", set()),
        ("SELECT id FROM events WHERE year(ts) = 2024", {"non_sargable"}),
        ("SELECT id FROM events WHERE amount + 1 > 5", {"non_sargable"}),
        ("SELECT id FROM events WHERE amount > 5 AND ts >= DATE '2024-01-01'", set()),
        ("SELECT id FROM users WHERE country LIKE '%R'", {"leading_wildcard"}),
        ("SELECT u.id FROM users u CROSS JOIN events e", {"cross_join"}),
        ("SELECT u.id FROM users u, events e WHERE u.id = e.user_id", set()),
        ("SELECT DISTINCT id, country FROM users", {"needless_distinct"}),
        ("SELECT DISTINCT country FROM users", set()),
        ("SELECT DISTINCT country, count(*) FROM users GROUP BY country", {"needless_distinct"}),
        ("SELECT id, (SELECT max(ts) FROM events e WHERE e.user_id = u.id) FROM users u", {"correlated_subquery"}),
        ("SELECT id FROM users WHERE id IN (SELECT user_id FROM events)", set()),
        ("SELECT id FROM users UNION SELECT user_id FROM events", {"union_distinct"}),
    ],
)
def test_anti_patterns_are_named(sql: str, codes: set[str]) -> None:
    found = find(sqlglot.parse_one(sql, read="duckdb"), SCHEMA, {})
    assert {finding.code for finding in found} == codes
    assert all(finding.ko and finding.en and finding.excerpt for finding in found)


@pytest.mark.parametrize(
    ("sql", "missing"),
    [("SELECT id FROM events", True), ("SELECT id FROM events WHERE ts > '2024-01-01'", False)],
)
def test_a_missing_partition_filter_is_named(sql: str, missing: bool) -> None:
    found = find(sqlglot.parse_one(sql, read="bigquery"), SCHEMA, {"events": "ts"})
    assert ("missing_partition_filter" in {finding.code for finding in found}) == missing


def test_rewrites_differ_from_the_query_and_from_each_other() -> None:
    tree = sqlglot.parse_one("SELECT DISTINCT id FROM events WHERE CAST(ts AS DATE) = DATE '2024-01-05'", read="duckdb")
    offered = dict(candidates(tree, SCHEMA))
    assert "DISTINCT" not in offered["without_distinct"]
    assert "2024-01-06" in offered["range_predicates"]
    assert len(set(offered.values())) == len(offered)
    assert tree.sql(dialect="duckdb") not in offered.values()


def _result(columns: list[str], types: list[str], rows: list[list[Any]]) -> dict[str, Any]:
    return {"columns": columns, "types": types, "rows": rows, "truncated": False}


def test_a_chart_fits_its_columns() -> None:
    bars = charts.specification(_result(["country", "n"], ["VARCHAR", "BIGINT"], [["KR", 3], ["US", 1]]))
    assert bars is not None
    assert bars["mark"] == "bar"
    line = charts.specification(_result(["day", "n"], ["DATE", "DECIMAL(8,2)"], [["2026-01-01", "1.50"]]))
    assert line is not None
    assert line["data"]["values"] == [{"day": "2026-01-01", "n": 1.5}]
    assert charts.specification(_result(["name"], ["VARCHAR"], [["a"]])) is None
    assert charts.specification(_result(["n"], ["BIGINT"], [])) is None


def test_the_png_is_drawn_without_a_network() -> None:
    spec = charts.specification(
        _result(["a.b[0]", "n", "n"], ["VARCHAR", "BIGINT", "BIGINT"], [["x", 1, 2], ["y", 3, None]])
    )
    assert spec is not None
    assert charts.png(spec).startswith(b"\x89PNG")


def test_a_reading_says_what_the_rows_say() -> None:
    told = charts.reading(_result(["country", "n"], ["VARCHAR", "BIGINT"], [["KR", 3], ["US", 1], ["JP", None]]))
    assert "KR" in told["en"]
    assert "US" in told["ko"]
    assert charts.reading(_result(["n"], ["BIGINT"], [])) == {"ko": "조건에 맞는 행이 없습니다.", "en": "No row fits."}
