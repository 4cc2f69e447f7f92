"""Pairs over many features of SQL: what tells them apart has to be among the values tried."""

from datetime import UTC, date, datetime, timedelta

import pytest

from services.kernel.sql.compare import ComparisonPolicy
from services.kernel.sql.judge import JudgeRequest, Verdict, judge
from services.kernel.sql.schema import Schema

SCHEMA = Schema.from_ddl(
    [
        "CREATE TABLE cust (id INTEGER PRIMARY KEY, name VARCHAR NOT NULL, city VARCHAR, email VARCHAR UNIQUE)",
        "CREATE TABLE ord (id INTEGER PRIMARY KEY, cust_id INTEGER NOT NULL REFERENCES cust(id), placed TIMESTAMP NOT"
        " NULL, qty INTEGER, tags VARCHAR[], info JSON, code VARCHAR)",
        "CREATE TABLE emp (id INTEGER PRIMARY KEY, boss INTEGER REFERENCES emp(id), sal INTEGER, dept VARCHAR,"
        " hired DATE, ok BOOLEAN)",
    ]
)
ORDERED = ComparisonPolicy(ordered=True)

DIFFERENT = {
    "length of a part": ("SELECT substring(name, 1, 3) FROM cust", "SELECT left(name, 2) FROM cust"),
    "blanks at one end": ("SELECT trim(name) FROM cust", "SELECT ltrim(name) FROM cust"),
    "a separator that comes twice": (
        "SELECT split_part(email, '@', 2) FROM cust",
        "SELECT regexp_extract(email, '@(.*)$', 1) FROM cust",
    ),
    "every occurrence": (
        "SELECT replace(name, 'a', 'b') FROM cust",
        "SELECT regexp_replace(name, 'a', 'b') FROM cust",
    ),
    "an unescaped dot": (
        r"SELECT id FROM cust WHERE regexp_matches(email, '^[a-z]+@leetcode\.com$')",
        "SELECT id FROM cust WHERE regexp_matches(email, '^[a-z]+@leetcode.com$')",
    ),
    "the same month of another year": (
        "SELECT month(placed), count(*) FROM ord GROUP BY 1",
        "SELECT month(placed), count(*) FROM ord GROUP BY date_trunc('month', placed), month(placed)",
    ),
    "boundaries between years are not years": (
        "SELECT id FROM emp WHERE date_diff('year', hired, DATE '2024-06-01') >= 5",
        "SELECT id FROM emp WHERE hired <= DATE '2024-06-01' - INTERVAL 5 YEAR",
    ),
    "a boundary given by an interval": (
        "SELECT id FROM emp WHERE hired > DATE '2024-06-01' - INTERVAL 30 DAY",
        "SELECT id FROM emp WHERE hired >= DATE '2024-06-01' - INTERVAL 30 DAY",
    ),
    "the last day's hours": (
        "SELECT id FROM ord WHERE year(placed) = 2024",
        "SELECT id FROM ord WHERE placed BETWEEN '2024-01-01' AND '2024-12-31'",
    ),
    "a key of JSON": ("SELECT info->>'$.a' FROM ord", "SELECT info->>'$.b' FROM ord"),
    "a list's members": (
        "SELECT id FROM ord WHERE list_contains(tags, 'x')",
        "SELECT id FROM ord WHERE len(tags) > 0",
    ),
    "texts that are numbers": ("SELECT id FROM ord WHERE code = 7", "SELECT id FROM ord WHERE code IN (7, 8)"),
    "a frame of days": (
        "SELECT id, sum(sal) OVER (ORDER BY hired RANGE BETWEEN INTERVAL 6 DAY PRECEDING AND CURRENT ROW) FROM emp",
        "SELECT id, sum(sal) OVER (ORDER BY hired RANGE BETWEEN INTERVAL 7 DAY PRECEDING AND CURRENT ROW) FROM emp",
    ),
    "rollup and cube": (
        "SELECT dept, ok, count(*) FROM emp GROUP BY ROLLUP (dept, ok)",
        "SELECT dept, ok, count(*) FROM emp GROUP BY CUBE (dept, ok)",
    ),
    "copies that EXCEPT ALL counts": (
        "SELECT city FROM cust EXCEPT ALL SELECT dept FROM emp",
        "SELECT city FROM cust EXCEPT SELECT dept FROM emp",
    ),
    "depth of a recursion": (
        "WITH RECURSIVE t AS (SELECT id, 0 AS d FROM emp WHERE boss IS NULL UNION ALL"
        " SELECT e.id, d + 1 FROM emp e JOIN t ON e.boss = t.id WHERE d < 10) SELECT id, d FROM t",
        "WITH RECURSIVE t AS (SELECT id, 0 AS d FROM emp WHERE boss IS NULL UNION ALL"
        " SELECT e.id, d + 1 FROM emp e JOIN t ON e.boss = t.id WHERE d < 2) SELECT id, d FROM t",
    ),
    "a scalar subquery of several rows": (
        "SELECT sal FROM emp WHERE boss IN (SELECT id FROM emp WHERE dept = 'x')",
        "SELECT sal FROM emp WHERE dept = 'x' AND boss = (SELECT id FROM emp WHERE dept = 'x')",
    ),
    "no table": ("SELECT 1", "SELECT 2"),
}
EQUIVALENT = {
    "qualify": (
        "SELECT id FROM (SELECT id, row_number() OVER (PARTITION BY dept ORDER BY sal DESC, id) AS r FROM emp)"
        " WHERE r = 1",
        "SELECT id FROM emp QUALIFY row_number() OVER (PARTITION BY dept ORDER BY sal DESC, id) = 1",
    ),
    "grouping sets": (
        "SELECT dept, count(*) FROM emp GROUP BY GROUPING SETS ((dept), ())",
        "SELECT dept, count(*) FROM emp GROUP BY dept UNION ALL SELECT NULL, count(*) FROM emp",
    ),
    "lateral": (
        "SELECT c.id, o.id FROM cust c, LATERAL (SELECT id FROM ord WHERE cust_id = c.id ORDER BY id LIMIT 1) o",
        "SELECT cust_id, min(id) FROM ord GROUP BY cust_id",
    ),
    "a comment after the semicolon": ("SELECT id FROM emp -- all", "SELECT id /* x */ FROM emp; -- done"),
    "without a table": ("SELECT 1 + 1", "SELECT 2"),
}


