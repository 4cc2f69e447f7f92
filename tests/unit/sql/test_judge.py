"""The judge on pairs whose answer is known: graders' public failures, equal rewrites, and the verdict's contents."""

import pytest

from services.kernel.sql.compare import ComparisonPolicy
from services.kernel.sql.dataset import Dataset
from services.kernel.sql.judge import JudgeRequest, Verdict, judge
from services.kernel.sql.schema import Schema

SCHEMA = Schema.from_ddl(
    [
        "CREATE TABLE dept (id INTEGER PRIMARY KEY, name VARCHAR NOT NULL, city VARCHAR)",
        "CREATE TABLE emp (id INTEGER PRIMARY KEY, name VARCHAR NOT NULL, dept_id INTEGER REFERENCES dept(id),"
        " salary INTEGER, hired DATE NOT NULL, rate DOUBLE)",
    ]
)
ANY_ORDER = ComparisonPolicy()
ORDERED = ComparisonPolicy(ordered=True)


def verdict_on(reference: str, candidate: str, policy: ComparisonPolicy = ANY_ORDER, **more: object) -> Verdict:
    fields = {"budget_ms": 2500, "seed": 1} | more
    return judge(JudgeRequest(SCHEMA, reference, candidate, policy, **fields))  # type: ignore[arg-type]


DIFFERENT = {
    # Duplicates lost by comparing sets.
    "duplicates": ("SELECT city FROM dept", "SELECT DISTINCT city FROM dept", "needless_distinct"),
    "missing distinct": ("SELECT DISTINCT city FROM dept", "SELECT city FROM dept", "missing_distinct"),
    "boundary": (
        "SELECT id FROM emp WHERE salary >= 500",
        "SELECT id FROM emp WHERE salary > 500",
        "boundary_off_by_one",
    ),
    "boundary by one": (
        "SELECT id FROM emp WHERE salary > 7",
        "SELECT id FROM emp WHERE salary > 8",
        "boundary_off_by_one",
    ),
    "join type": (
        "SELECT d.name, e.id FROM dept d LEFT JOIN emp e ON e.dept_id = d.id",
        "SELECT d.name, e.id FROM dept d JOIN emp e ON e.dept_id = d.id",
        "wrong_join_type",
    ),
    "nulls not in": (
        "SELECT id FROM dept d WHERE NOT EXISTS (SELECT 1 FROM emp e WHERE e.dept_id = d.id)",
        "SELECT id FROM dept WHERE id NOT IN (SELECT dept_id FROM emp)",
        None,
    ),
    "nulls counted": ("SELECT count(*) FROM emp", "SELECT count(salary) FROM emp", "nulls_ignored"),
    "nulls unequal": (
        "SELECT id FROM emp WHERE salary <> 5 OR salary IS NULL",
        "SELECT id FROM emp WHERE salary <> 5",
        None,
    ),
    "ties at the top": (
        "SELECT name FROM emp WHERE salary = (SELECT max(salary) FROM emp)",
        "SELECT name FROM emp ORDER BY salary DESC NULLS LAST LIMIT 1",
        None,
    ),
    "aggregate": ("SELECT sum(salary) FROM emp", "SELECT avg(salary) FROM emp", "wrong_aggregate"),
    "having": (
        "SELECT dept_id FROM emp GROUP BY dept_id HAVING count(*) >= 3",
        "SELECT dept_id FROM emp GROUP BY dept_id HAVING count(*) > 3",
        "boundary_off_by_one",
    ),
    "columns": ("SELECT id, name FROM dept", "SELECT id FROM dept", "wrong_columns"),
    "like": ("SELECT id FROM dept WHERE name LIKE 'a%'", "SELECT id FROM dept WHERE name LIKE '%a%'", None),
    "month": (
        "SELECT id FROM emp WHERE hired >= DATE '2023-02-01' AND hired < DATE '2023-03-01'",
        "SELECT id FROM emp WHERE hired BETWEEN DATE '2023-02-01' AND DATE '2023-03-01'",
        None,
    ),
    "integer division": ("SELECT salary // 2 FROM emp", "SELECT salary / 2 FROM emp", None),
    "empty table": ("SELECT sum(salary) FROM emp", "SELECT coalesce(sum(salary), 0) FROM emp", None),
    "union all": (
        "SELECT id FROM dept UNION SELECT dept_id FROM emp",
        "SELECT id FROM dept UNION ALL SELECT dept_id FROM emp",
        None,
    ),
    "frame": (
        "SELECT id, sum(salary) OVER (ORDER BY salary) FROM emp",
        "SELECT id, sum(salary) OVER (ORDER BY salary ROWS UNBOUNDED PRECEDING) FROM emp",
        None,
    ),
    "large group": (
        "SELECT dept_id FROM emp GROUP BY dept_id HAVING count(DISTINCT salary) > 5",
        "SELECT dept_id FROM emp GROUP BY dept_id HAVING count(DISTINCT salary) > 6",
        None,
    ),
}


