"""What a counterexample is shrunk by: parts of it, plainer values, and how rows get into the engine."""

import datetime as dt
import random
from collections.abc import Callable
from decimal import Decimal
from uuid import UUID

import duckdb
import pytest
import sqlglot
from hypothesis import given
from hypothesis import strategies as st

from services.kernel.sql.compare import ComparisonPolicy
from services.kernel.sql.dataset import Dataset, Value, render_literal
from services.kernel.sql.judge import JudgeRequest, judge
from services.kernel.sql.judge.engine import InstanceEngine
from services.kernel.sql.judge.hints import read_hints
from services.kernel.sql.judge.instances import Instance, InstanceMaker
from services.kernel.sql.judge.layout import Layout, plan_layout
from services.kernel.sql.judge.plainer import changes
from services.kernel.sql.judge.subsets import Subsets, size_of
from services.kernel.sql.schema import Schema

SCHEMA = Schema.from_ddl(
    [
        "CREATE TABLE users (id INTEGER PRIMARY KEY, name VARCHAR, boss_id INTEGER REFERENCES users (id))",
        "CREATE TABLE orders (id INTEGER PRIMARY KEY, user_id INTEGER NOT NULL REFERENCES users (id), fee INTEGER)",
        "CREATE TABLE lines (order_id INTEGER REFERENCES orders (id), sku VARCHAR, UNIQUE (order_id, sku))",
    ]
)
QUERY = """
SELECT u.id, u.name, count(l.sku), sum(o.fee) FROM users AS u JOIN orders AS o ON o.user_id = u.id
LEFT JOIN lines AS l ON l.order_id = o.id WHERE u.boss_id IS NOT NULL GROUP BY u.id, u.name
"""


def layout_of(sql: str = QUERY, schema: Schema = SCHEMA) -> Layout:
    return plan_layout(schema, read_hints([sqlglot.parse_one(sql, read="duckdb")], schema))


def made(layout: Layout, seed: int, instances: int = 6) -> list[Instance]:
    maker = InstanceMaker(layout, [3], random.Random(seed))
    return [maker.make(maker.random_profile()) for _ in range(instances)]


def is_legal(instance: Instance) -> bool:
    return not list(Dataset(instance).violations(SCHEMA))


@given(st.integers(0, 10_000))
def test_parts_keep_every_constraint(seed: int) -> None:
    layout = layout_of()
    subsets = Subsets(layout)
    for instance in filter(is_legal, made(layout, seed)):
        parts = [*subsets.without_run(instance, 2), *subsets.of_size(instance, 2)]
        rows = [tuple(row.values()) for row in instance["users"]]
        around = subsets.around(instance, rows)
        assert all(is_legal(part) for part in [*parts, *around])
        assert all(size_of(part) < size_of(instance) for part in around)
        assert all(size_of(part) == 2 for part in subsets.of_size(instance, 2))


def test_around_a_value_are_the_rows_joined_to_it_and_no_others() -> None:
    users: list[dict[str, Value]] = [{"id": n, "name": f"u{n}", "boss_id": None} for n in range(1, 9)]
    orders: list[dict[str, Value]] = [{"id": 10 + n, "user_id": 1 + n % 8, "fee": 100 + n} for n in range(16)]
    lines: list[dict[str, Value]] = [{"order_id": 10 + n, "sku": "x"} for n in range(16)]
    instance: Instance = {"users": users, "orders": orders, "lines": lines}

    smallest = Subsets(layout_of()).around(instance, [("u3", 2)])[0]

    assert smallest["users"] == [users[2]]
    assert [row["id"] for row in smallest["orders"]] == [12, 20]
    assert [row["order_id"] for row in smallest["lines"]] == [12, 20]


@given(st.integers(0, 10_000))
def test_renamed_keys_stay_keys_and_references_follow(seed: int) -> None:
    layout = layout_of()
    for instance in filter(is_legal, made(layout, seed)):
        spread: Instance = {
            table: [
                {
                    name: value + 1_000 if isinstance(value, int) and "fee" not in name else value
                    for name, value in r.items()
                }
                for r in rows
            ]
            for table, rows in instance.items()
        }
        renames = [change for change in changes(layout, spread) if len(change.columns) > 1]
        assert all(is_legal(rename.on(spread)) for rename in renames)
        together = spread
        for rename in renames:
            together = rename.on(together)
        assert is_legal(together)
        ids = {row["id"] for row in together["users"]}
        assert len(renames) < 2 or ids & {1, 2, 3}


def test_a_key_is_renamed_only_in_columns_of_its_type() -> None:
    """``fee`` stands for a column of either table where names are resolved loosely: its group holds two types."""
    schema = Schema.from_ddl(
        ["CREATE TABLE a (id INTEGER PRIMARY KEY, born DATE)", "CREATE TABLE b (fee INTEGER, born DATE)"]
    )
    layout = layout_of("SELECT (SELECT fee FROM b WHERE born = id LIMIT 1) FROM a WHERE id = fee", schema)
    instance: Instance = {
        "a": [{"id": 77, "born": dt.date(2024, 5, 6)}],
        "b": [{"fee": 77, "born": dt.date(2024, 5, 6)}],
    }

    for change in changes(layout, instance):
        for row in (*change.on(instance)["a"], *change.on(instance)["b"]):
            assert row["born"] is None or isinstance(row["born"], dt.date)


