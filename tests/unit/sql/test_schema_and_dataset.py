"""Schemas from DDL, data sets through JSON and into DuckDB, constraints checked without it."""

from datetime import date, datetime, time, timedelta
from decimal import Decimal
from uuid import UUID

import duckdb
import pytest

from services.kernel.sql.dataset import Dataset, InvalidDataset
from services.kernel.sql.results import ResultSet
from services.kernel.sql.schema import ForeignKey, InvalidSchema, Schema

DDL = [
    'CREATE TABLE "emp" (id INT PRIMARY KEY, dept INT REFERENCES dept(no), mail TEXT UNIQUE, boss INT,'
    " FOREIGN KEY (boss) REFERENCES emp(id), CHECK (id > 0))",
    "CREATE TABLE dept (no INTEGER, name VARCHAR NOT NULL, PRIMARY KEY (no))",
]


def test_ddl_is_read_wherever_constraints_stand_and_tables_are_put_in_order() -> None:
    schema = Schema.from_ddl(DDL)

    assert [table.name for table in schema.tables] == ["dept", "emp"]
    emp = schema.table("EMP")
    assert emp.primary_key == ("id",)
    assert emp.unique == (("mail",),)
    assert emp.foreign_keys == (ForeignKey(("dept",), "dept", ("no",)), ForeignKey(("boss",), "emp", ("id",)))
    assert emp.checks == ("id > 0",)
    assert [column.type for column in emp.columns] == ["INTEGER", "INTEGER", "VARCHAR", "INTEGER"]
    assert schema.table("dept").is_required("name")
    assert schema.table("dept").is_required("no")


def test_ddl_and_json_say_the_same() -> None:
    schema = Schema.from_ddl(DDL)

    assert Schema.from_json(schema.to_json()) == schema
    assert Schema.from_ddl(schema.ddl()) == schema


@pytest.mark.parametrize(
    "statement", ["SELECT 1", "CREATE TABLE", "CREATE TABLE a AS SELECT 1", "CREATE TABLE a (b INT REFERENCES c(d))"]
)
def test_what_is_no_table_is_named(statement: str) -> None:
    with pytest.raises(InvalidSchema):
        Schema.from_ddl([statement])


TYPED = {
    "d": date(2024, 2, 29),
    "ts": datetime.fromisoformat("2024-02-29 23:59:59.123456"),
    "t": time(1, 2, 3),
    "n": Decimal("12345.67"),
    "f": float("inf"),
    "b": b"\x00'\xff",
    "s": "it's \\ 한글 \U0001f600",
    "l": [1, None, 3],
    "m": {"x": 1, "y": "z'"},
    "u": UUID(int=7),
    "h": 2**120,
    "i": timedelta(days=2, microseconds=5),
    "o": True,
}
TYPED_DDL = (
    "CREATE TABLE v (d DATE, ts TIMESTAMP, t TIME, n DECIMAL(10, 2), f DOUBLE, b BLOB, s VARCHAR, l INTEGER[],"
    " m STRUCT(x INTEGER, y VARCHAR), u UUID, h HUGEINT, i INTERVAL, o BOOLEAN)"
)


def test_every_type_survives_json_and_loading() -> None:
    schema = Schema.from_ddl([TYPED_DDL])
    dataset = Dataset({"v": [TYPED, {"d": None}]})
    again = Dataset.from_json(dataset.to_json(), schema)
    connection = duckdb.connect()

    again.load(connection, schema)

    assert again.rows("v")[0] == TYPED
    rows = ResultSet.fetch(connection, "SELECT * FROM v").rows
    assert dict(zip(TYPED, rows[0], strict=True)) == TYPED
    assert set(rows[1]) == {None}


def test_json_written_for_others_loads_as_it_stands() -> None:
    """What leaves the project is cast back by DuckDB alone, from plain JSON values."""
    schema = Schema.from_ddl(["CREATE TABLE v (d DATE, n DECIMAL(10, 2), f DOUBLE, b BLOB, i INTERVAL)"])
    plain = Dataset({"v": [{key: TYPED[key] for key in "dnfbi"}]}).to_json()["v"][0]
    connection = duckdb.connect()
    connection.execute(schema.ddl()[0])

    connection.execute("INSERT INTO v VALUES (?, ?, ?, ?, ?)", list(plain.values()))

    assert connection.execute("SELECT * FROM v").fetchall() == [tuple(TYPED[key] for key in "dnfbi")]


def test_broken_constraints_are_found_as_duckdb_finds_them() -> None:
    schema = Schema.from_ddl(DDL)
    rows = {
        "dept": [{"no": 1, "name": None}],
        "emp": [
            {"id": 1, "dept": 2, "mail": "a", "boss": 1},
            {"id": 1, "dept": None, "mail": "a", "boss": None},
            {"id": 2, "dept": 1, "mail": None, "boss": None},
            {"id": 3, "dept": 1, "mail": None, "boss": None},
        ],
    }

    found = {(v.kind, v.table, v.columns, v.row) for v in Dataset(rows).violations(schema)}

    assert found == {
        ("not_null", "dept", ("name",), 0),
        ("unique", "emp", ("id",), 1),
        ("unique", "emp", ("mail",), 1),
        ("foreign_key", "emp", ("dept",), 0),
    }


def test_unknown_names_and_values_are_refused() -> None:
    schema = Schema.from_ddl(DDL)

    for data in ({"nobody": []}, {"dept": [{"nothing": 1}]}):
        with pytest.raises(InvalidDataset):
            Dataset.from_json(data, schema)
    with pytest.raises(InvalidDataset, match="cannot hold"):
        Dataset.from_json({"v": [{"d": "yesterday"}]}, Schema.from_ddl([TYPED_DDL]))


def test_reading_stops_at_the_row_cap_and_says_so() -> None:
    connection = duckdb.connect()

    capped = ResultSet.fetch(connection, "SELECT * FROM range(10)", max_rows=3)

    assert (len(capped.rows), capped.truncated) == (3, True)
    assert not ResultSet.fetch(connection, "SELECT * FROM range(3)", max_rows=3).truncated