@pytest.mark.parametrize("name", DIFFERENT)
def test_wrong_answers_are_told_with_a_small_true_counterexample(name: str) -> None:
    reference, candidate, mistake = DIFFERENT[name]

    verdict = verdict_on(reference, candidate)

    assert verdict.outcome == "different"
    example = verdict.counterexample
    assert example is not None
    assert not list(example.dataset.violations(SCHEMA))
    assert example.dataset.row_count <= 8
    assert 0 <= verdict.score < 1
    assert verdict.mistakes
    if mistake is not None:
        assert mistake in {found.kind for found in verdict.mistakes}


EQUIVALENT = {
    "commuted join": (
        "SELECT d.name FROM dept d JOIN emp e ON e.dept_id = d.id WHERE e.salary > 3",
        "SELECT dd.name FROM emp ee, dept dd WHERE 3 < ee.salary AND dd.id = ee.dept_id",
    ),
    "exists and in on a key": (
        "SELECT id FROM dept d WHERE EXISTS (SELECT 1 FROM emp e WHERE e.dept_id = d.id)",
        "SELECT id FROM dept WHERE id IN (SELECT dept_id FROM emp)",
    ),
    "de morgan": (
        "SELECT id FROM emp WHERE NOT (salary > 3 OR name = 'a')",
        "SELECT id FROM emp WHERE salary <= 3 AND name <> 'a'",
    ),
    "cte": (
        "SELECT name FROM (SELECT name, salary FROM emp WHERE salary > 1) t WHERE salary < 9",
        "WITH t AS (SELECT * FROM emp WHERE salary < 9) SELECT name FROM t WHERE salary > 1",
    ),
    "distinct and group": ("SELECT DISTINCT city FROM dept", "SELECT city FROM dept GROUP BY 1"),
    "distinct on a key": ("SELECT id FROM emp", "SELECT DISTINCT id FROM emp"),
    "float order of addition": (
        "SELECT dept_id, sum(rate * 0.1) FROM emp GROUP BY dept_id",
        "SELECT dept_id, sum(rate) / 10 FROM emp GROUP BY dept_id",
    ),
    "rounding of a float sum": (
        "SELECT round(avg(rate * 0.1), 2) FROM emp GROUP BY dept_id",
        "SELECT CAST(avg(rate) / 10 AS DECIMAL(12, 2)) FROM emp GROUP BY dept_id",
    ),
    "having as a subquery": (
        "SELECT dept_id, count(*) FROM emp GROUP BY dept_id HAVING count(*) > 1",
        "SELECT * FROM (SELECT dept_id, count(*) AS n FROM emp GROUP BY 1) WHERE n >= 2",
    ),
    "no rows at all": ("SELECT id FROM emp WHERE 1 = 0", "SELECT id FROM emp WHERE salary > 3 AND salary < 2"),
    "both leave the tie open": (
        "SELECT name FROM emp ORDER BY salary DESC LIMIT 1",
        "SELECT name FROM (SELECT *, row_number() OVER (ORDER BY salary DESC) AS r FROM emp) WHERE r = 1",
    ),
    "any rows will do": ("SELECT name FROM emp LIMIT 2", "SELECT name FROM emp ORDER BY id DESC LIMIT 2"),
}


