"""Explanations of real DuckDB errors and of refusals, in both languages."""

from __future__ import annotations

import string

import duckdb
import pytest

from services.kernel.sql.diagnose import Explanation, explain
from services.kernel.sql.diagnose.catalog import ENTRIES, LIMITS, UNRECOGNISED
from services.kernel.sql.guard import Refused, check
from services.kernel.sql.sandbox import LimitExceeded, TaskFailed, WorkerDied, engine
from services.kernel.sql.sandbox.errors import LIMIT_KINDS
from services.kernel.sql.sandbox.query import database_failure, refused
from services.kernel.sql.schema import Schema

DDL = [
    "CREATE TABLE orders (id INTEGER, customer_id INTEGER, amount DECIMAL(10, 2), created DATE)",
    "CREATE TABLE customers (id INTEGER, name VARCHAR)",
]
SCHEMA = Schema.from_ddl(DDL)


@pytest.fixture(scope="module")
def connection() -> duckdb.DuckDBPyConnection:
    connection = engine.connect_locked()
    for statement in DDL:
        connection.execute(statement)
    connection.execute("INSERT INTO orders VALUES (1, 1, 0, '2024-01-01'), (2, 1, 5, '2024-01-02')")
    return connection


def explained(connection: duckdb.DuckDBPyConnection, sql: str) -> Explanation:
    with pytest.raises(duckdb.Error) as caught:
        connection.execute(sql).fetchall()
    return explain(database_failure(caught.value), sql, SCHEMA)


def marked(explanation: Explanation, sql: str) -> str:
    assert explanation.position is not None
    return sql[explanation.position.offset : explanation.position.offset + explanation.position.length]


@pytest.mark.parametrize(
    ("sql", "code", "clause", "place"),
    [
        ("SELECT custmer_id FROM orders", "unknown_column", "SELECT", "custmer_id"),
        ("SELECT id FROM orders WHERE amout > 1", "unknown_column", "WHERE", "amout"),
        ("SELECT o.nme FROM orders o", "unknown_column", "SELECT", "o.nme"),
        ("SELECT id FROM orders ORDER BY nme", "unknown_column", "ORDER BY", "nme"),
        ("SELECT * FROM oders", "unknown_table", "FROM", "oders"),
        ("SELECT o.id FROM orders", "unknown_alias", "SELECT", "o.id"),
        ("SELECT nofunc(1)", "unknown_function", "SELECT", "nofunc(1)"),
        ("SELECT id FROM orders, customers", "ambiguous_column", "SELECT", "id"),
        ("SELECT customer_id, sum(amount) FROM orders", "not_grouped", "SELECT", "customer_id"),
        ("SELECT 1 FROM orders HAVING id > 1", "not_grouped", "HAVING", "id"),
        ("SELECT 1 FROM orders WHERE sum(amount) > 1", "aggregate_in_where", "WHERE", "sum(amount)"),
        (
            "SELECT 1 FROM orders WHERE row_number() OVER () = 1",
            "window_in_where",
            "WHERE",
            "row_number() OVER ()",
        ),
        ("SELECT sum(sum(amount)) FROM orders", "nested_aggregate", "SELECT", "sum(amount)"),
        ("SELECT rank() FROM orders", "window_without_over", "SELECT", "rank()"),
        ("SELECT 1 FROM orders WHERE id IN (SELECT id, name FROM customers)", "subquery_columns", "WHERE", None),
        ("SELECT id FROM orders ORDER BY 9", "position_out_of_range", "ORDER BY", "9"),
        ("SELECT 'a'::INTEGER", "conversion", "SELECT", None),
        ("SELECT DATE '2024-13-01'", "date_value", "SELECT", None),
        ("SELECT avg(name) FROM customers", "argument_types", "SELECT", None),
        ("SELECT id FROM orders LIMIT -1", "negative_limit", "LIMIT", "-1"),
        ("SELECT 'abc", "unterminated", None, None),
        ("SELECT * FROM orders JOIN customers WHERE 1", "syntax", "WHERE", "WHERE"),
    ],
)
def test_an_error_is_recognised_and_its_place_found(
    connection: duckdb.DuckDBPyConnection, sql: str, code: str, clause: str | None, place: str | None
) -> None:
    explanation = explained(connection, sql)
    assert (explanation.code, explanation.clause) == (code, clause)
    if place is not None:
        assert marked(explanation, sql) == place


