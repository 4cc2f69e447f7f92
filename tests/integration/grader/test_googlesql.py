"""GoogleSQL that DuckDB would answer differently, judged by what a BigQuery emulator returns."""

import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import date
from typing import Any, cast
from uuid import UUID

import pytest
from google.cloud.bigquery import Client, QueryJobConfig

from contracts.problems import GradingDataSet
from services.grader.adapters.bigquery import BigQueryEngine
from services.grader.adapters.problems import PostgresProblems
from services.grader.adapters.routed_judge import RoutedJudge
from services.grader.adapters.sandbox_judge import SandboxJudge
from services.grader.domain import Judgement, Problem
from services.kernel.database.unit_of_work import Database
from services.kernel.errors import PermanentError
from services.kernel.sql.dialects import emulator_gaps
from services.kernel.sql.guard import check
from services.kernel.sql.sandbox.errors import LimitExceeded, TaskFailed
from services.kernel.sql.sandbox.pool import SandboxPool
from tests.integration.grader.conftest import Publish

DOCUMENTED: list[tuple[str, Any]] = [
    ("EXTRACT(WEEK FROM DATE '2015-12-27')", 52),
    ("EXTRACT(WEEK FROM DATE '2016-01-02')", 0),
    ("EXTRACT(ISOWEEK FROM DATE '2016-01-03')", 53),
    ("EXTRACT(ISOYEAR FROM DATE '2016-01-03')", 2015),
    ("EXTRACT(DAYOFWEEK FROM DATE '2017-11-05')", 1),
    ("EXTRACT(DAYOFYEAR FROM DATE '2017-11-05')", 309),
    ("FORMAT('%05d', 42)", "00042"),
    ("FORMAT('%.2f', 2.5)", "2.50"),
    ("SUBSTR('apple', -2)", "le"),
    ("DATE_DIFF(DATE '2017-10-15', DATE '2017-10-14', WEEK)", 1),
    ("DATE_DIFF(DATE '2017-12-30', DATE '2014-12-30', YEAR)", 3),
    ("DATE_TRUNC(DATE '2017-11-07', WEEK)", date(2017, 11, 5)),
    ("DATE_ADD(DATE '2008-12-25', INTERVAL 5 DAY)", date(2008, 12, 30)),
    ("LAST_DAY(DATE '2008-11-25', MONTH)", date(2008, 11, 30)),
    ("INITCAP('hello WORLD-everyone')", "Hello World-Everyone"),
    ("LPAD('abc', 5, '*')", "**abc"),
    ("REPEAT('abc', 3)", "abcabcabc"),
    ("LEFT('apple', 3)", "app"),
    ("RIGHT('apple', 3)", "ple"),
    ("TRANSLATE('abc', 'ab', 'xy')", "xyc"),
    ("UNIX_DATE(DATE '2008-12-25')", 14238),
    ("SAFE_DIVIDE(1, 0)", None),
    ("GREATEST(1, NULL, 3)", None),
    ("(SELECT MAX(o) FROM UNNEST(['a', 'b']) AS x WITH OFFSET AS o)", 1),
]
"""Examples of BigQuery's function reference (cloud.google.com/bigquery/docs/reference/standard-sql)."""
SMALL = {"members": [{"id": 1, "country": "KR", "joined": "2026-01-02"}, {"id": 2, "joined": "2026-01-11"}]}
REFERENCE = "SELECT dayofweek(joined) + 1, count(*) FROM members GROUP BY 1"


@pytest.fixture
async def engine(bigquery: Client, bigquery_project: str) -> AsyncIterator[BigQueryEngine]:
    engine = BigQueryEngine(bigquery_project, max_bytes=10_485_760, timeout=30.0, emulated=True)
    yield engine
    await engine.close()


@pytest.fixture
def judge_on_engine(judge: SandboxJudge, pool: SandboxPool, engine: BigQueryEngine) -> RoutedJudge:
    return RoutedJudge(judge, pool, engine)


@pytest.fixture
async def problem(publish: Publish, database: Database) -> Problem:
    message = await publish(reference_sql=REFERENCE, small=[SMALL, {"members": [], "orders": []}])
    found = await PostgresProblems(database).find(UUID(message.problem_id))
    assert found is not None
    return found


async def test_the_emulator_runs_what_it_is_trusted_with_as_documented(engine: BigQueryEngine) -> None:
    for expression, _ in DOCUMENTED:
        assert not emulator_gaps(check(f"SELECT {expression}", "bigquery").tree, None), expression
    columns = ", ".join(f"{expression} AS c{n}" for n, (expression, _) in enumerate(DOCUMENTED))
    found = await engine.run(f"SELECT {columns}", 10)
    for (expression, wanted), value in zip(DOCUMENTED, found.rows[0], strict=True):
        assert value == (wanted.isoformat() if isinstance(wanted, date) else wanted), expression


