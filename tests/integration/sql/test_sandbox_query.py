"""The task "query" over every kind of data it may be given."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import duckdb
import pytest

from services.kernel.sql.sandbox import DatasetFiles, SandboxPool, TaskFailed

DDL = [
    "CREATE TABLE orders (id INTEGER PRIMARY KEY, placed DATE, amount DECIMAL(10, 2), tags VARCHAR[], note BLOB)",
    "CREATE TABLE empty (id INTEGER)",
]
ROWS: dict[str, list[Any]] = {
    "orders": [
        {"id": 1, "placed": "2024-01-31", "amount": "12.50", "tags": ["a", "b"], "note": "\\x00\\xFF"},
        {"id": 2, "placed": None, "amount": 3, "tags": None},
    ],
    "empty": [],
}


@pytest.fixture
async def pool() -> AsyncIterator[SandboxPool]:
    async with SandboxPool(1) as pool:
        yield pool


async def ask(pool: SandboxPool, sql: str, source: dict[str, Any]) -> Any:
    return await pool.call("query", {"sql": sql, "source": source})


async def test_rows_given_with_the_call(pool: SandboxPool) -> None:
    result = await ask(pool, "SELECT * FROM orders ORDER BY id", {"ddl": DDL, "rows": ROWS})
    assert result["columns"] == ["id", "placed", "amount", "tags", "note"]
    assert result["rows"] == [[1, "2024-01-31", "12.50", ["a", "b"], "\\x00\\xFF"], [2, None, "3.00", None, None]]
    assert result["truncated"] is False


async def test_stored_rows_are_there_for_every_call_and_gone_after_drop(pool: SandboxPool) -> None:
    await pool.store("shop", DatasetFiles.rows(DDL, ROWS))
    for _ in range(3):
        assert (await ask(pool, "SELECT count(*) FROM orders", {"stored": "shop"}))["rows"] == [[2]]
    await pool.drop("shop")
    with pytest.raises(TaskFailed) as caught:
        await ask(pool, "SELECT 1", {"stored": "shop"})
    assert caught.value.code == "unknown_dataset"


async def test_storing_again_replaces(pool: SandboxPool) -> None:
    await pool.store("n", DatasetFiles.rows(["CREATE TABLE n (i INTEGER)"], {"n": [{"i": 1}]}))
    await pool.store("n", DatasetFiles.rows(["CREATE TABLE n (i INTEGER)"], {"n": [{"i": 2}]}))
    assert (await ask(pool, "SELECT i FROM n", {"stored": "n"}))["rows"] == [[2]]


async def test_parquet_and_database_files(pool: SandboxPool, tmp_path: Path) -> None:
    parquet, database = tmp_path / "t.parquet", tmp_path / "t.duckdb"
    with duckdb.connect(str(database)) as connection:
        connection.execute("CREATE TABLE t AS SELECT range AS i, 'n' || range AS name FROM range(5000)")
        connection.execute("CREATE VIEW even AS FROM t WHERE i % 2 = 0")
        connection.execute(f"COPY t TO '{parquet}'")
    await pool.store("parquet", DatasetFiles.parquet({"p one": parquet.read_bytes(), "p2": parquet.read_bytes()}))
    await pool.store("database", DatasetFiles.duckdb(database.read_bytes()))
    both = await ask(pool, 'SELECT count(*) FROM "p one" JOIN p2 USING (i)', {"stored": "parquet"})
    assert both["rows"] == [[5000]]
    assert (await ask(pool, "SELECT max(name), count(*) FROM even", {"stored": "database"}))["rows"] == [["n998", 2500]]


async def test_data_that_cannot_be_loaded_says_why_and_keeps_what_was_there(pool: SandboxPool) -> None:
    await pool.store("n", DatasetFiles.rows(["CREATE TABLE n (i INTEGER)"], {"n": [{"i": 1}]}))
    with pytest.raises(ValueError, match=r"Invalid Input Error"):
        await pool.store("n", DatasetFiles.parquet({"n": b"not a file"}))
    with pytest.raises(ValueError, match=r"'n'.*(Constraint|Conversion)"):
        await pool.store("n", DatasetFiles.rows(["CREATE TABLE n (i INTEGER)"], {"n": [{"i": "many"}]}))
    assert (await ask(pool, "SELECT i FROM n", {"stored": "n"}))["rows"] == [[1]]


async def test_a_tables_content_cannot_be_changed_for_the_next_call(pool: SandboxPool) -> None:
    await pool.store("shop", DatasetFiles.rows(DDL, ROWS))
    with pytest.raises(TaskFailed) as caught:
        await ask(pool, "DELETE FROM orders", {"stored": "shop"})
    assert caught.value.details["code"] == "not_read_only"
    assert (await ask(pool, "SELECT count(*) FROM orders", {"stored": "shop"}))["rows"] == [[2]]


async def test_an_engines_error_comes_with_its_place(pool: SandboxPool) -> None:
    with pytest.raises(TaskFailed) as caught:
        await ask(pool, "SELECT nope FROM orders", {"ddl": DDL, "rows": ROWS})
    assert caught.value.code == "database"
    assert caught.value.details["location"] == "[7,4]"


async def test_a_dynamic_pivot_runs(pool: SandboxPool) -> None:
    rows = {"s": [{"k": "a", "v": 1}, {"k": "b", "v": 2}]}
    source = {"ddl": ["CREATE TABLE s (k VARCHAR, v INTEGER)"], "rows": rows}
    result = await ask(pool, "PIVOT s ON k USING sum(v)", source)
    assert result["rows"] == [[1, 2]]