@pytest.mark.parametrize(
    ("sql", "code"),
    [
        ("SELECT id FROM orders UNION SELECT id, name FROM customers", "column_count"),
        ("SELECT * FROM orders WHERE id = (SELECT id FROM orders)", "subquery_rows"),
        ("SELECT 1 // 0", "division_by_zero"),
        ("SELECT 2147483647::INTEGER + 1::INTEGER", "out_of_range"),
    ],
)
def test_an_error_without_a_place_is_recognised(connection: duckdb.DuckDBPyConnection, sql: str, code: str) -> None:
    explanation = explained(connection, sql)
    assert explanation.code == code


@pytest.mark.parametrize(
    ("sql", "suggestion"),
    [
        ("SELECT custmer_id FROM orders", "customer_id"),
        ("SELECT * FROM oders", "orders"),
        ("SELECT * FROM CUSTOMRES", "customers"),
        ("SELECT datediff_('day', created, created) FROM orders", "datediff"),
    ],
)
def test_a_misspelt_name_gets_a_suggestion(connection: duckdb.DuckDBPyConnection, sql: str, suggestion: str) -> None:
    explanation = explained(connection, sql)
    assert suggestion in explanation.suggestions
    assert suggestion in explanation.hint_en
    assert suggestion in explanation.hint_ko


def test_a_name_like_nothing_gets_none_and_never_a_system_table(connection: duckdb.DuckDBPyConnection) -> None:
    explanation = explained(connection, "SELECT * FROM b")
    assert explanation.suggestions == ()
    assert "duckdb_" not in str(explanation.to_json())


def test_carets_stand_under_the_mistake_after_korean_text(connection: duckdb.DuckDBPyConnection) -> None:
    sql = "SELECT '한글' AS a,\n       '가격', prise\nFROM orders"
    explanation = explained(connection, sql)
    assert explanation.position is not None
    assert (explanation.position.line, explanation.position.column) == (2, 14)
    assert explanation.marked(sql) == "2 |        '가격', prise\n" + " " * 19 + "^^^^^"


@pytest.mark.parametrize(
    ("sql", "code", "place"),
    [
        ("SELECT * FROM salaries", "unknown_table", "salaries"),
        ("SELECT 1; SELECT 2", "multiple_statements", None),
        ("DELETE FROM orders", "not_read_only", None),
        ("SELECT * FROM '/etc/passwd'", "external_source", "'/etc/passwd'"),
        ("SELECT ?", "parameter", None),
    ],
)
def test_a_refusal_reads_the_same_from_the_guard_and_from_the_sandbox(sql: str, code: str, place: str | None) -> None:
    with pytest.raises(Refused) as caught:
        check(sql, "duckdb", ["orders", "customers"])
    here = explain(caught.value, sql, SCHEMA)
    assert here == explain(refused(caught.value), sql, SCHEMA)
    assert here.code == code
    if place is not None:
        assert marked(here, sql) == place


@pytest.mark.parametrize("kind", sorted(LIMIT_KINDS))
def test_every_limit_is_explained(kind: str) -> None:
    explanation = explain(LimitExceeded(kind), "SELECT 1")  # type: ignore[arg-type]
    assert explanation.code == f"limit_{kind}"


def test_a_crash_is_explained_and_an_internal_failure_is_not_the_learners() -> None:
    assert explain(WorkerDied("gone"), "SELECT 1").code == "worker_died"
    with pytest.raises(TypeError):
        explain(TaskFailed("internal", "oops"), "SELECT 1")


def test_an_unknown_message_is_passed_on_without_its_advice_on_settings() -> None:
    details = {"exception_type": "Binder", "exception_message": 'Frobnication failed! Use "SET x=y" instead.'}
    explanation = explain(TaskFailed("database", "", details), "SELECT 1")
    assert explanation.code == "database_error"
    assert explanation.message_en.endswith("Frobnication failed!")


def test_both_languages_use_the_same_details() -> None:
    for entry in [*ENTRIES, *LIMITS.values(), UNRECOGNISED]:
        fields = [
            {name for _, name, _, _ in string.Formatter().parse(text) if name}
            for text in (entry.message_en, entry.message_ko)
        ]
        assert fields[0] == fields[1], entry.code
