"""BigQuery, storage and models fail: the cache that was there stays, the run says why, the next one recovers."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from google.api_core import exceptions as api
from google.cloud.bigquery import SchemaField
from requests.exceptions import ReadTimeout

from contracts import manifest
from contracts.alerts import AlertRaised
from contracts.jobs import JobFailed, JobRequested, JobSucceeded, JobType
from contracts.metadata import MetadataRefreshed
from services.kernel.errors import TransientError
from services.kernel.jobs.worker import JobRoute, Worker
from services.kernel.metadata_cache import MetadataCache, TableMetadata, VersionedStorage, WriteConflict
from services.metadata.adapters.bigquery import BigQueryWarehouse
from services.metadata.adapters.cache import StoredCache
from services.metadata.domain.events import Hint, HintKind
from services.metadata.domain.tables import Described, TableId
from services.metadata.handlers import Refreshing, refresh_metadata
from services.metadata.ports import CachedTable, TableGone
from tests.integration.metadata.conftest import Workshop
from tests.integration.metadata.test_refreshing import orders
from tests.support.gcs_stub import gcs_stub
from tests.support.services import UNCLOSED, broker_of, delivery_of, emitted, job_requested, let_go_of_sockets

pytestmark = pytest.mark.filterwarnings(UNCLOSED)

REQUESTS = next(s for s in manifest.subscriptions_of("metadata") if s.message is JobRequested)


class Failing:
    """A port that raises ``error`` from ``method`` and otherwise does what the real one does."""

    def __init__(self, real: Any, method: str, error: Exception, times: int = 10_000) -> None:
        self._real, self._method, self._error, self._left = real, method, error, times

    def __getattr__(self, name: str) -> Any:
        if name != self._method or not self._left:
            return getattr(self._real, name)
        self._left -= 1

        async def fail(*_: Any) -> Any:
            raise self._error

        return fail


async def change(workshop: Workshop) -> TableMetadata:
    """A cached table that has changed since; what the cache says of it."""
    orders(workshop)
    await workshop.refresh()
    workshop.run(f"CREATE OR REPLACE TABLE {workshop.table('orders').quoted} (id INT64, note STRING)")
    cached = await workshop.cached("orders")
    assert cached is not None
    return cached


BIGQUERY_FAILURES: list[tuple[Exception, str]] = [
    (api.Forbidden("Access Denied", errors=[{"reason": "accessDenied"}]), "bigquery_refused"),
    (api.Forbidden("Quota exceeded", errors=[{"reason": "quotaExceeded"}]), "bigquery_busy"),
    (api.TooManyRequests("slow down"), "bigquery_busy"),
    (api.NotFound("Not found: Dataset some-project:shop"), "dataset_not_found"),
    (api.ServiceUnavailable("backend"), "bigquery_unavailable"),
    (ReadTimeout("read timed out"), "bigquery_unavailable"),
]


class Raising:
    """A client whose method ``call`` raises."""

    def __init__(self, client: Any, call: str, raised: Exception) -> None:
        self._client, self._call, self._raised = client, call, raised

    def __getattr__(self, name: str) -> Any:
        if name != self._call:
            return getattr(self._client, name)

        def fail(*_: Any, **__: Any) -> Any:
            raise self._raised

        return fail


@pytest.mark.parametrize("call", ["get_table", "query"])
async def test_bigquery_fails_and_recovers(workshop: Workshop, monkeypatch: pytest.MonkeyPatch, call: str) -> None:
    before = await change(workshop)
    real: Callable[[BigQueryWarehouse], Any] = BigQueryWarehouse._open
    for raised, code in BIGQUERY_FAILURES:
        with monkeypatch.context() as patched:
            patched.setattr(BigQueryWarehouse, "_open", lambda self, error=raised: Raising(real(self), call, error))
            report = await workshop.refresh()
        assert {error.code for error in report.failures.values()} == {code}, raised
        assert await workshop.cached("orders") == before, f"the old cache stays as it was after {raised!r}"
    assert (await MetadataCache(workshop.objects).table(str(workshop.table("orders")))).state == "fresh"
    assert (await workshop.refresh()).changes == {"changed": 1}


@pytest.mark.parametrize("method", ["table", "write", "write_index"])
async def test_storage_fails_and_recovers(workshop: Workshop, method: str) -> None:
    await change(workshop)
    down = TransientError("storage is out of reach", code="storage_unavailable")
    if method == "write_index":
        with pytest.raises(TransientError):
            await workshop.refresh(cache=Failing(workshop.cache, method, down))
    else:
        report = await workshop.refresh(cache=Failing(workshop.cache, method, down))
        assert {error.code for error in report.failures.values()} == {"storage_unavailable"}
    told = len(await emitted(workshop.database, MetadataRefreshed))
    report = await workshop.refresh()
    assert not report.failed
    cached = await workshop.cached("orders")
    assert cached is not None
    assert list(cached.table.paths()) == ["id", "note"]
    [entry] = (await workshop.cache.index()).index.tables.values()
    assert entry.fingerprint == cached.fingerprint
    messages = await emitted(workshop.database, MetadataRefreshed)
    assert len(messages) > told, "what may not have been told is told again"
    assert messages[-1].fingerprint == cached.fingerprint


async def test_a_conflict_is_read_and_decided_again(workshop: Workshop) -> None:
    await change(workshop)
    report = await workshop.refresh(cache=Failing(workshop.cache, "write", WriteConflict("412"), times=2))
    assert (report.changes, report.failures) == ({"changed": 1}, {})


async def test_conflicts_without_end_are_a_failure(workshop: Workshop) -> None:
    await change(workshop)
    report = await workshop.refresh(cache=Failing(workshop.cache, "write", WriteConflict("412")))
    assert {error.code for error in report.failures.values()} == {"write_conflict"}


@pytest.fixture
async def strict_cache(monkeypatch: pytest.MonkeyPatch, workshop: Workshop) -> AsyncIterator[StoredCache]:
    """On a server that enforces preconditions, which the emulator does not."""
    with gcs_stub() as stub:
        monkeypatch.setenv("STORAGE_EMULATOR_HOST", stub.url)
        objects = VersionedStorage("cache", workshop.project)
        yield StoredCache(objects, "cache")
        await objects.close()
        let_go_of_sockets()


async def test_a_slow_refresher_never_overwrites_a_newer_result(workshop: Workshop, strict_cache: StoredCache) -> None:
    """It read the table before the change, and comes to writing after another one has written the change."""
    orders(workshop)
    await workshop.refresh(cache=strict_cache)
    has_read, may_go_on = asyncio.Event(), asyncio.Event()

    class Slow(BigQueryWarehouse):
        async def describe(self, table: TableId) -> Described:
            described = await super().describe(table)
            has_read.set()
            await may_go_on.wait()
            return described

    slow_one = Slow(workshop.project, emulator=True)
    slow = asyncio.create_task(workshop.refresh(warehouse=slow_one, cache=strict_cache, force=True))
    await has_read.wait()
    workshop.run(f"CREATE OR REPLACE TABLE {workshop.table('orders').quoted} (id INT64, note STRING)")
    await workshop.refresh(cache=strict_cache)
    may_go_on.set()
    assert not (await slow).failed, "it met the newer result and read the table again"
    await slow_one.close()
    cached = await strict_cache.table(workshop.table("orders"))
    assert cached is not None
    assert list(cached.metadata.table.paths()) == ["id", "note"]


async def test_many_refreshers_at_once_lose_no_table_of_the_index(
    workshop: Workshop, strict_cache: StoredCache
) -> None:
    names = [f"t{number}" for number in range(6)]
    for name in names:
        workshop.create(name, [SchemaField("id", "INTEGER")])
    reports = await asyncio.gather(
        *(workshop.refresh(workshop.table(name), cache=strict_cache) for name in names), return_exceptions=True
    )
    # One that met too many others at the index says so, and the next run makes up for it.
    assert [r for r in reports if isinstance(r, BaseException) and not isinstance(r, WriteConflict)] == []
    await workshop.refresh(cache=strict_cache)
    assert set((await strict_cache.index()).index.tables) == {str(workshop.table(name)) for name in names}


async def test_a_broken_object_is_written_anew(workshop: Workshop) -> None:
    orders(workshop)
    await workshop.refresh()
    found = await workshop.cache.table(workshop.table("orders"))
    assert isinstance(found, CachedTable)
    name = f"{workshop.project}/shop/orders.json"
    await workshop.objects.replace(name, b"{broken", found.generation, {})
    assert (await workshop.refresh(workshop.table("orders"))).changes == {"created": 1}
    assert await workshop.cached("orders") is not None


async def test_one_bad_table_costs_the_others_nothing(workshop: Workshop) -> None:
    orders(workshop)
    for name in ("a", "b", "c"):
        workshop.create(name, [SchemaField("id", "INTEGER")])

    class OneRefused(BigQueryWarehouse):
        async def describe(self, table: TableId) -> Described:
            if table.table == "b":
                raise TransientError("BigQuery is out of reach", code="bigquery_unavailable")
            return await super().describe(table)

    refusing = OneRefused(workshop.project, emulator=True)
    report = await workshop.refresh(warehouse=refusing)
    await refusing.close()
    assert (report.changes, list(report.failures)) == ({"created": 3}, [str(workshop.table("b"))])
    assert (await workshop.refresh()).changes == {"created": 1, "unchanged": 3}


@pytest.fixture
async def worker(workshop: Workshop) -> AsyncIterator[Callable[..., Worker]]:
    async with broker_of(workshop.database) as broker:

        def make(**replaced: Any) -> Worker:
            ports = Refreshing(workshop.reconciler(**replaced), workshop.scope)

            async def run(context: Any) -> Any:
                return await refresh_metadata(context, ports)

            return Worker(JobRoute(REQUESTS, {JobType.METADATA_REFRESH: run}), broker, workshop.database)

        yield make


async def test_a_job_says_what_it_did(workshop: Workshop, worker: Callable[..., Worker]) -> None:
    orders(workshop)
    request = job_requested("metadata_refresh", "Refresh the metadata of every table")
    assert await worker().dispatch(delivery_of(request)) == "ack"
    [ended] = await emitted(workshop.database, JobSucceeded)
    assert '"status":"success"' in ended.result
    assert '"updated":1' in ended.result


async def test_a_job_that_reached_nothing_fails_with_the_reason_and_is_tried_again(
    workshop: Workshop, worker: Callable[..., Worker]
) -> None:
    orders(workshop)
    down = TransientError("BigQuery is out of reach", code="bigquery_unavailable")
    request = job_requested("metadata_refresh", "everything")
    broken = worker(warehouse=Failing(workshop.warehouse, "describe", down))
    assert [await broken.dispatch(delivery_of(request, attempt)) for attempt in (1, 2, 3)] == ["nack", "nack", "ack"]
    [failed] = await emitted(workshop.database, JobFailed)
    assert (failed.error_code, failed.retryable) == ("bigquery_unavailable", True)
    assert str(workshop.table("orders")) not in failed.error_message or "out of reach" in failed.error_message
    assert {alert.alert_type for alert in await emitted(workshop.database, AlertRaised)} == {"job_failed"}


async def test_a_job_for_what_is_out_of_scope_fails_at_once(workshop: Workshop, worker: Callable[..., Worker]) -> None:
    request = job_requested("metadata_refresh", {"tables": ["other-project.secret.salaries"]})
    assert await worker().dispatch(delivery_of(request)) == "ack"
    [failed] = await emitted(workshop.database, JobFailed)
    assert (failed.error_code, failed.retryable) == ("out_of_scope", False)
    assert "other-project.secret.salaries" in failed.error_message


async def test_a_hint_whose_refresh_fails_waits_and_comes_again(workshop: Workshop) -> None:
    orders(workshop)
    await workshop.hints.add([Hint(workshop.table("orders"), HintKind.CHANGED)], 0.0)
    down = TransientError("BigQuery is out of reach", code="bigquery_unavailable")
    assert await workshop.hint_worker(warehouse=Failing(workshop.warehouse, "describe", down)).work() == 1
    assert await workshop.hint_worker().work() == 0, "not at once"
    [alert] = await emitted(workshop.database, AlertRaised)
    assert (alert.alert_type, alert.about) == ("metadata_refresh_failed", str(workshop.table("orders")))
    assert "TransientError" in alert.stack_trace
    await workshop.database.execute("UPDATE table_hints SET due_at = now()")
    assert await workshop.hint_worker().work() == 1
    assert await workshop.cached("orders") is not None
    assert await workshop.database.pool.fetchval("SELECT count(*) FROM table_hints") == 0


async def test_a_table_deleted_while_it_is_read_is_gone_for_good(workshop: Workshop) -> None:
    orders(workshop)
    await workshop.refresh()
    gone = Failing(workshop.warehouse, "describe", TableGone("gone"))
    report = await workshop.refresh(workshop.table("orders"), warehouse=gone)
    assert report.changes == {"deleted": 1}
    assert (await workshop.cache.index()).index.tables == {}
