"""Verdicts on real answers, judged in the real sandbox on base and small data sets."""

import asyncio

import pytest

from contracts.jobs import JobFailed
from contracts.submissions import SubmissionGraded
from services.kernel.database.unit_of_work import Database
from services.kernel.jobs.worker import Worker
from tests.integration.grader.conftest import LUCKY, RIGHT, WRONG, Publish, submit
from tests.support.services import delivery_of, emitted, job_requested


async def test_a_right_answer_in_another_form_is_correct(worker: Worker, database: Database, publish: Publish) -> None:
    problem = await publish()
    result = await submit(worker, database, problem.problem_id, RIGHT)
    assert (result["verdict"], result["score"], result["counterexample"]) == ("correct", 1.0, None)
    assert result["explanation"] == {"ko": "정답입니다.", "en": "Correct."}
    [message] = await emitted(database, SubmissionGraded)
    assert (message.verdict, message.mistake_kind, message.tags) == ("correct", "", ["left-join", "group-by"])


async def test_a_wrong_answer_gets_a_small_data_set_that_shows_it(
    worker: Worker, database: Database, publish: Publish
) -> None:
    problem = await publish()
    result = await submit(worker, database, problem.problem_id, WRONG)
    assert result["verdict"] == "wrong"
    assert 0 < result["score"] < 1
    found = result["counterexample"]
    assert 1 <= sum(len(rows) for rows in found["data_set"].values()) <= 4
    assert found["expected"]["rows"] != found["actual"]["rows"]
    assert found["missing"] or found["extra"]
    for language in ("ko", "en"):
        assert result["explanation"][language]
        assert result["hint"][language]
    [message] = await emitted(database, SubmissionGraded)
    assert (message.verdict, message.mistake_kind) == ("wrong", result["mistake"]["kind"])


async def test_a_lucky_answer_that_the_base_data_lets_pass_is_wrong(
    worker: Worker, database: Database, publish: Publish
) -> None:
    problem = await publish()
    result = await submit(worker, database, problem.problem_id, LUCKY)
    assert result["verdict"] == "wrong"
    assert result["mistake"] == {"kind": "wrong_join_condition", "clause": "from"}
    assert sum(len(rows) for rows in result["counterexample"]["data_set"].values()) <= 3


async def test_a_difference_that_only_hundreds_of_rows_show_is_found_on_the_base_data(
    worker: Worker, database: Database, publish: Publish
) -> None:
    problem = await publish(reference_sql="SELECT count(*) FROM members")
    result = await submit(worker, database, problem.problem_id, "SELECT least(count(*), 290) FROM members")
    assert result["verdict"] == "wrong"
    assert result["counterexample"]["actual"]["rows"] == [[290]]
    [[expected]] = result["counterexample"]["expected"]["rows"]
    assert expected > 290


@pytest.mark.parametrize(
    ("sql", "code"),
    [
        ("DELETE FROM members", "not_read_only"),
        ("SELECT 1; SELECT 2", "multiple_statements"),
        ("SELECT * FROM read_csv('/etc/passwd')", "function"),
        ("SELECT * FROM payments", "unknown_table"),
        ("SELEC 1", None),
    ],
)
async def test_a_refused_answer_is_wrong_and_says_why(
    worker: Worker, database: Database, publish: Publish, sql: str, code: str | None
) -> None:
    problem = await publish()
    result = await submit(worker, database, problem.problem_id, sql)
    assert (result["verdict"], result["score"], result["mistake"]["kind"]) == ("wrong", 0.0, "error")
    assert code is None or result["error"]["code"] == code
    assert result["explanation"]["ko"]
    assert result["explanation"]["en"]
    assert result["counterexample"] is None


async def test_a_database_error_is_explained_with_its_place(
    worker: Worker, database: Database, publish: Publish
) -> None:
    problem = await publish()
    result = await submit(worker, database, problem.problem_id, "SELECT countri, count(*)\nFROM members GROUP BY 1")
    assert result["verdict"] == "wrong"
    assert result["error"]["code"] == "unknown_column"
    assert result["error"]["suggestions"][0] == "country"
    assert result["error"]["position"] == {"offset": 7, "length": 7, "line": 1, "column": 8}
    assert "^" in result["error"]["marked"]


