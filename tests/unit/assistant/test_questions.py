"""A question meets the nearest example, a practice problem, or nothing; and what an analysis asks for."""

import json

import duckdb
import pytest

from services.assistant.analysis.examples import DataExample, examples_of, transpiled
from services.assistant.analysis.handler import read_request
from services.assistant.analysis.nearest import Match, NoMatch, asks_for, nearest
from services.kernel.jobs.context import JobFailedError
from services.kernel.sql.schema import Schema
from tests.support.services import job_requested

DDL = [
    "CREATE TABLE members (id INTEGER PRIMARY KEY, country VARCHAR, joined_at TIMESTAMP)",
    "CREATE TABLE orders (id INTEGER PRIMARY KEY, member_id INTEGER REFERENCES members (id), status VARCHAR, "
    "amount INTEGER, ordered_on DATE)",
]
SCHEMA = Schema.from_ddl(DDL)
EXAMPLES = examples_of(SCHEMA)


def test_every_example_of_a_schema_runs() -> None:
    connection = duckdb.connect()
    for statement in SCHEMA.ddl():
        connection.execute(statement)
    for example in EXAMPLES:
        connection.execute(example.sql).fetchall()
    assert len({example.ko for example in EXAMPLES}) == len({example.en for example in EXAMPLES}) == len(EXAMPLES)
    assert all("member_id" not in example.columns for example in EXAMPLES)  # sums of keys say nothing


@pytest.mark.parametrize(
    ("question", "parts"),
    [
        ("orders의 status별 amount 합계", ('GROUP BY "status"', 'sum("amount")')),
        ("orders status별 행 수", ('"status", count(*)',)),
        ("top 3 country of members by number of rows", ('"country"', "LIMIT 3")),
        ("members에서 행이 가장 많은 country 상위 5개", ('"country"', "LIMIT 5")),
        ("total amount per status of orders", ('GROUP BY "status"', 'sum("amount")')),
        ("orders amount average", ('avg("amount")',)),
        ("orders의 월별 행 수", ("'month', \"ordered_on\"",)),
        ("how many rows in orders", ('count(*) AS row_count FROM "orders"',)),
    ],
)
def test_the_nearest_example_answers(question: str, parts: tuple[str, ...]) -> None:
    found = nearest(question, EXAMPLES)
    assert isinstance(found, Match)
    assert all(part in found.sql for part in parts)
    assert ("GROUP BY" in found.sql) == any(word in question for word in ("별", "per", "top", "상위"))


@pytest.mark.parametrize(
    "question",
    ["날씨가 어때요?", "2019년 orders 행 수", "취소된 orders의 amount 평균", "members의 status별 행 수", "😱"],
)
def test_anything_else_is_refused_with_what_is_near(question: str) -> None:
    found = nearest(question, EXAMPLES)
    assert isinstance(found, NoMatch)
    assert found.offered


def test_nothing_known_is_said() -> None:
    assert nearest("anything", []) == NoMatch((), "no_known_questions")


PROBLEMS = [
    ("월별 매출\n달마다 매출을 더하세요.", "Revenue by month\nAdd up the revenue of each month."),
    ("나라별 회원 수\n나라마다 회원이 몇 명인지 세세요.", "Members by country\nCount the members of each country."),
]


@pytest.mark.parametrize(
    "question",
    ["나라별 회원 수", "나라별 회원 수 알려줘", "members by country please", "나라마다 회원이 몇 명인지 세 주세요"],
)
def test_a_practice_problem_is_recognised(question: str) -> None:
    assert asks_for(question, PROBLEMS) == 1


@pytest.mark.parametrize("question", ["orders의 월별 행 수", "날씨가 어때요?", "수", ""])
def test_another_question_is_no_practice_problem(question: str) -> None:
    assert asks_for(question, PROBLEMS) is None


def test_the_caches_examples_come_over_to_the_stand_in() -> None:
    schema = Schema.from_ddl(["CREATE TABLE sales (day DATE, city VARCHAR)"])
    pairs = [
        ("하루 판매", "sales per day", "SELECT day, COUNT(*) AS n FROM `shop.data.sales` GROUP BY day"),
        ("다른 표", "another table", "SELECT COUNT(*) FROM `shop.data.secret`"),
        ("깨진 것", "broken", "SELECT FROM WHERE"),
    ]
    found = transpiled(pairs, "shop.data.sales", schema)
    assert [(entry.en, entry.origin) for entry in found] == [("sales per day", "metadata_cache")]
    connection = duckdb.connect()
    connection.execute(schema.ddl()[0])
    assert connection.execute(found[0].sql).fetchall() == []
    assert isinstance(nearest("sales per day", [*found, DataExample("x", "y", "SELECT 1")]), Match)


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ({"question": "a", "sql": "SELECT 1"}, "exactly one"),
        ({"sql": "SELECT 1", "colour": "red"}, "colour"),
        ({"sql": "SELECT 1", "ddl": ["DROP TABLE x"]}, "ddl"),
        ({"sql": "SELECT 1", "rows": {"a": []}, "data_type": 3}, "data_type"),
    ],
)
def test_bad_requests_are_told_what_is_wrong(query: dict[str, object], said: str) -> None:
    with pytest.raises(JobFailedError, match=said) as raised:
        read_request(job_requested("analysis", json.dumps(query), options={"ddl": DDL}))
    assert raised.value.code == "invalid_request"
