"""Base data sets in the sandbox: fetched once, dropped when others are wanted, never while in use."""

import asyncio
import uuid
from collections.abc import AsyncIterator

import pytest

from services.generator.adapters.composing import to_parquet
from services.kernel.base_sets import BaseSets
from services.kernel.errors import PermanentError
from services.kernel.sql.dataset import Dataset
from services.kernel.sql.sandbox.errors import TaskFailed
from services.kernel.sql.sandbox.pool import SandboxPool
from services.kernel.sql.schema import Schema
from services.kernel.storage import GoogleCloudStorage, ObjectNotFound, table_object
from tests.support.services import UNCLOSED

pytestmark = pytest.mark.filterwarnings(UNCLOSED)
SCHEMA = Schema.from_ddl(["CREATE TABLE t (n INTEGER)", 'CREATE TABLE "빈 표" (x DATE)'])
TABLES = [table.name for table in SCHEMA.tables]


class CountingStore:
    """The real store, with the reads counted."""

    def __init__(self, objects: GoogleCloudStorage) -> None:
        self._objects = objects
        self.reads = 0

    async def read(self, uri: str) -> bytes:
        self.reads += 1
        return await self._objects.read(uri)

    async def write_once(self, name: str, data: bytes, *, content_type: str) -> str:
        return await self._objects.write_once(name, data, content_type=content_type)


@pytest.fixture
async def pool() -> AsyncIterator[SandboxPool]:
    async with SandboxPool(1) as pool:
        yield pool


async def stored(objects: GoogleCloudStorage, number: int) -> str:
    prefix = f"datasets/{uuid.uuid4()}"
    for table, content in to_parquet(SCHEMA, Dataset({"t": [{"n": number}]})).items():
        await objects.write_once(table_object(prefix, table), content, content_type="application/vnd.apache.parquet")
    return f"gs://{objects.bucket}/{prefix}"


async def value(pool: SandboxPool, name: str) -> int:
    result = await pool.call("query", {"sql": "SELECT n FROM t", "source": {"stored": name}})
    found: int = result["rows"][0][0]
    return found


async def test_a_data_set_is_fetched_once_for_many_judgements(pool: SandboxPool, objects: GoogleCloudStorage) -> None:
    store = CountingStore(objects)
    sets = BaseSets(pool, store, held=2)
    uri = await stored(objects, 7)

    async def use() -> int:
        async with sets.using(uri, TABLES) as name:
            return await value(pool, name)

    assert await asyncio.gather(*(use() for _ in range(5))) == [7] * 5
    assert store.reads == len(TABLES)


async def test_the_least_recently_used_goes_first(pool: SandboxPool, objects: GoogleCloudStorage) -> None:
    store = CountingStore(objects)
    sets = BaseSets(pool, store, held=2)
    first, second, third = [await stored(objects, n) for n in range(3)]
    for uri in (first, second, first, third):
        async with sets.using(uri, TABLES):
            pass
    assert await value(pool, first) == 0
    with pytest.raises(TaskFailed, match="stored"):
        await value(pool, second)
    async with sets.using(second, TABLES) as name:
        assert await value(pool, name) == 1
    assert store.reads == 4 * len(TABLES)


async def test_a_data_set_in_use_is_not_dropped(pool: SandboxPool, objects: GoogleCloudStorage) -> None:
    sets = BaseSets(pool, objects, held=1)
    uris = [await stored(objects, n) for n in range(3)]
    async with sets.using(uris[0], TABLES) as name:
        for uri in uris[1:]:
            async with sets.using(uri, TABLES):
                pass
        assert await value(pool, name) == 0


async def test_what_is_missing_or_broken_is_said_and_tried_again(
    pool: SandboxPool, objects: GoogleCloudStorage
) -> None:
    sets = BaseSets(pool, objects, held=1)
    prefix = f"datasets/{uuid.uuid4()}"
    uri = f"gs://{objects.bucket}/{prefix}"
    with pytest.raises(ObjectNotFound, match=prefix):
        async with sets.using(uri, TABLES):
            pass
    for table, content in to_parquet(SCHEMA, Dataset({"t": [{"n": 5}]})).items():
        await objects.write_once(table_object(prefix, table), content, content_type="application/vnd.apache.parquet")
    async with sets.using(uri, TABLES) as name:
        assert await value(pool, name) == 5
    broken = f"datasets/{uuid.uuid4()}"
    for table in TABLES:
        await objects.write_once(table_object(broken, table), b"no parquet", content_type="text/plain")
    with pytest.raises(PermanentError, match="cannot be loaded"):
        async with sets.using(f"gs://{objects.bucket}/{broken}", TABLES):
            pass
