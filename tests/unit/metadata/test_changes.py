"""What changed between two readings of a schema, and which examples read it."""

from __future__ import annotations

import pytest
import sqlglot

from services.kernel.metadata_cache import Column, Example, TableSchema
from services.metadata.domain.changes import affected, difference
from services.metadata.domain.lineage import columns_read
from services.metadata.domain.tables import fingerprint

TABLE = "`some-project.shop.orders`"


def column(name: str, kind: str = "STRING", mode: str = "NULLABLE", *fields: Column, description: str = "") -> Column:
    return Column(name=name, type=kind, mode=mode, fields=fields, description=description)


BUYER = column("buyer", "RECORD", "NULLABLE", column("email"), column("city"))
ITEMS = column("items", "RECORD", "REPEATED", column("sku"), column("qty", "INTEGER"))
BASE = (column("id", "INTEGER", "REQUIRED"), BUYER, ITEMS, column("day", "DATE"), column("amount", "FLOAT"))


def schema(*columns: Column, **facts: str) -> TableSchema:
    return TableSchema(table_id="some-project.shop.orders", columns=columns or BASE, **facts)


def told(*after: Column) -> set[tuple[str, str, str]]:
    return {(c.column, c.change, c.after) for c in difference(schema(), schema(*after)).columns}


def test_nothing_changed_is_falsy() -> None:
    assert not difference(schema(), schema())
    assert difference(schema(), schema(*BASE, description="new")).moved


def test_every_kind_of_change_is_told_by_path() -> None:
    assert told(*BASE, column("note")) == {("note", "added", "STRING")}
    assert told(*BASE[:-1]) == {("amount", "dropped", "")}
    assert told(*BASE[:-1], column("amount", "NUMERIC")) == {("amount", "retyped", "NUMERIC")}
    assert told(*BASE[:-1], column("amount", "FLOAT", "REPEATED")) == {("amount", "retyped", "ARRAY<FLOAT>")}
    assert told(*BASE[:-1], column("price", "FLOAT")) == {("amount", "renamed", "price")}
    assert told(*BASE[:-1], column("price", "STRING")) == {("amount", "dropped", ""), ("price", "added", "STRING")}
    assert told(*BASE[:-1], column("amount", "FLOAT", description="원")) == {("amount", "described", "원")}


def test_changes_inside_records_are_told_at_the_field() -> None:
    items = column("items", "RECORD", "REPEATED", column("sku"), column("quantity", "INTEGER"))
    assert told(BASE[0], BUYER, items, *BASE[3:]) == {("items.qty", "renamed", "items.quantity")}
    dropped = told(BASE[0], *BASE[2:])
    assert dropped == {(path, "dropped", "") for path in ("buyer", "buyer.email", "buyer.city")}


def test_the_fingerprint_follows_what_a_reader_relies_on() -> None:
    prints = {
        fingerprint(each)
        for each in (
            schema(),
            schema(*BASE, column("note")),
            schema(*reversed(BASE)),
            schema(*BASE, description="all orders"),
            schema(*BASE, table_type="VIEW"),
            schema(*BASE[:-1], column("amount", "FLOAT", description="원")),
        )
    }
    assert len(prints) == 6
    assert fingerprint(schema()) == fingerprint(schema(*BASE))


QUERIES: list[tuple[str, set[str]]] = [
    (f"SELECT COUNT(*) AS n FROM {TABLE}", set()),
    (f"SELECT SUM(amount) AS total FROM {TABLE} AS o WHERE o.day > DATE '2026-01-01'", {"amount", "day"}),
    (f"SELECT o.buyer.city AS c, COUNT(*) AS n FROM {TABLE} AS o GROUP BY c", {"buyer.city"}),
    (f"SELECT buyer AS b FROM {TABLE}", {"buyer"}),
    (f"SELECT buyer.* FROM {TABLE}", {"buyer"}),
    (f"SELECT i.sku, SUM(i.qty) AS n FROM {TABLE} AS o, UNNEST(o.items) AS i GROUP BY i.sku",
     {"items.sku", "items.qty"}),
    (f"SELECT (SELECT SUM(qty) FROM UNNEST(items)) AS n FROM {TABLE}", {"items.qty"}),
    (f"SELECT AVG(ARRAY_LENGTH(items)) AS n FROM {TABLE}", {"items"}),
    (f"SELECT items[OFFSET(0)].sku AS first FROM {TABLE}", {"items.sku"}),
    (f"WITH d AS (SELECT day AS amount FROM {TABLE}) SELECT MAX(amount) AS a FROM d", {"day"}),
    (f"SELECT x.id FROM (SELECT id, day FROM {TABLE}) AS x WHERE x.day IS NULL", {"id", "day"}),
    (f"SELECT id FROM {TABLE} AS o WHERE EXISTS (SELECT 1 FROM UNNEST(o.items) AS i WHERE i.qty > o.amount)",
     {"id", "items.qty", "amount"}),
    (f"SELECT ID, Amount FROM {TABLE}", {"id", "amount"}),
    (f"SELECT * FROM {TABLE}", {"id", "buyer", "items", "day", "amount"}),
    (f"SELECT id FROM {TABLE} WHERE amount = (SELECT MAX(amount) FROM {TABLE})", {"id", "amount"}),
    (f"SELECT id, ROW_NUMBER() OVER (PARTITION BY buyer.city ORDER BY day) AS r FROM {TABLE}",
     {"id", "buyer.city", "day"}),
]  # fmt: skip


@pytest.mark.parametrize(("sql", "read"), QUERIES, ids=[str(n) for n in range(len(QUERIES))])
def test_lineage_names_what_a_query_reads(sql: str, read: set[str]) -> None:
    assert set(columns_read(sqlglot.parse_one(sql, read="bigquery"), schema())) == read


@pytest.mark.parametrize(
    ("used", "broken", "is_hit"),
    [
        ("items.qty", "items.qty", True),
        ("items.qty", "items.sku", False),
        ("items", "items.sku", True),
        ("items.qty", "items", True),
        ("day", "days", False),
        ("Amount", "amount", True),
    ],
)
def test_examples_are_hit_by_changes_at_around_and_inside_what_they_read(used: str, broken: str, is_hit: bool) -> None:
    example = Example(question="?", sql="SELECT 1", columns=("id", used))
    assert affected(example, {broken}) is is_hit