async def test_an_answer_without_end_is_stopped_and_the_next_one_served(
    worker: Worker, database: Database, publish: Publish
) -> None:
    problem = await publish()
    endless = (
        "WITH RECURSIVE t AS (SELECT 1 AS n UNION ALL SELECT n + 1 FROM t) "
        "SELECT country, (SELECT max(n) FROM t) FROM members"
    )
    result = await submit(worker, database, problem.problem_id, endless)
    assert (result["verdict"], result["mistake"]["kind"]) == ("wrong", "error")
    assert (await submit(worker, database, problem.problem_id, RIGHT))["verdict"] == "correct"


async def test_googlesql_is_translated_or_declined_never_misjudged(
    worker: Worker, database: Database, publish: Publish
) -> None:
    problem = await publish(reference_sql="SELECT count(*) FROM members WHERE extract(year FROM joined) = 2026")
    right = "SELECT COUNT(*) FROM `members` WHERE EXTRACT(YEAR FROM joined) = 2026"
    result = await submit(worker, database, problem.problem_id, right, dialect="bigquery")
    assert result["verdict"] == "correct"
    week = "SELECT COUNT(*) FROM members WHERE EXTRACT(WEEK FROM joined) = 3"
    job = job_requested("grading", {"problem_id": problem.problem_id, "sql": week, "dialect": "bigquery"})
    await worker.dispatch(delivery_of(job))
    [failed] = await emitted(database, JobFailed)
    assert failed.error_code == "unsupported_construct"
    assert "EXTRACT(WEEK FROM joined)" in failed.error_message


async def test_order_counts_only_where_the_problem_orders(worker: Worker, database: Database, publish: Publish) -> None:
    reference = "SELECT id FROM members ORDER BY id"
    ordered = await publish(reference_sql=reference, ordered=True)
    backwards = "SELECT id FROM members ORDER BY id DESC"
    result = await submit(worker, database, ordered.problem_id, backwards)
    assert (result["verdict"], result["mistake"]["kind"]) == ("wrong", "wrong_order")
    unordered = await publish(reference_sql=reference, ordered=False)
    assert (await submit(worker, database, unordered.problem_id, backwards))["verdict"] == "correct"


async def test_an_accepted_answer_may_get_a_remark(worker: Worker, database: Database, publish: Publish) -> None:
    problem = await publish(reference_sql="SELECT id FROM members")
    result = await submit(worker, database, problem.problem_id, "SELECT DISTINCT id FROM members ORDER BY id")
    assert result["verdict"] == "correct"
    assert {remark["code"] for remark in result["remarks"]} == {"needless_order", "needless_distinct"}
    assert all(remark["text"]["ko"] and remark["text"]["en"] for remark in result["remarks"])


async def test_a_verdict_can_be_repeated_by_what_it_records(
    worker: Worker, database: Database, publish: Publish
) -> None:
    problem = await publish(small=[{"members": [], "orders": []}])
    judged = (await submit(worker, database, problem.problem_id, WRONG))["judged"]
    assert judged["engine"].startswith("duckdb ")
    assert judged["budget_ms"] == 150  # the base told it wrong: a brief search for a smaller data set
    assert judged["seed"] >= 0
    assert (judged["method"], judged["as_of"]) == ("search", None)
    assert [entry["name"] for entry in judged["data_sets"]] == ["small-1"]


async def test_a_line_of_learners_shortens_each_search_and_every_verdict_says_so(
    worker: Worker, database: Database, publish: Publish
) -> None:
    problem = await publish()
    answers = [f"SELECT country, count(*) + {n} FROM members GROUP BY country" for n in range(1, 9)]
    results = await asyncio.gather(*(submit(worker, database, problem.problem_id, sql) for sql in answers))
    budgets = [result["judged"]["budget_ms"] for result in results]
    assert max(budgets) <= 500
    assert 150 <= min(budgets) < 500
    assert {result["verdict"] for result in results} == {"wrong"}
