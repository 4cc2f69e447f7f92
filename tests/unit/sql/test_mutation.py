"""Mutants of a query, and the ones that constraints make void."""

import pytest

from services.kernel.sql.mutation import make_mutants
from services.kernel.sql.mutation.mutants import NotMutable
from services.kernel.sql.schema import Schema

SCHEMA = Schema.from_ddl(
    [
        "CREATE TABLE people (id INTEGER PRIMARY KEY, town VARCHAR, age INTEGER NOT NULL)",
        """CREATE TABLE buys (buy_id INTEGER PRIMARY KEY, person_id INTEGER NOT NULL REFERENCES people (id),
           paid DECIMAL(8, 2), at TIMESTAMP NOT NULL)""",
    ]
)


def details(sql: str, operator: str, *, ordered: bool = False, schema: Schema | None = SCHEMA) -> set[str]:
    return {m.detail for m in make_mutants(sql, ordered=ordered, schema=schema) if m.operator == operator}


@pytest.mark.parametrize(
    ("sql", "operator"),
    [
        ("SELECT id FROM people WHERE age > 3", "boundary"),
        ("SELECT id FROM people WHERE town = 'a'", "comparison"),
        ("SELECT id FROM people WHERE age > 3 AND town = 'a'", "logic"),
        ("SELECT p.id, b.buy_id FROM people p LEFT JOIN buys b ON b.person_id = p.id", "join"),
        ("SELECT DISTINCT town FROM people", "distinct"),
        ("SELECT town, SUM(age) FROM people GROUP BY town", "aggregate"),
        ("SELECT AVG(paid) FROM buys", "null-handling"),
        ("SELECT town, age, COUNT(*) FROM people GROUP BY town, age", "group-by"),
        ("SELECT id, RANK() OVER (PARTITION BY town ORDER BY age) FROM people", "window"),
        ("SELECT id, SUM(age) OVER (ORDER BY id ROWS BETWEEN 2 PRECEDING AND CURRENT ROW) FROM people", "window-frame"),
        ("SELECT id FROM people ORDER BY age DESC, id LIMIT 3", "ordering"),
        ("SELECT id FROM people ORDER BY age LIMIT 3", "limit"),
        ("SELECT DATE_TRUNC('week', at) FROM buys", "date"),
        ("SELECT id FROM people UNION ALL SELECT person_id FROM buys", "set-operation"),
    ],
)
def test_every_operator_finds_its_place(sql: str, operator: str) -> None:
    assert details(sql, operator)


def test_mutants_are_distinct_and_differ_from_the_query() -> None:
    sql = "SELECT town, COUNT(*) FROM people WHERE age BETWEEN 1 AND 9 GROUP BY town HAVING COUNT(*) > 1"
    texts = [m.sql for m in make_mutants(sql, ordered=False)]
    assert len(texts) == len(set(texts)) > 8
    assert make_mutants(sql, ordered=False) == make_mutants(sql, ordered=False)
    assert len(make_mutants(sql, ordered=False, limit=5)) == 5


def test_free_order_is_not_mutated() -> None:
    sql = "SELECT id, age FROM people ORDER BY age, id"
    assert details(sql, "ordering", ordered=True)
    assert not details(sql, "ordering", ordered=False)


@pytest.mark.parametrize("join", ["JOIN", "INNER JOIN", "LEFT OUTER JOIN"])
def test_a_mutated_join_is_one_that_a_database_knows(join: str) -> None:
    sql = f"SELECT p.id, b.buy_id FROM people p {join} buys b ON b.person_id = p.id"
    made = [mutant.sql for mutant in make_mutants(sql, ordered=False) if mutant.operator == "join"]
    assert made
    for mutant in made:
        words = [word for word in ("LEFT", "RIGHT", "FULL", "INNER") if f"{word} " in mutant]
        assert len(words) <= 1, mutant


@pytest.mark.parametrize(
    ("sql", "operator", "void"),
    [
        ("SELECT id, age FROM people", "distinct", "with DISTINCT"),
        ("SELECT b.buy_id, p.town FROM buys b JOIN people p ON b.person_id = p.id", "join", "INNER -> LEFT"),
        ("SELECT p.town FROM people p LEFT JOIN buys b ON b.person_id = p.id", "join", "LEFT -> FULL"),
        ("SELECT AVG(age) FROM people", "null-handling", "AVG(age) -> AVG(COALESCE(age, 0))"),
        ("SELECT RANK() OVER (PARTITION BY town ORDER BY id) FROM people", "window", "RANK() -> ROW_NUMBER()"),
    ],
)
def test_changes_that_constraints_make_void_are_left_out(sql: str, operator: str, void: str) -> None:
    assert void in details(sql, operator, schema=None)
    assert void not in details(sql, operator)


@pytest.mark.parametrize(
    ("sql", "operator", "kept"),
    [
        ("SELECT town FROM people", "distinct", "with DISTINCT"),
        ("SELECT p.town FROM people p JOIN buys b ON b.person_id = p.id", "join", "INNER -> LEFT"),
        ("SELECT p.id FROM people p JOIN buys b ON b.person_id = p.id", "distinct", "with DISTINCT"),
        ("SELECT AVG(paid) FROM buys", "null-handling", "AVG(paid) -> AVG(COALESCE(paid, 0))"),
        (
            "SELECT AVG(p.age) FROM buys b LEFT JOIN people p ON p.id = b.buy_id",
            "null-handling",
            "AVG(p.age) -> AVG(COALESCE(p.age, 0))",
        ),
        ("SELECT RANK() OVER (PARTITION BY town ORDER BY age) FROM people", "window", "RANK() -> ROW_NUMBER()"),
    ],
)
def test_changes_that_can_matter_are_kept(sql: str, operator: str, kept: str) -> None:
    assert kept in details(sql, operator)


@pytest.mark.parametrize("sql", ["SELEC 1", "DROP TABLE people", "SELECT 1; SELECT 2"])
def test_only_one_query_has_mutants(sql: str) -> None:
    with pytest.raises(NotMutable):
        make_mutants(sql, ordered=False)


def test_what_is_grouped_by_changes_wherever_it_stands() -> None:
    weekly = "CAST(DATE_TRUNC('week', at) AS DATE)"
    sql = f"SELECT {weekly} AS w, COUNT(*) FROM buys WHERE DATE_TRUNC('week', at) > at GROUP BY {weekly} ORDER BY 1"
    mutants = [m.sql for m in make_mutants(sql, ordered=False, schema=SCHEMA) if m.operator == "date"]
    assert sorted(m.count("'MONTH'") for m in mutants) == [1, 2]
    banded = "SELECT CASE WHEN age > 30 THEN 'old' ELSE 'young' END AS band, COUNT(*) FROM people GROUP BY {0}"
    case = "CASE WHEN age > 30 THEN 'old' ELSE 'young' END"
    boundary = [
        m.sql for m in make_mutants(banded.format(case), ordered=False, schema=SCHEMA) if m.operator == "boundary"
    ]
    assert [sql.count("age >= 30") for sql in boundary if "age >= 30" in sql] == [2]
