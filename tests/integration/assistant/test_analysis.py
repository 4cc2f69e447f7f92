"""Analyses and optimizations, through the sandbox."""

import base64
import json

import pytest

from services.kernel.database.unit_of_work import Database
from services.kernel.jobs.worker import Worker
from tests.integration.assistant.conftest import DDL, ROWS, failure_of, publish, result_of

SENT = {"ddl": DDL, "rows": {name: rows[:10] for name, rows in ROWS.items()}}


@pytest.mark.parametrize("question", ["나라별 회원 수", "members by country"])
async def test_a_known_question_is_answered_without_showing_the_reference(
    worker: Worker, database: Database, question: str
) -> None:
    await publish(database)
    result = await result_of(worker, database, "analysis", question)
    assert result["rows"] == [["JP", 5], ["KR", 5]]
    assert result["chart"]["vega_lite"]["mark"] == "bar"
    assert base64.b64decode(result["chart"]["png_base64"]).startswith(b"\x89PNG")
    assert result["reading"]["ko"]
    assert "qm." not in json.dumps(result)
    assert result["sql"] == ""
    assert result["sql_note"]["en"]


async def test_an_unknown_question_is_refused_with_what_there_is(worker: Worker, database: Database) -> None:
    failed = await failure_of(worker, database, "analysis", "날씨가 어때요?")
    assert failed.error_code == "no_known_question"
    await publish(database)
    failed = await failure_of(worker, database, "analysis", "날씨가 어때요?")
    assert "나라별 회원 수" in failed.error_message
    failed = await failure_of(worker, database, "analysis", {"question": "x", "data_type": "stream"})
    assert "pa" in failed.error_message


async def test_sql_is_run_on_the_known_data_set_and_on_tables_sent_along(worker: Worker, database: Database) -> None:
    await publish(database)
    result = await result_of(worker, database, "analysis", "SELECT count(*) AS n FROM orders")
    assert (result["rows"], result["data_set"]) == ([[2_000]], "pa")
    result = await result_of(worker, database, "analysis", "SELECT max(amount) AS top FROM orders", options=SENT)
    assert (result["rows"], result["data_set"]) == ([[10]], "inline")
    assert result["sql"] == "SELECT max(amount) AS top FROM orders"


@pytest.mark.parametrize(
    ("query", "code", "said"),
    [
        ("SELECT * FROM read_csv('/etc/passwd')", "refused", "read_csv"),
        ("SELECT nothing FROM orders", "database", "nothing"),
        ("SELECT 1; SELECT 2", "refused", "one statement"),
        ({"question": "a", "sql": "SELECT 1"}, "invalid_request", "exactly one"),
        ({"sql": "SELECT 1", "colour": "red"}, "invalid_request", "colour"),
        ({"sql": "SELECT 1", "ddl": ["DROP TABLE x"]}, "invalid_request", "ddl"),
        ({"sql": "SELECT 1", "rows": {"a": []}, "data_type": 3}, "invalid_request", "data_type"),
        ({"sql": "SELECT id FROM orders", "rows": {"orders": [{"id": "x"}]}}, "bad_rows", "rows"),
        ({"sql": "SELECT id FROM orders", "rows": {"nowhere": [{"id": 1}]}}, "invalid_request", "nowhere"),
    ],
)
async def test_bad_requests_are_told_what_is_wrong(
    worker: Worker, database: Database, query: object, code: str, said: str
) -> None:
    failed = await failure_of(worker, database, "analysis", query, options={"ddl": DDL})
    assert failed.error_code == code
    assert said in failed.error_message


async def test_a_proved_and_faster_rewrite_is_shown(worker: Worker, database: Database) -> None:
    await publish(database)
    result = await result_of(worker, database, "optimization", "SELECT DISTINCT id, member_id, amount FROM orders")
    assert [finding["code"] for finding in result["findings"]] == ["needless_distinct"]
    assert any(step.get("table") == "orders" for step in result["plan"])
    shown = result["rewrite"]
    if shown is None:  # a busy machine may not measure it as faster; then it must not be shown
        assert all(entry["outcome"] != "faster" for entry in result["tried"])
        return
    assert "DISTINCT" not in shown["sql"]
    assert shown["proof"]["verdict"] == "equivalent"
    assert not shown["proof"]["exhausted"]
    assert shown["milliseconds"] <= 0.8 * shown["before_ms"]


async def test_without_data_nothing_is_measured_and_no_rewrite_shown(worker: Worker, database: Database) -> None:
    query = {"sql": "SELECT DISTINCT id, amount FROM orders", "ddl": DDL}
    result = await result_of(worker, database, "optimization", query)
    assert result["findings"]
    assert result["rewrite"] is None
    assert "no data" in result["explanation"]["en"]


async def test_bigquery_is_read_but_not_run(worker: Worker, database: Database) -> None:
    query = {"sql": "SELECT * FROM orders", "dialect": "bigquery", "partitions": {"Orders": "amount"}, "ddl": DDL}
    result = await result_of(worker, database, "optimization", query)
    assert {finding["code"] for finding in result["findings"]} == {"select_star", "missing_partition_filter"}
    assert result["plan"] is None


async def test_an_unknown_data_set_is_named(worker: Worker, database: Database) -> None:
    failed = await failure_of(worker, database, "optimization", {"sql": "SELECT 1", "data_type": "nope"})
    assert failed.error_code == "unknown_data_set"
    assert "nope" in failed.error_message