def test_a_shrunk_counterexample_has_small_keys_and_one_row_of_each() -> None:
    users = [{"id": 40_000 + n, "name": f"name {n}", "boss_id": None} for n in range(20)]
    orders = [{"id": 900 + n, "user_id": 40_000 + n % 20, "fee": n} for n in range(40)]
    data = Dataset({"users": users, "orders": orders}, "stored")
    reference = "SELECT u.name, count(*) FROM users u JOIN orders o ON o.user_id = u.id GROUP BY u.name"
    answer = reference.replace("GROUP", "WHERE o.fee <> 7 OR o.fee IS NULL GROUP")

    verdict = judge(JudgeRequest(SCHEMA, reference, answer, datasets=(data,), budget_ms=5_000, search=False))

    assert verdict.counterexample is not None
    shown = verdict.counterexample.dataset.tables
    assert [row["id"] for row in shown["users"]] == [1]
    assert [(row["id"], row["user_id"], row["fee"]) for row in shown["orders"]] == [(1, 1, 7)]


def test_of_tied_rows_the_example_stays_small_where_plain_values_hide_the_mistake() -> None:
    """Which of two tied rows comes first may change with the values: then the rows keep the values they had."""
    names = ["organic", "search_ad", "social", "referral", "email", "ads"] * 3
    users = [{"id": n, "name": name, "boss_id": None} for n, name in enumerate(names)]
    request = JudgeRequest(
        SCHEMA,
        "SELECT name, count(*) AS n FROM users GROUP BY name ORDER BY n DESC, name",
        "SELECT name, count(*) AS n FROM users GROUP BY name ORDER BY n DESC",
        ComparisonPolicy(ordered=True),
        datasets=(Dataset({"users": users}, "stored"),),
        budget_ms=5_000,
        search=False,
    )

    verdict = judge(request)

    assert verdict.outcome == "different"
    assert verdict.counterexample is not None
    assert verdict.counterexample.dataset.row_count <= 4


VALUES: list[tuple[str, Callable[[], Value]]] = [
    ("HUGEINT", lambda: -(2**100)),
    ("DECIMAL(8, 2)", lambda: Decimal("-0.01")),
    ("DECIMAL(8, 2)", lambda: 3),
    ("DOUBLE", lambda: float("nan")),
    ("DOUBLE", lambda: -0.0),
    ("FLOAT", lambda: 0.1),
    ("VARCHAR", lambda: "it's \0 한국"),
    ("VARCHAR", lambda: Decimal("1.50")),
    ("DATE", lambda: dt.date(2020, 2, 29)),
    ("TIMESTAMP", lambda: dt.datetime.fromisoformat("2020-01-02 03:04:05.000678")),
    ("TIMESTAMP", lambda: dt.datetime(2020, 1, 2, 3, tzinfo=dt.timezone(dt.timedelta(hours=9)))),
    ("TIMESTAMPTZ", lambda: dt.datetime(2020, 1, 2, 3, tzinfo=dt.timezone(dt.timedelta(hours=9)))),
    ("TIME", lambda: dt.time(3, 4, 5)),
    ("BOOLEAN", lambda: True),
    ("BLOB", lambda: b"\x00ab"),
    ("UUID", lambda: UUID(int=5)),
    ("INTERVAL", lambda: dt.timedelta(days=40, seconds=3)),
    ("INTERVAL", lambda: dt.timedelta(seconds=-5)),
    ("INTERVAL", lambda: "3 months"),
    ("INTEGER[]", lambda: [None, 3]),
    ("DATE[]", lambda: [dt.date(2020, 1, 1)]),
    ("STRUCT(a INTEGER, b VARCHAR)", lambda: {"a": 1, "b": "x"}),
    ("JSON", lambda: '{"a": [1]}'),
]


@pytest.mark.parametrize(("column", "value"), VALUES)
def test_an_appended_value_is_what_its_literal_is(column: str, value: Callable[[], Value]) -> None:
    schema = Schema.from_ddl([f"CREATE TABLE t (id INTEGER PRIMARY KEY, v {column})"])
    shown = "SELECT id, v::VARCHAR, typeof(v) FROM t ORDER BY id"
    layout = layout_of("SELECT id, v FROM t", schema)
    with InstanceEngine(layout) as engine, duckdb.connect() as plain:
        plain.execute("SET TimeZone = 'UTC'")
        plain.execute(";".join(schema.ddl()))
        plain.execute(f"INSERT INTO t VALUES (1, {render_literal(value())}), (2, NULL)")
        rows: list[dict[str, Value]] = [{"id": 1, "v": value()}, {"id": 2, "v": None}]
        engine.load([{"t": rows}])

        assert engine.connection.execute(shown).fetchall() == plain.execute(shown).fetchall()


def test_rows_that_cannot_be_appended_leave_nothing_behind() -> None:
    schema = Schema.from_ddl(["CREATE TABLE t (id INTEGER PRIMARY KEY, v DATE)"])
    with InstanceEngine(layout_of("SELECT id, v FROM t", schema)) as engine:
        with pytest.raises(duckdb.Error):
            engine.load([{"t": [{"id": 1, "v": None}, {"id": 2, "v": "no date"}]}])
        engine.load([{"t": [{"id": 3, "v": None}]}])

        assert engine.connection.execute("SELECT id FROM t").fetchall() == [(3,)]