async def test_a_right_answer_is_accepted_by_the_engine_that_ran_it(
    judge_on_engine: RoutedJudge, problem: Problem
) -> None:
    right = "SELECT EXTRACT(DAYOFWEEK FROM joined) AS d, FORMAT('%d', COUNT(*)) FROM members GROUP BY d; -- done"
    wrong_type = await judge_on_engine.judge(problem, right, "bigquery")
    assert wrong_type.verdict == "wrong"  # a text is not a number
    answer = (
        "WITH named AS (SELECT EXTRACT(DAYOFWEEK FROM joined) AS d, LEFT('ab', 1) FROM `members`)"
        " SELECT d, COUNT(*) FROM named GROUP BY d"
    )
    judged = await judge_on_engine.judge(problem, answer, "bigquery")
    assert (judged.verdict, judged.score) == ("correct", 1.0)
    assert judged.feedback["judged"]["engine"] == "bqemulator"
    assert judged.feedback["judged"]["data_sets"] == [
        {"name": "small-2", "agrees": True},
        {"name": "small-1", "agrees": True},
    ]


async def test_a_wrong_answer_gets_the_data_set_that_shows_it(judge_on_engine: RoutedJudge, problem: Problem) -> None:
    judged: Judgement = await judge_on_engine.judge(
        problem, "SELECT EXTRACT(DAYOFYEAR FROM joined) + LENGTH(LEFT('a', 1)) - 1, 1 FROM members", "bigquery"
    )
    assert judged.verdict == "wrong"
    assert judged.counterexample is not None
    assert judged.counterexample["data_set"]["members"][0]["id"] == 1
    assert judged.counterexample["expected"]["rows"] != judged.counterexample["actual"]["rows"]
    assert "dayofweek" not in json.dumps(dict(judged.feedback)).lower()


async def test_an_error_of_the_engine_is_the_answers(judge_on_engine: RoutedJudge, problem: Problem) -> None:
    judged = await judge_on_engine.judge(problem, "SELECT LEFT(nosuch, 1), 2 FROM members", "bigquery")
    assert (judged.verdict, judged.mistake_kind) == ("wrong", "error")
    assert "nosuch" in judged.feedback["error"]["marked"] + judged.feedback["explanation"]["en"]


@pytest.mark.parametrize(
    ("sql", "told"),
    [
        ("SELECT FARM_FINGERPRINT(country), 1 FROM members", "FARM_FINGERPRINT"),
        ("WITH members AS (SELECT LEFT('a', 1) AS joined) SELECT joined, 1 FROM members", "another name"),
        ("SELECT LEFT(country, 1), ROW_NUMBER() OVER () + 5 FROM members", "order of rows"),
    ],
)
async def test_what_even_the_engine_cannot_settle_is_refused(
    judge_on_engine: RoutedJudge, problem: Problem, sql: str, told: str
) -> None:
    with pytest.raises(PermanentError, match=told):
        await judge_on_engine.judge(problem, sql, "bigquery")


async def test_a_problem_without_small_data_sets_has_nothing_to_run_it_on(
    judge_on_engine: RoutedJudge, problem: Problem
) -> None:
    base = tuple(entry for entry in problem.datasets if entry.uri)
    assert all(isinstance(entry, GradingDataSet) for entry in base)
    bare = Problem(**{**vars(problem), "datasets": base})
    with pytest.raises(PermanentError, match="small data sets"):
        await judge_on_engine.judge(bare, "SELECT LEFT(country, 1), 1 FROM members", "bigquery")


async def test_the_engine_returns_no_more_than_asked_and_names_what_is_wrong(engine: BigQueryEngine) -> None:
    with pytest.raises(LimitExceeded):
        await engine.run("SELECT x FROM UNNEST(GENERATE_ARRAY(1, 50)) AS x", 10)
    with pytest.raises(TaskFailed, match="nosuch"):
        await engine.run("SELECT nosuch", 10)
    with pytest.raises(PermanentError, match="lists"):
        await engine.run("SELECT [1, 2] AS a", 10)


async def test_a_stored_table_is_never_read(judge_on_engine: RoutedJudge, problem: Problem) -> None:
    judged = await judge_on_engine.judge(problem, "SELECT LEFT(name, 1), 1 FROM `other.private.salaries`", "bigquery")
    assert judged.feedback["error"]["code"] == "unknown_table"


@dataclass
class DryRun:
    """What BigQuery says of a statement before it runs."""

    statement_type: str = "SELECT"
    referenced_tables: tuple[str, ...] = ()
    total_bytes_processed: int = 0


class Trying:
    """A client on which nothing may run: it answers dry runs only."""

    def __init__(self, told: DryRun) -> None:
        self.told = told

    def query(self, sql: str, job_config: QueryJobConfig, **options: Any) -> DryRun:
        assert job_config.dry_run, "a statement ran that its dry run forbids"
        return self.told


@pytest.mark.parametrize(
    ("told", "code"),
    [
        (DryRun(statement_type="INSERT"), "not_read_only"),
        (DryRun(referenced_tables=("other.private.salaries",)), "not_read_only"),
        (DryRun(total_bytes_processed=20_000_000), "too_many_bytes"),
    ],
)
async def test_nothing_runs_that_its_dry_run_shows_to_be_more_than_a_reading_of_its_own_rows(
    told: DryRun, code: str
) -> None:
    engine = BigQueryEngine("anywhere", max_bytes=10_485_760, timeout=1.0, client=cast("Client", Trying(told)))
    with pytest.raises(PermanentError) as raised:
        await engine.run("SELECT 1", 10)
    assert raised.value.code == code
