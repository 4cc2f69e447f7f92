"""What the guard lets through, what it refuses and where it says the reason is."""

from __future__ import annotations

import contextlib
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlglot import exp

from services.kernel.sql.guard import Position, Refused, allowlist, check, refusal_message, text
from services.kernel.sql.guard.refusal import REFUSAL_CODES

TABLES = ["orders", "customers", "Mixed Case", "shop.sales.items"]


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT 1;",
        "SELECT 1 -- a comment; with a semicolon",
        "/* first */ SELECT count(*) FROM Orders",
        "FROM orders SELECT id",
        "TABLE orders",
        "VALUES (1, 'a'), (2, 'b')",
        "(SELECT 1) UNION ALL (SELECT 2) ORDER BY 1",
        "WITH RECURSIVE r(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM r WHERE n < 5) SELECT * FROM r",
        "WITH temp AS (SELECT 1 AS n) SELECT n FROM temp",
        'SELECT * FROM "Mixed Case"',
        "SELECT * FROM main.orders",
        "SELECT * FROM items",
        "SELECT * EXCLUDE (id) REPLACE (upper(name) AS name) FROM customers",
        "SELECT sum(x) FILTER (WHERE x > 0) OVER (PARTITION BY g ORDER BY d ROWS 2 PRECEDING) FROM orders",
        "SELECT * FROM orders QUALIFY row_number() OVER (PARTITION BY id) = 1",
        "SELECT * FROM range(3) t(i), unnest([1, 2]) u(v), generate_series(1, 3)",
        "SELECT list_transform([1, 2], lambda x: x + 1), {'a': 1}, MAP {'k': 2}, [x * 2 FOR x IN [1, 2]]",
        "SELECT d::DATE + INTERVAL 1 DAY, extract(year FROM d), d AT TIME ZONE 'UTC' FROM orders",
        "SELECT * FROM orders o JOIN LATERAL (SELECT o.id) l ON true LEFT JOIN customers USING (id)",
        "SELECT grouping(a), count(*) FROM orders GROUP BY GROUPING SETS ((a), ()), ROLLUP (b), CUBE (c)",
        "SELECT * FROM orders PIVOT (sum(amount) FOR status IN ('new', 'paid'))",
        "SELECT '; DROP TABLE orders', $$it's$$, '한글', '🙂'",
        "SELECT * FROM orders ASOF JOIN customers ON orders.d >= customers.d",
        "SELECT * FROM orders LIMIT 10 OFFSET 5",
    ],
)
def test_an_honest_query_passes_unchanged(sql: str) -> None:
    assert check(sql, "duckdb", TABLES).sql == sql


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT * FROM `shop.sales.items`",
        "SELECT * FROM `shop`.sales.items i, i.tags",
        "SELECT SAFE_DIVIDE(a, b), SAFE.SUBSTR(s, 1), FORMAT('%d', a) FROM orders",
        "SELECT * FROM orders, UNNEST(tags) AS tag WITH OFFSET AS o",
        "SELECT AS STRUCT id FROM orders",
        "SELECT * EXCEPT (id) FROM orders QUALIFY RANK() OVER (ORDER BY id) = 1",
        "SELECT DATE_DIFF(a, b, WEEK(MONDAY)), EXTRACT(ISOWEEK FROM a) FROM orders",
        "SELECT ARRAY_AGG(id ORDER BY id LIMIT 3)[SAFE_OFFSET(0)] FROM orders",
    ],
)
def test_googlesql_passes_in_its_own_dialect(sql: str) -> None:
    assert check(sql, "bigquery", TABLES).dialect == "bigquery"


@pytest.mark.parametrize(
    ("sql", "code"),
    [
        ("EXECUTE IMMEDIATE 'SELECT 1'", "not_read_only"),
        ("SELECT * FROM EXTERNAL_QUERY('c', 'SELECT 1')", "function"),
        ("SELECT SESSION_USER()", "function"),
        ("SELECT * FROM shop.INFORMATION_SCHEMA.TABLES", "system_table"),
        ("SELECT * FROM ML.PREDICT(MODEL m, TABLE orders)", "function"),
        ("SELECT @p", "parameter"),
        ("DECLARE x INT64; SELECT x", "multiple_statements"),
        ("SELECT * FROM `other.sales.items`", "unknown_table"),
    ],
)
def test_googlesql_that_reads_more_than_tables_is_refused(sql: str, code: str) -> None:
    with pytest.raises(Refused) as caught:
        check(sql, "bigquery", TABLES)
    assert caught.value.code == code