@pytest.mark.parametrize("name", EQUIVALENT)
def test_right_answers_of_another_form_are_accepted(name: str) -> None:
    reference, candidate = EQUIVALENT[name]

    for one, other in ((reference, candidate), (candidate, reference)):
        if name == "any rows will do" and one is candidate:
            continue  # an ordered reference is settled; its unordered rewrite is not equal to it
        verdict = verdict_on(one, other, budget_ms=700)
        assert verdict.outcome == "equivalent", verdict.counterexample
        assert verdict.score == 1


def test_order_counts_only_where_the_reference_orders_and_ties_are_free() -> None:
    reference = "SELECT name, salary FROM emp ORDER BY salary DESC"

    assert verdict_on(reference, "SELECT name, salary FROM emp ORDER BY 2", ORDERED).mistakes[0].kind == "wrong_order"
    assert verdict_on(reference, "SELECT name, salary FROM emp", budget_ms=700).outcome == "equivalent"
    unordered = verdict_on("SELECT name FROM emp", "SELECT name FROM emp ORDER BY id", ORDERED, budget_ms=700)
    assert unordered.outcome == "equivalent"
    assert unordered.remarks == ("needless_order",)


def test_the_noise_of_floats_orders_nothing() -> None:
    reference = "SELECT name, rate * 0.1 + rate * 0.2 AS r FROM emp ORDER BY r DESC, name"
    candidate = "SELECT name, round(rate * 0.3, 9) AS r FROM emp ORDER BY r DESC, name"

    assert verdict_on(reference, candidate, ORDERED, budget_ms=700).outcome == "equivalent"


def test_a_truncated_answer_is_no_rounding_noise() -> None:
    verdict = verdict_on("SELECT round(rate, 1) FROM emp", "SELECT trunc(rate * 10) / 10 FROM emp")

    assert verdict.outcome == "different"


def test_a_recursive_query_over_a_tree_is_judged() -> None:
    schema = Schema.from_ddl(["CREATE TABLE staff (id INTEGER PRIMARY KEY, boss INTEGER, pay INTEGER)"])
    chain = (
        "WITH RECURSIVE c AS (SELECT id, 1 AS level FROM staff WHERE boss IS NULL UNION ALL SELECT s.id, c.level + 1"
        " FROM staff s JOIN c ON s.boss = c.id) SELECT id, level FROM c"
    )
    off_by_one = chain.replace("1 AS level", "0 AS level")

    assert judge(JudgeRequest(schema, chain, off_by_one)).outcome == "different"
    assert (
        judge(
            JudgeRequest(
                schema,
                chain,
                chain.replace("SELECT id, level FROM c", "SELECT c.id, c.level FROM c").replace(
                    "c.level + 1", "1 + c.level"
                ),
                budget_ms=700,
            )
        ).outcome
        == "equivalent"
    )


def test_an_answer_that_leaves_to_chance_what_the_reference_settles_is_not_lucky() -> None:
    verdict = verdict_on(
        "SELECT name FROM emp ORDER BY salary DESC NULLS LAST, id LIMIT 1",
        "SELECT name FROM emp ORDER BY salary DESC NULLS LAST LIMIT 1",
    )

    assert (verdict.outcome, verdict.reason) == ("different", "by_chance")
    assert verdict.mistakes[0].kind == "ties_in_top_n"
    assert verdict.counterexample is not None
    assert verdict.counterexample.by_chance


def test_the_same_tree_is_accepted_without_running() -> None:
    verdict = verdict_on(
        "SELECT e.name AS n FROM emp AS e WHERE e.salary > 3 AND e.id IN (4)",
        "select X.NAME from EMP X where X.id = 4 and (3 < X.salary)",
    )

    assert (verdict.outcome, verdict.method, verdict.instances) == ("equivalent", "same_tree", 0)


