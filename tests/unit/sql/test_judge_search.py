"""The search's parts: many instances at once, limits in processor time, what is always tried."""

import math
import random
import time
from datetime import date

import pytest
import sqlglot

from services.kernel.sql.compare import ComparisonPolicy
from services.kernel.sql.judge.deadline import Deadline
from services.kernel.sql.judge.engine import InstanceEngine
from services.kernel.sql.judge.hints import read_hints
from services.kernel.sql.judge.instances import InstanceMaker
from services.kernel.sql.judge.layout import plan_layout
from services.kernel.sql.judge.moments import moved
from services.kernel.sql.judge.pair import Pair
from services.kernel.sql.judge.search import LEAST, Search
from services.kernel.sql.matching import canonical
from services.kernel.sql.schema import Schema

SCHEMA = Schema.from_ddl(
    [
        "CREATE TABLE d (id INTEGER PRIMARY KEY, name VARCHAR NOT NULL)",
        "CREATE TABLE e (id INTEGER PRIMARY KEY, d_id INTEGER REFERENCES d(id), pay INTEGER, born DATE)",
    ]
)
QUERIES = [
    "SELECT d.name, count(*) FROM d LEFT JOIN e ON e.d_id = d.id GROUP BY d.name HAVING count(*) >= 1",
    "WITH e AS (SELECT d_id, pay FROM e WHERE pay > 1) SELECT sum(pay) FROM e",
    "SELECT id FROM e AS o WHERE pay = (SELECT max(pay) FROM e AS i WHERE i.d_id = o.d_id)",
    "SELECT id, sum(pay) OVER (PARTITION BY d_id ORDER BY id) FROM e",
    "WITH RECURSIVE n(v) AS (SELECT 1 UNION ALL SELECT v + 1 FROM n WHERE v < (SELECT count(*) FROM e))"
    " SELECT v FROM n",
    "SELECT id FROM d EXCEPT SELECT d_id FROM e -- a comment at the end",
    "SELECT id, pay FROM e ORDER BY pay DESC, id LIMIT 2",
]
LIMIT = Deadline(math.inf, math.inf)


def parts(reference: str, candidate: str, policy: ComparisonPolicy) -> tuple[InstanceEngine, Pair, InstanceMaker]:
    trees = [sqlglot.parse_one(sql, read="duckdb") for sql in (reference, candidate)]
    hints = read_hints(trees, SCHEMA)
    layout = plan_layout(SCHEMA, hints)
    maker = InstanceMaker(layout, sorted(hints.sizes), random.Random(3))
    return InstanceEngine(layout), Pair(reference, trees[0], candidate, trees[1], policy), maker


@pytest.mark.parametrize("query", QUERIES)
def test_a_batch_gives_what_each_instance_gives_by_itself(query: str) -> None:
    engine, pair, maker = parts(query, query, ComparisonPolicy(ordered=True))
    with engine:
        engine.load([maker.make(maker.random_profile()) for _ in range(30)])
        alone = [pair.run(engine, slot, LIMIT) for slot in range(30)]
        together = pair.run_on_all(engine, range(30), LIMIT)

    rows = 0
    for slot, run in enumerate(alone):
        assert run.expected is not None
        seen = together[slot]
        assert seen.expected is not None
        assert seen.difference is None
        rows += len(run.expected.rows)
        assert sorted(map(repr, map(canonical, seen.expected.rows))) == sorted(
            map(repr, map(canonical, run.expected.rows))
        )
    assert rows >= 30


def test_the_least_is_tried_when_no_time_is_left_at_all() -> None:
    engine, pair, maker = parts("SELECT id FROM e", "SELECT id FROM e WHERE id = id", ComparisonPolicy())
    with engine:
        found = Search(engine, pair, maker, random.Random(3)).run(Deadline(0.0, math.inf), 2 * LEAST + 1000)

    assert found.instance is None
    assert found.ended_by == "cpu"
    assert LEAST <= found.tried < 2 * LEAST


def test_limits_are_told_apart() -> None:
    assert Deadline(math.inf, time.monotonic()).passed == "wall"
    assert Deadline(time.process_time(), math.inf).passed == "cpu"
    assert Deadline.after(60).passed == ""
    assert Deadline(math.inf, math.inf).sooner(5).cpu < math.inf
    assert Deadline(0.0, 0.0).later(60).passed == ""


def test_a_recursive_query_is_given_trees() -> None:
    query = (
        "WITH RECURSIVE t AS (SELECT id, d_id FROM e UNION ALL SELECT t.id, e.d_id FROM t JOIN e ON e.id = t.d_id)"
        " SELECT count(*) FROM t"
    )
    hints = read_hints([sqlglot.parse_one(query, read="duckdb")], SCHEMA)
    layout = plan_layout(SCHEMA, hints)

    assert hints.recursive
    assert any(table.climbs == (("d_id", "id"),) for table in layout.tables)


@pytest.mark.parametrize(
    ("sql", "day"),
    [
        ("INTERVAL 30 DAY", date(2024, 2, 1)),
        ("INTERVAL 1 MONTH", date(2024, 2, 2)),
        ("INTERVAL 1 YEAR", date(2023, 3, 2)),
        ("2", date(2024, 2, 29)),
        ("x", None),
    ],
)
def test_dates_are_moved_as_the_engine_moves_them(sql: str, day: date | None) -> None:
    assert moved("2024-03-02", sqlglot.parse_one(sql, read="duckdb"), -1) == day
