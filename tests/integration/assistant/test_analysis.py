"""Analyses and optimizations, through the sandbox."""

import base64
import json

import pytest

from scripts.emulators.gemini import GeminiStub, good
from services.kernel.database.unit_of_work import Database
from services.kernel.jobs.worker import Worker
from tests.integration.assistant.conftest import DDL, ROWS, failure_of, publish, result_of

COMPANY_TABLE = "shop-prod.sales.orders"
SENT = {"ddl": DDL, "rows": {name: rows[:10] for name, rows in ROWS.items()}}


@pytest.mark.parametrize("question", ["나라별 회원 수", "members by country", "나라별 회원 수 좀 알려줘"])
async def test_a_practice_problem_is_not_answered(
    worker: Worker, database: Database, stub: GeminiStub, question: str
) -> None:
    await publish(database)
    failed = await failure_of(worker, database, "analysis", question)
    assert failed.error_code == "practice_problem"
    assert "나라별 회원 수" in failed.error_message
    assert not stub.requests


@pytest.mark.parametrize("question", ["orders의 amount 합계와 평균", "total of amount in orders"])
async def test_without_a_model_the_nearest_example_of_the_data_answers_and_says_so(
    worker: Worker, database: Database, question: str
) -> None:
    await publish(database)
    result = await result_of(worker, database, "analysis", question)
    assert result["rows"] == [[1, 1000.5, 2000, 2_001_000]]
    assert (result["source"], result["example"]["origin"]) == ("example", "schema")
    assert result["fallback"]
    assert result["reading"]["ko"]
    assert "amount" in result["sql"]


async def test_a_model_writes_the_sql_and_never_sees_a_reference(
    worker: Worker, database: Database, stub: GeminiStub
) -> None:
    await publish(database)
    stub.answer_with(lambda _: good({"sql": "SELECT country, sum(amount) AS spent FROM members JOIN orders ON "
                                     "members.id = member_id GROUP BY country ORDER BY country"}))  # fmt: skip
    result = await result_of(worker, database, "analysis", "어느 나라가 돈을 가장 많이 썼나요?")
    assert (result["source"], result["row_count"]) == ("model", 2)
    assert result["sql_note"]["en"]
    assert result["chart"]["vega_lite"]["mark"] == "bar"
    assert base64.b64decode(result["chart"]["png_base64"]).startswith(b"\x89PNG")
    assert "qm." not in json.dumps([request.body for request in stub.requests])


async def test_a_models_bad_sql_gives_way_to_the_nearest_example(
    worker: Worker, database: Database, stub: GeminiStub
) -> None:
    await publish(database)
    for sql in ("SELECT * FROM read_csv('/etc/passwd')", "SELECT nothing FROM orders", "DROP TABLE orders"):
        stub.answer_with(lambda _, sql=sql: good({"sql": sql}))
        result = await result_of(worker, database, "analysis", "How many rows does orders have in all?")
        assert (result["source"], result["rows"]) == ("example", [[2_000]])
        assert "did not run" in result["fallback"]


async def test_an_unknown_question_is_refused_with_what_there_is(worker: Worker, database: Database) -> None:
    failed = await failure_of(worker, database, "analysis", "날씨가 어때요?")
    assert failed.error_code == "unknown_data_set"
    await publish(database)
    failed = await failure_of(worker, database, "analysis", "날씨가 어때요?")
    assert failed.error_code == "no_known_question"
    assert "members" in failed.error_message
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
    ("data_type", "modelled_on", "said"),
    [("pa", "", "made for practice"), (COMPANY_TABLE, COMPANY_TABLE, f"schema and profile of {COMPANY_TABLE}")],
)
async def test_figures_of_synthetic_rows_say_that_they_are(
    worker: Worker, database: Database, data_type: str, modelled_on: str, said: str
) -> None:
    await publish(database, data_type=data_type)
    query = {"sql": "SELECT count(*) AS n FROM orders", "data_type": data_type}
    result = await result_of(worker, database, "analysis", query)
    data = result["data"]
    assert (data["kind"], data["rows"], data["modelled_on"]) == ("synthetic", 2_010, modelled_on)
    assert said in data["note"]["en"]
    assert result["reading"] == {"ko": f"n: 2000\n{data['note']['ko']}", "en": f"n: 2000\n{data['note']['en']}"}
    result = await result_of(worker, database, "optimization", {"sql": "SELECT id FROM orders", "data_type": data_type})
    assert result["data"] == data
    assert "2,010 synthetic rows" in result["explanation"]["en"]
    assert "합성 데이터 2,010개 행" in result["explanation"]["ko"]


async def test_rows_sent_along_are_the_askers_own(worker: Worker, database: Database) -> None:
    result = await result_of(worker, database, "analysis", "SELECT max(amount) AS top FROM orders", options=SENT)
    assert (result["data"]["kind"], result["data"]["rows"]) == ("uploaded", 20)
    assert result["reading"]["en"] == "top: 10"
    empty = {"sql": "SELECT count(*) AS n FROM orders", "ddl": DDL}
    result = await result_of(worker, database, "analysis", empty)
    assert result["reading"]["en"] == "n: 0\nThe tables have no rows."


async def test_bad_queries_and_rows_are_told_what_is_wrong(worker: Worker, database: Database) -> None:
    wrong: list[tuple[object, str, str]] = [
        ("SELECT * FROM read_csv('/etc/passwd')", "refused", "read_csv"),
        ("SELECT nothing FROM orders", "database", "nothing"),
        ("SELECT 1; SELECT 2", "refused", "one statement"),
        ({"sql": "SELECT id FROM orders", "rows": {"orders": [{"id": "x"}]}}, "bad_rows", "rows"),
        ({"sql": "SELECT id FROM orders", "rows": {"nowhere": [{"id": 1}]}}, "invalid_request", "nowhere"),
    ]
    for query, code, said in wrong:
        failed = await failure_of(worker, database, "analysis", query, options={"ddl": DDL})
        assert failed.error_code == code, query
        assert said in failed.error_message, query


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
    partitions = {"shop.data.Orders": "amount"}
    query = {"sql": "SELECT * FROM orders", "dialect": "bigquery", "partitions": partitions, "ddl": DDL}
    result = await result_of(worker, database, "optimization", query)
    assert {finding["code"] for finding in result["findings"]} == {"select_star", "missing_partition_filter"}
    assert result["plan"] is None
    assert "not run" in result["explanation"]["en"]


async def test_an_unknown_data_set_is_named(worker: Worker, database: Database) -> None:
    failed = await failure_of(worker, database, "optimization", {"sql": "SELECT 1", "data_type": "nope"})
    assert failed.error_code == "unknown_data_set"
    assert "nope" in failed.error_message
