"""The judge against itself: a query and its provably equal rewrites, a query and mutants that data tell apart."""

import random
from collections.abc import Callable
from datetime import date, timedelta

import duckdb
import pytest
import sqlglot
from sqlglot import exp
from sqlglot.optimizer import optimize
from sqlglot.optimizer.merge_subqueries import merge_subqueries
from sqlglot.optimizer.pushdown_predicates import pushdown_predicates
from sqlglot.optimizer.qualify import qualify
from sqlglot.optimizer.unnest_subqueries import unnest_subqueries

from services.kernel.sql.compare import ComparisonPolicy, compare
from services.kernel.sql.dataset import Dataset
from services.kernel.sql.judge import JudgeRequest, judge
from services.kernel.sql.mutation import make_mutants
from services.kernel.sql.results import ResultSet
from services.kernel.sql.schema import Schema

SCHEMA = Schema.from_ddl(
    [
        "CREATE TABLE artist (id INTEGER PRIMARY KEY, name VARCHAR NOT NULL, country VARCHAR)",
        "CREATE TABLE play (id INTEGER PRIMARY KEY, artist_id INTEGER REFERENCES artist(id), listener VARCHAR NOT NULL,"
        " seconds INTEGER, played DATE NOT NULL)",
    ]
)
QUERIES = [
    "SELECT a.name, count(*) AS n FROM artist a JOIN play p ON p.artist_id = a.id WHERE p.seconds > 30 GROUP BY a.name"
    " HAVING count(*) > 1",
    "SELECT name FROM artist WHERE country = 'KR' AND id IN (SELECT artist_id FROM play WHERE seconds >= 60)",
    "SELECT t.listener FROM (SELECT listener, sum(seconds) AS total FROM play GROUP BY listener) t WHERE t.total > 100",
    "SELECT a.name, p.listener FROM artist a LEFT JOIN play p ON p.artist_id = a.id AND p.seconds < 10",
    "SELECT DISTINCT p.listener FROM play p WHERE p.played BETWEEN DATE '2024-01-01' AND DATE '2024-01-31'",
    "SELECT id FROM play p WHERE seconds = (SELECT max(seconds) FROM play q WHERE q.listener = p.listener)",
]
TABLES = {table.name: {column.name: column.type for column in table.columns} for table in SCHEMA.tables}


def _optimized(tree: exp.Expr) -> exp.Expr:
    return optimize(tree, schema=TABLES, dialect="duckdb")


def _qualified(tree: exp.Expr) -> exp.Expr:
    return qualify(tree, schema=TABLES, dialect="duckdb")


def _after(rule: Callable[[exp.Expr], exp.Expr]) -> Callable[[exp.Expr], exp.Expr]:
    return lambda tree: rule(_qualified(tree))


def _as_cte(tree: exp.Expr) -> exp.Expr:
    return sqlglot.parse_one(f"WITH whole AS ({tree.sql('duckdb')}) SELECT * FROM whole", read="duckdb")


def _operands_swapped(tree: exp.Expr) -> exp.Expr:
    def swap(node: exp.Expr) -> exp.Expr:
        if isinstance(node, exp.And | exp.EQ):
            return type(node)(this=node.expression, expression=node.this)
        return node

    return tree.transform(swap)


def _as_subquery(tree: exp.Expr) -> exp.Expr:
    return sqlglot.parse_one(f"SELECT whole.* FROM ({tree.sql('duckdb')}) AS whole", read="duckdb")


def _joins_commuted(tree: exp.Expr) -> exp.Expr:
    """The two sources of the first join change places, an outer join its side with them."""
    mirrored = {"": "", "LEFT": "RIGHT"}
    for join in tree.find_all(exp.Join):
        source = join.parent.args["from_"] if isinstance(join.parent, exp.Select) else None
        if source is not None and join.side in mirrored:
            first, second = source.this.copy(), join.this.copy()
            source.set("this", second)
            join.set("this", first)
            join.set("side", mirrored[join.side])
            break
    return tree