@pytest.mark.parametrize(
    ("sql", "code", "place"),
    [
        ("SELECT getenv('PATH')", "function", "getenv"),
        ("SELECT 1\n  FROM read_csv('x')", "function", None),
        ("SELECT * FROM salaries", "unknown_table", "salaries"),
        ("SELECT 'a\x00b'", "control_character", "\x00"),
        ("SELECT 1 FROM orders WHERE (id = 1", "syntax", None),
        ("SELECT 1; SELECT id FROM orders", "multiple_statements", "id"),
    ],
)
def test_a_refusal_marks_the_place(sql: str, code: str, place: str | None) -> None:
    with pytest.raises(Refused) as caught:
        check(sql, "duckdb", TABLES)
    refused = caught.value
    assert refused.code == code
    if place is not None:
        assert refused.position is not None
        assert sql[refused.position.offset : refused.position.offset + refused.position.length] == place


def test_tables_of_a_query_are_listed_without_its_ctes() -> None:
    checked = check("WITH c AS (SELECT * FROM Orders) SELECT * FROM c JOIN customers USING (id)")
    assert checked.tables == {"orders", "customers"}


def test_without_a_schema_any_ordinary_table_may_be_named() -> None:
    assert check("SELECT * FROM anything").tables == {"anything"}


def test_limits_on_the_text_hold_at_the_edge() -> None:
    nested = "SELECT " + "(" * text.MAX_NESTING + "1" + ")" * text.MAX_NESTING
    limit = sys.getrecursionlimit()
    sys.setrecursionlimit(6_000)
    try:
        check(nested)
    finally:
        sys.setrecursionlimit(limit)
    with pytest.raises(Refused, match="nested"):
        check("SELECT (" + nested.removeprefix("SELECT ") + ")")
    check("SELECT '" + "x" * (text.MAX_BYTES - 9) + "'")
    with pytest.raises(Refused, match="too long"):
        check("SELECT '" + "x" * text.MAX_BYTES + "'")


def test_every_class_on_the_allowlist_exists() -> None:
    """A class that sqlglot renames would otherwise turn honest queries away unnoticed."""
    missing = {name for name in allowlist.NODES | allowlist.FUNCTIONS | allowlist.ROOTS if not hasattr(exp, name)}
    assert not missing


def test_no_class_is_both_allowed_and_a_write() -> None:
    assert not allowlist.WRITES & (allowlist.NODES | allowlist.FUNCTIONS)


@pytest.mark.parametrize("code", sorted(REFUSAL_CODES))
def test_every_refusal_has_a_sentence_in_both_languages(code: str) -> None:
    english, korean = (refusal_message(code, "X", language) for language in ("en", "ko"))
    assert english.isascii()
    assert any("가" <= character <= "힣" for character in korean)


def test_a_position_counts_lines_and_columns_from_one() -> None:
    assert Position.at("a\nbc", 3) == Position(offset=3, length=1, line=2, column=2)
    assert Position.at("", 7, 0) == Position(offset=0, length=1, line=1, column=1)


FRAGMENTS = ["SELECT", "FROM", "orders", "(", ")", ",", "*", "1", "'", '"', ";", "--", "/*", "*/", "WITH", "AS", "["]


@settings(max_examples=300, deadline=None)
@given(st.one_of(st.text(max_size=200), st.lists(st.sampled_from(FRAGMENTS), max_size=60).map(" ".join)))
def test_any_text_is_checked_or_refused_and_never_anything_else(sql: str) -> None:
    with contextlib.suppress(Refused):
        assert type(check(sql, "duckdb", TABLES).tree).__name__ in allowlist.ROOTS
