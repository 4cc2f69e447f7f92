"""BigQuery through google-cloud-bigquery. The client blocks, so every call runs in a thread."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final, TypeVar

from services.kernel.errors import PermanentError, TransientError
from services.metadata.adapters import listing, profiles
from services.metadata.adapters.bigquery_errors import WrongSql, translated
from services.metadata.adapters.schemas import schema_of
from services.metadata.domain.tables import DatasetId, Described, Listed, Profiled, TableId, Trial
from services.metadata.ports import TableGone
from services.metadata.tally import count

if TYPE_CHECKING:
    from google.cloud.bigquery import Client

T = TypeVar("T")

_SAMPLED_ROWS: Final = 50


@dataclass(frozen=True)
class Limits:
    """``execute_bytes``: examples on a larger table are dry-run only. ``profile_bytes``: of a larger table a sample of
    about this size is profiled. ``timeout``: seconds for one request or query."""

    execute_bytes: int = 100_000_000
    profile_bytes: int = 1_000_000_000
    timeout: float = 60.0


class BigQueryWarehouse:
    """``project``: where jobs run and are paid. ``emulator``: a bqemulator that BIGQUERY_EMULATOR_HOST leads to."""

    def __init__(self, project: str, location: str = "", *, limits: Limits = Limits(), emulator: bool = False) -> None:
        self._project, self._location, self._limits, self._emulator = project, location, limits, emulator
        self._client: Client | None = None
        self._opening = threading.Lock()

    async def listing(
        self, dataset: DatasetId, tables: Collection[TableId] = ()
    ) -> AsyncIterator[tuple[TableId, Listed]]:
        count("information_schema")
        sql = listing.query(dataset, [table.table for table in tables], field_paths=not self._emulator)
        pages = await asyncio.to_thread(lambda: translated(str(dataset), lambda: self._pages(sql)))
        reader = listing.Reader(dataset)
        while (page := await asyncio.to_thread(_next_of, pages, str(dataset))) is not None:
            for found in reader.read(page):
                yield found
        for found in reader.rest():
            yield found

    def _pages(self, sql: str) -> Iterator[Sequence[Any]]:
        rows = self._query(sql, page_size=10_000)
        return (list(page) for page in rows.pages)

    async def describe(self, table: TableId) -> Described:
        count("get_table")
        read_at = datetime.now(UTC)
        found = await self._run(str(table), lambda: self._open().get_table(str(table), **self._bounds()))
        is_stored = found.table_type in ("TABLE", "SNAPSHOT", "MATERIALIZED_VIEW")
        return Described(
            schema=schema_of(table, found),
            modified_at=found.modified,
            read_at=read_at,
            row_count=found.num_rows if is_stored else None,
            size_bytes=found.num_bytes if is_stored else None,
        )

    async def profile(self, described: Described) -> Profiled:
        try:
            sampled = await self._samples(described)
            statement = profiles.query(described, self._limits.profile_bytes)
            if statement is None:
                return profiles.assembled(described, sampled, None, "")
            count("profile")
            limit = None if statement.note else self._billed(self._limits.profile_bytes)
            rows = await self._run(
                str(described.id), lambda: list(self._query(statement.sql, maximum_bytes_billed=limit))
            )
            if not rows:
                raise TransientError(
                    f"{described.id}: BigQuery answered an aggregate without a row", code="bigquery_unavailable"
                )
            return profiles.assembled(described, sampled, rows[0], statement.note)
        except PermanentError as error:
            if isinstance(error, TableGone):
                raise
            # A table one may describe but not read is still worth its schema.
            return Profiled(described.schema.columns, described.row_count, f"no profile: {error}"[:500])

    async def _samples(self, described: Described) -> list[dict[str, Any]]:
        """Rows of a stored table cost nothing to list; views have none to list, and go without samples."""
        if described.schema.table_type != "TABLE":
            return []
        count("list_rows")
        table = str(described.id)
        rows = await self._run(
            table, lambda: list(self._open().list_rows(table, max_results=_SAMPLED_ROWS, **self._bounds()))
        )
        return [dict(zip(row.keys(), row.values(), strict=False)) for row in rows]

    async def attempt(self, sql: str, described: Described) -> Trial:
        size = described.size_bytes
        if size is None or size > self._limits.execute_bytes:
            return await self._dry_run(sql)
        count("query")
        try:
            rows = await self._run(
                str(described.id),
                lambda: self._query(sql, maximum_bytes_billed=self._billed(self._limits.execute_bytes), max_results=1),
            )
        except WrongSql as error:
            if error.reason == "bytesBilledLimitExceeded":
                return await self._dry_run(sql)
            return Trial(False, error=str(error))
        return Trial(True, rows.total_rows or 0)

    async def _dry_run(self, sql: str) -> Trial:
        from google.cloud.bigquery import QueryJobConfig

        count("dry_run")
        config = QueryJobConfig(dry_run=True, use_query_cache=False)
        try:
            await self._run(
                "dry run", lambda: self._open().query(sql, job_config=config, job_retry=None, **self._bounds())
            )
        except WrongSql as error:
            return Trial(False, error=str(error))
        return Trial(True)

    def _query(self, sql: str, **options: Any) -> Any:
        from google.cloud.bigquery import QueryJobConfig

        reading = {name: options.pop(name) for name in ("page_size", "max_results") if name in options}
        config = QueryJobConfig(
            job_timeout_ms=int(self._limits.timeout * 1000),
            labels={"service": "querycraft-metadata"},
            **{name: value for name, value in options.items() if value is not None},
        )
        # jobs.insert: jobs.query of an emulator reports a failed query as an empty result.
        job = self._open().query(sql, job_config=config, job_retry=None, **self._bounds())
        return job.result(job_retry=None, **self._bounds(), **reading)

    def _billed(self, limit: int) -> int:
        return max(limit, 10_000_000)  # BigQuery bills no less for a query: https://cloud.google.com/bigquery/pricing

    def _bounds(self) -> dict[str, Any]:
        from google.cloud.bigquery import DEFAULT_RETRY

        return {"timeout": self._limits.timeout, "retry": DEFAULT_RETRY.with_timeout(self._limits.timeout)}

    def _open(self) -> Client:
        with self._opening:
            if self._client is None:
                from google.auth.credentials import AnonymousCredentials
                from google.cloud.bigquery import Client

                credentials = AnonymousCredentials() if self._emulator else None
                self._client = Client(project=self._project, location=self._location or None, credentials=credentials)
            return self._client

    async def _run(self, what: str, call: Callable[[], T]) -> T:
        return await asyncio.to_thread(translated, what, call)

    async def close(self) -> None:
        if self._client is not None:
            await asyncio.to_thread(self._client.close)


def _next_of(pages: Iterator[Sequence[Any]], what: str) -> Sequence[Any] | None:
    return translated(what, lambda: next(pages, None))