def test_trees_that_differ_only_in_what_a_correlated_column_means_are_not_the_same() -> None:
    reference = "SELECT e.id FROM emp e WHERE e.salary = (SELECT max(f.salary) FROM emp f WHERE f.dept_id = e.dept_id)"
    candidate = "SELECT e.id FROM emp e WHERE e.salary = (SELECT max(f.salary) FROM emp f WHERE f.dept_id = f.dept_id)"

    assert verdict_on(reference, candidate).outcome == "different"
    assert verdict_on(reference, reference.replace("f.", "g.").replace("emp f", "emp g")).method == "same_tree"


def test_the_problems_own_data_decide_first_and_are_scored_one_by_one() -> None:
    dept = [{"id": n, "name": f"d{n}", "city": None} for n in range(6)]
    harmless, telling = Dataset({"dept": dept[:2]}, "base"), Dataset({"dept": dept}, "small")

    verdict = verdict_on(
        "SELECT id FROM dept WHERE id <= 4", "SELECT id FROM dept WHERE id < 4", datasets=(harmless, telling)
    )

    assert verdict.method == "dataset"
    assert [(score.name, score.agrees) for score in verdict.datasets] == [("base", True), ("small", False)]
    assert verdict.counterexample is not None
    assert [row["id"] for row in verdict.counterexample.dataset.rows("dept")] == [4]
    assert verdict.instances == 0


def test_an_error_on_the_problems_own_data_is_a_wrong_answer() -> None:
    data = Dataset({"dept": [{"id": 1, "name": "a"}, {"id": 2, "name": "b"}]}, "base")

    verdict = verdict_on("SELECT max(name) FROM dept", "SELECT (SELECT name FROM dept)", datasets=(data,))

    assert (verdict.outcome, verdict.reason) == ("different", "candidate_fails")
    assert "More than one row" in verdict.detail


@pytest.mark.parametrize(
    ("reference", "candidate", "reason"),
    [
        ("SELECT id FROM emp", "SELECT nothing FROM emp", "candidate_fails"),
        ("SELECT nothing FROM emp", "SELECT id FROM emp", "reference_fails"),
        ("SELECT id FROM emp", "SELECT FROM WHERE", "candidate_unparsable"),
    ],
)
def test_what_cannot_run_is_unsupported_and_says_which(reference: str, candidate: str, reason: str) -> None:
    verdict = verdict_on(reference, candidate)

    assert (verdict.outcome, verdict.reason) == ("unsupported", reason)
    assert verdict.detail


def test_a_query_that_never_ends_is_stopped_within_the_budget() -> None:
    endless = "WITH RECURSIVE r AS (SELECT 1 AS n UNION ALL SELECT n FROM r) SELECT count(*) FROM r"

    verdict = verdict_on("SELECT count(*) FROM emp", endless, budget_ms=1000)

    assert (verdict.outcome, verdict.reason) == ("unsupported", "candidate_fails")


def test_the_same_seed_gives_the_same_verdict() -> None:
    reference, candidate, _ = DIFFERENT["frame"]
    one, other = (verdict_on(reference, candidate, seed=5).to_json() for _ in range(2))

    for verdict in (one, other):
        assert verdict.pop("elapsed_ms") > 0
        assert verdict.pop("cpu_ms") > 0
    assert one == other
    assert (one["seed"], one["budget_ms"], one["engine"]) == (5, 2500, "duckdb 2.0.0")


def test_every_row_of_a_counterexample_is_needed() -> None:
    verdict = verdict_on(*DIFFERENT["having"][:2])
    assert verdict.counterexample is not None
    tables = verdict.counterexample.dataset.tables

    for name, rows in tables.items():
        for index in range(len(rows)):
            fewer = Dataset({**tables, name: [*rows[:index], *rows[index + 1 :]]}, "fewer")
            if any(fewer.violations(SCHEMA)):
                continue
            again = verdict_on(*DIFFERENT["having"][:2], datasets=(fewer,), search=False)
            assert again.outcome == "equivalent", f"row {index} of {name} is not needed"


def test_requests_survive_json() -> None:
    data = Dataset({"dept": [{"id": 1, "name": "a", "city": None}], "emp": []}, "base")
    request = JudgeRequest(SCHEMA, "SELECT 1", "SELECT 2", ORDERED, (data,), 3, 400, False)

    assert JudgeRequest.from_json(request.to_json()) == request