def _de_morgan(tree: exp.Expr) -> exp.Expr:
    """a AND b as NOT (NOT a OR NOT b), which three-valued logic keeps."""

    def negated(node: exp.Expr) -> exp.Expr:
        if not isinstance(node, exp.And):
            return node
        either = exp.or_(exp.not_(node.this), exp.not_(node.expression))
        return exp.not_(either)

    for where in tree.find_all(exp.Where):
        where.set("this", negated(where.this))
    return tree


def _in_as_exists(tree: exp.Expr) -> exp.Expr:
    """x IN (query) as EXISTS, which is the same where a condition that is not true drops the row."""
    for node in list(tree.find_all(exp.In)):
        query = node.args.get("query")
        if query is not None:
            inner = query.this.copy()
            wanted = exp.EQ(this=inner.selects[0].unalias().copy(), expression=exp.column(node.this.name, "artist"))
            node.replace(exp.Exists(this=inner.where(wanted)))
    return tree


REWRITES: dict[str, Callable[[exp.Expr], exp.Expr]] = {
    "optimized": _optimized,
    "qualified": _qualified,
    "subqueries merged": _after(merge_subqueries),
    "predicates pushed down": _after(pushdown_predicates),
    "subqueries unnested": _after(unnest_subqueries),
    "as a CTE": _as_cte,
    "operands swapped": _operands_swapped,
    "as a subquery": _as_subquery,
    "joins commuted": _joins_commuted,
    "De Morgan": _de_morgan,
    "IN as EXISTS": _in_as_exists,
}


def _rewritten() -> list[tuple[str, str, str]]:
    """Each query with each form that its rewrite changes at all."""
    found = []
    for query in QUERIES:
        plain = sqlglot.parse_one(query, read="duckdb").sql("duckdb")
        for name, rewrite in REWRITES.items():
            text = rewrite(sqlglot.parse_one(query, read="duckdb")).sql("duckdb")
            if text != plain:
                found.append((name, query, text))
    return found


FORMS = _rewritten()


def test_every_rewrite_changes_a_query() -> None:
    assert {name for name, _, _ in FORMS} == set(REWRITES)


@pytest.mark.parametrize(("name", "query", "rewritten"), FORMS)
def test_equal_rewrites_are_accepted(name: str, query: str, rewritten: str) -> None:
    verdict = judge(JudgeRequest(SCHEMA, query, rewritten, budget_ms=150, seed=3, explain=False))

    assert verdict.outcome == "equivalent", (rewritten, verdict.counterexample)


def _data() -> Dataset:
    """Enough rows round the queries' constants to tell most mutants apart, by a generator of its own."""
    rng = random.Random(11)
    artists = [
        {"id": n, "name": rng.choice(["IU", "BTS", "Blur"]), "country": rng.choice(["KR", "GB", None])}
        for n in range(12)
    ]
    plays = [
        {
            "id": n,
            "artist_id": rng.choice([None, *range(10)]),
            "listener": rng.choice("abcdef"),
            "seconds": rng.choice([None, 0, 9, 10, 30, 31, 60, 61, 100, 101]),
            "played": date(2023, 12, 30) + timedelta(days=rng.choice([0, 1, 2, 10, 32, 33, 34])),
        }
        for n in range(60)
    ]
    return Dataset({"artist": artists, "play": plays})


@pytest.mark.parametrize(("query", "least"), list(zip(QUERIES, (4, 4, 1, 4, 1, 1), strict=True)))
def test_mutants_that_data_tell_apart_are_told_apart(query: str, least: int) -> None:
    connection = duckdb.connect()
    _data().load(connection, SCHEMA)
    expected = ResultSet.fetch(connection, query)
    told_apart = 0
    for mutant in make_mutants(query, ordered=False, schema=SCHEMA, limit=12):
        try:
            actual = ResultSet.fetch(connection, mutant.sql)
        except duckdb.Error:
            continue  # a mutant that fails on data is no wrong answer but a broken one
        if compare(expected, actual, ComparisonPolicy()) is None:
            continue
        told_apart += 1
        verdict = judge(JudgeRequest(SCHEMA, query, mutant.sql, budget_ms=2500, seed=3, explain=False))
        assert verdict.outcome == "different", mutant
        assert verdict.counterexample is not None
        assert verdict.counterexample.dataset.row_count <= 8
    connection.close()
    assert told_apart >= least