def verdict_on(reference: str, candidate: str, policy: ComparisonPolicy, budget_ms: int) -> Verdict:
    return judge(JudgeRequest(SCHEMA, reference, candidate, policy, budget_ms=budget_ms, explain=False))


@pytest.mark.parametrize("name", DIFFERENT)
def test_differences_in_a_feature_are_found(name: str) -> None:
    for reference, candidate in (DIFFERENT[name], DIFFERENT[name][::-1]):
        verdict = verdict_on(reference, candidate, ComparisonPolicy(), 3000)

        assert verdict.outcome == "different"
        assert verdict.counterexample is not None
        assert not list(verdict.counterexample.dataset.violations(SCHEMA))


@pytest.mark.parametrize("name", EQUIVALENT)
def test_other_forms_of_a_feature_are_accepted(name: str) -> None:
    verdict = verdict_on(*EQUIVALENT[name], ComparisonPolicy(), 150)

    assert verdict.outcome == "equivalent", verdict.counterexample


def test_order_by_all_orders_by_every_column() -> None:
    reference = "SELECT dept, id FROM emp ORDER BY ALL"

    assert verdict_on(reference, "SELECT dept, id FROM emp ORDER BY dept, id", ORDERED, 150).outcome == "equivalent"
    assert verdict_on(reference, "SELECT dept, id FROM emp ORDER BY id", ORDERED, 3000).outcome == "different"


def test_what_explains_a_verdict_is_left_out_where_nobody_asks() -> None:
    verdict = verdict_on("SELECT id FROM emp", "SELECT boss FROM emp", ComparisonPolicy(), 1000)

    assert verdict.outcome == "different"
    assert (verdict.mistakes, verdict.clause_scores, verdict.score) == ((), {}, 0.0)


def test_the_current_date_is_a_boundary_and_the_verdict_says_which_it_was() -> None:
    reference = "SELECT id FROM emp WHERE hired < CURRENT_DATE - INTERVAL 7 DAY"
    answer = "SELECT id FROM emp WHERE hired <= today() - INTERVAL 7 DAY"
    day = date(2024, 3, 4)

    verdict = judge(JudgeRequest(SCHEMA, reference, answer, budget_ms=3000, as_of=day))

    assert (verdict.outcome, verdict.as_of) == ("different", day)
    assert verdict.counterexample is not None
    assert [row["hired"] for row in verdict.counterexample.dataset.rows("emp")] == [date(2024, 2, 26)]
    assert verdict.to_json()["as_of"] == "2024-03-04"


def test_forms_of_the_current_date_are_one_and_other_queries_have_no_date() -> None:
    dated = JudgeRequest(
        SCHEMA, "SELECT id FROM emp WHERE hired = CURRENT_DATE", "SELECT id FROM emp WHERE today() = hired"
    )

    verdict = judge(JudgeRequest.from_json(dated.to_json()))

    assert verdict.outcome == "equivalent"
    assert verdict.as_of == datetime.now(UTC).date() or verdict.as_of == (datetime.now(UTC) - timedelta(days=1)).date()
    assert verdict_on("SELECT id FROM emp", "SELECT boss FROM emp", ComparisonPolicy(), 1000).as_of is None
