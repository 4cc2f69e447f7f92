"""Objects by generation against a server that enforces preconditions, and the loader when storage fails."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime

import pytest

from services.kernel import storage
from services.kernel.errors import TransientError
from services.kernel.metadata_cache import (
    Example,
    MetadataCache,
    Stored,
    TableMetadata,
    TableSchema,
    VersionedStorage,
    WriteConflict,
    object_name,
)
from services.kernel.metadata_cache.objects import NotModified
from tests.support.gcs_stub import GcsStub, gcs_stub
from tests.support.services import UNCLOSED, let_go_of_sockets

pytestmark = pytest.mark.filterwarnings(UNCLOSED)

TABLE = "some-project.shop.orders"
NAME = object_name(TABLE)


@pytest.fixture
def stub(monkeypatch: pytest.MonkeyPatch) -> Iterator[GcsStub]:
    with gcs_stub() as served:
        monkeypatch.setenv("STORAGE_EMULATOR_HOST", served.url)
        monkeypatch.setattr(storage, "RETRY_SECONDS", 0.2)
        yield served


@pytest.fixture
async def objects(stub: GcsStub) -> AsyncIterator[VersionedStorage]:
    store = VersionedStorage("cache", "some-project")
    yield store
    await store.close()
    let_go_of_sockets()


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def document(count: int) -> bytes:
    examples = tuple(Example(question=f"질문 {n}", sql=f"SELECT {n}") for n in range(count))
    return TableMetadata(
        generated_at=datetime(2026, 11, 21, tzinfo=UTC), table=TableSchema(table_id=TABLE), examples=examples
    ).to_bytes()


async def test_only_the_generation_that_was_read_is_replaced(stub: GcsStub, objects: VersionedStorage) -> None:
    first = await objects.replace("a", b"1", 0, {"kind": "x"})
    with pytest.raises(WriteConflict):
        await objects.replace("a", b"2", 0, {})
    second = await objects.replace("a", b"2", first, {})
    with pytest.raises(WriteConflict):
        await objects.replace("a", b"3", first, {})
    with pytest.raises(WriteConflict):
        await objects.remove("a", first)
    assert stub.objects["a"].data == b"2"
    await objects.remove("a", second)
    await objects.remove("a", second)
    assert await objects.fetch("a") is None


async def test_an_unchanged_object_is_not_sent_again(stub: GcsStub, objects: VersionedStorage) -> None:
    generation = stub.put("a", b"1")
    stored = await objects.fetch("a")
    assert isinstance(stored, Stored)
    assert (stored.data, stored.generation) == (b"1", generation)
    stub.requests.clear()
    assert isinstance(await objects.fetch("a", generation), NotModified)
    assert len(stub.requests) == 1


async def test_passing_failures_are_tried_again(
    stub: GcsStub, objects: VersionedStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(storage, "RETRY_SECONDS", 30.0)
    stub.failures = [503]
    await objects.replace("a", b"1", 0, {})
    assert stub.objects["a"].data == b"1"


async def test_an_outage_is_transient(stub: GcsStub, objects: VersionedStorage) -> None:
    stub.always = 503
    with pytest.raises(TransientError):
        await objects.fetch("a")


async def test_an_entry_is_asked_for_once_an_hour_and_then_by_generation(
    stub: GcsStub, objects: VersionedStorage
) -> None:
    stub.put(NAME, document(1))
    clock = Clock()
    cache = MetadataCache(objects, clock=clock)
    assert len((await cache.table(TABLE)).value.examples) == 1
    stub.requests.clear()
    clock.now = 3_599
    await cache.table(TABLE)
    assert stub.requests == []
    clock.now = 3_601
    assert (await cache.table(TABLE)).state == "fresh"
    assert len(stub.requests) == 1, "not modified: metadata only"
    stub.put(NAME, document(2))
    cache.expire(TABLE)
    assert len((await cache.table(TABLE)).value.examples) == 2


async def test_concurrent_callers_share_one_request_and_one_may_leave(stub: GcsStub, objects: VersionedStorage) -> None:
    stub.put(NAME, document(1))
    cache = MetadataCache(objects)
    callers = [asyncio.create_task(cache.table(TABLE)) for _ in range(50)]
    await asyncio.sleep(0)
    callers[0].cancel()
    answers = await asyncio.gather(*callers, return_exceptions=True)
    assert isinstance(answers[0], asyncio.CancelledError)
    assert all(not isinstance(a, BaseException) and a.state == "fresh" for a in answers[1:])
    assert len(stub.requests) == 2, "one read of metadata, one of data"


async def test_stale_while_storage_fails_and_fresh_again_after(stub: GcsStub, objects: VersionedStorage) -> None:
    stub.put(NAME, document(3))
    clock = Clock()
    cache = MetadataCache(objects, clock=clock)
    await cache.table(TABLE)
    stub.always = 503
    clock.now = 4_000
    stale = await cache.table(TABLE)
    assert (stale.state, len(stale.value.examples)) == ("stale", 3)
    assert "storage" in stale.problem
    asked = len(stub.requests)
    await cache.table(TABLE)
    assert len(stub.requests) == asked, "an outage is not asked again at once"
    stub.always = 0
    clock.now += 31
    assert (await cache.table(TABLE)).state == "fresh"


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"schema": 1}', b"\xff\xfe", b'{"generated_at": "x"}'])
async def test_broken_objects_are_empty_and_valid(stub: GcsStub, objects: VersionedStorage, content: bytes) -> None:
    stub.put(NAME, content)
    loaded = await MetadataCache(objects).table(TABLE)
    assert loaded.state == "unavailable"
    assert (loaded.value.table.table_id, loaded.value.examples) == (TABLE, ())
    assert loaded.problem


@pytest.mark.parametrize("name", ["", "orders", "a.b", TABLE])
async def test_what_is_not_cached_is_empty_and_valid(objects: VersionedStorage, name: str) -> None:
    loaded = await MetadataCache(objects).table(name)
    assert (loaded.state, loaded.value.examples) == ("missing", ())
    assert (await MetadataCache(objects).index()).value.tables == {}


async def test_documents_of_newer_and_of_foreign_writers_are_read(stub: GcsStub, objects: VersionedStorage) -> None:
    foreign = (
        '{"generated_at": "2026-01-01T00:00:00Z", "future": 1,'
        '"examples": [{"question": "총 개수는?", "sql": "SELECT 1"}],'
        f'"schema": {{"table_id": "{TABLE}", "columns": [{{"name": "a", "type": "STRING", "mode": "NULLABLE",'
        ' "description": "설명"}]}}'
    )
    stub.put(NAME, foreign.encode())
    loaded = await MetadataCache(objects).table(TABLE)
    assert loaded.state == "fresh"
    assert loaded.value.table.columns[0].description == "설명"
    assert loaded.value.examples[0].question == "총 개수는?"
