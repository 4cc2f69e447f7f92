"""Problems made of a company's own table, as the metadata cache describes it."""

from __future__ import annotations

import json
import uuid
from datetime import UTC, datetime

import pytest

from contracts.jobs import JobFailed, JobSucceeded
from contracts.problems import ProblemPublished
from services.generator.adapters.company_tables import CachedCompanyTables
from services.generator.adapters.composing import compose
from services.kernel.database.unit_of_work import Database
from services.kernel.metadata_cache import (
    Column,
    ColumnProfile,
    TableMetadata,
    TableSchema,
    VersionedStorage,
    object_name,
)
from tests.integration.generator.conftest import MakeWorker
from tests.support.services import UNCLOSED, delivery_of, emitted, job_requested

pytestmark = pytest.mark.filterwarnings(UNCLOSED)

MASKED = ColumnProfile(distinct=800, samples=("xxx@xx.xx",), masked=True)
CITIES = ColumnProfile(null_share=0.1, distinct=3, samples=("서울", "부산", "대구"))
STATES = ColumnProfile(distinct=2, samples=("paid", "open"))
AMOUNTS = ColumnProfile(null_share=0.0, distinct=500, minimum="1.5", maximum="99.5")
NUMBERS = ColumnProfile(distinct=900, minimum="1", maximum="900")
DAYS = ColumnProfile(distinct=60, minimum="2026-01-01", maximum="2026-03-01")
BUYER = (Column(name="email", type="STRING", profile=MASKED), Column(name="city", type="STRING", profile=CITIES))
COLUMNS = (
    Column(name="order_id", type="INTEGER", mode="REQUIRED", profile=NUMBERS),
    Column(name="buyer", type="RECORD", fields=BUYER),
    Column(name="items", type="RECORD", mode="REPEATED", fields=(Column(name="sku", type="STRING"),)),
    Column(name="document", type="JSON"),
    Column(name="status", type="STRING", profile=STATES),
    Column(name="amount", type="FLOAT", profile=AMOUNTS),
    Column(name="ordered_on", type="DATE", profile=DAYS),
)


async def cached(cache: VersionedStorage, columns: tuple[Column, ...] = COLUMNS) -> str:
    table_id = f"some-project.shop.orders_{uuid.uuid4().hex[:8]}"
    table = TableMetadata(
        generated_at=datetime.now(UTC), table=TableSchema(table_id=table_id, columns=columns), row_count=900
    )
    await cache.replace(object_name(table_id), table.to_bytes(), 0, {})
    return table_id


async def test_problems_come_from_the_table(
    make_worker: MakeWorker, cache: VersionedStorage, database: Database
) -> None:
    table_id = await cached(cache)
    request = job_requested("problem_generation", {"data_type": table_id, "count": 2, "seed": 5})
    assert await make_worker(compose).dispatch(delivery_of(request)) == "ack"
    [ended] = await emitted(database, JobSucceeded)
    assert json.loads(ended.result)["published"] == 2
    problems = await emitted(database, ProblemPublished)
    name = table_id.rsplit(".", 1)[1]
    for problem in problems:
        assert problem.data_type == table_id
        [ddl] = problem.ddl
        for column in ('"order_id" BIGINT', '"buyer_city" VARCHAR', '"amount" DOUBLE', '"ordered_on" DATE'):
            assert column in ddl
        assert name in problem.reference_sql
        assert not any(absent in ddl for absent in ("items", "document"))


async def test_a_short_text_may_name_the_table(
    make_worker: MakeWorker, cache: VersionedStorage, database: Database
) -> None:
    table_id = await cached(cache)
    request = job_requested("problem_generation", f"Problems about {table_id}, please", options={"count": 1})
    await make_worker().dispatch(delivery_of(request))
    [ended] = await emitted(database, JobSucceeded)
    assert json.loads(ended.result)["data_type"] == table_id


async def test_invented_rows_look_like_the_profile(cache: VersionedStorage, tables: CachedCompanyTables) -> None:
    from services.generator.datasets.synthesis import synthesize

    table_id = await cached(cache)
    material = await tables.material(table_id)
    [table] = material.schema.tables
    rows = synthesize(material.schema, 7, 400, material.profile).rows(table.name)
    assert {row["buyer_city"] for row in rows} == {"서울", "부산", "대구", None}
    assert {row["status"] for row in rows if row["status"] is not None} == {"paid", "open"}
    assert all(1.5 <= row["amount"] <= 99.5 for row in rows if row["amount"] is not None)
    assert all("xxx@" not in str(row["buyer_email"]) for row in rows)


@pytest.mark.parametrize("columns", [(), (Column(name="document", type="JSON"),)])
async def test_tables_without_plain_columns_are_refused(
    make_worker: MakeWorker, cache: VersionedStorage, database: Database, columns: tuple[Column, ...]
) -> None:
    request = job_requested("problem_generation", {"data_type": await cached(cache, columns)})
    await make_worker(compose).dispatch(delivery_of(request))
    [failed] = await emitted(database, JobFailed)
    assert (failed.error_code, failed.retryable) == ("unsuitable_table", False)


async def test_unknown_tables_are_refused_and_an_outage_is_waited_out(
    make_worker: MakeWorker, database: Database, cache: VersionedStorage
) -> None:
    request = job_requested("problem_generation", {"data_type": "some-project.shop.nowhere"})
    await make_worker(compose).dispatch(delivery_of(request))
    [failed] = await emitted(database, JobFailed)
    assert failed.error_code == "unknown_table"
    broken = "some-project.shop.broken"
    await cache.replace(object_name(broken), b"{", 0, {})
    assert await make_worker(compose).dispatch(delivery_of(job_requested("problem_generation", broken))) == "nack"


async def test_a_refreshed_table_is_read_again(cache: VersionedStorage, tables: CachedCompanyTables) -> None:
    table_id = await cached(cache)
    assert len((await tables.material(table_id)).schema.tables[0].columns) == 6
    changed = TableMetadata(
        generated_at=datetime.now(UTC),
        table=TableSchema(table_id=table_id, columns=(Column(name="note", type="STRING"),)),
    )
    await cache.replace(object_name(table_id), changed.to_bytes(), 0, {})  # the emulator takes any generation
    assert len((await tables.material(table_id)).schema.tables[0].columns) == 6
    tables.expire(table_id)
    assert len((await tables.material(table_id)).schema.tables[0].columns) == 1
