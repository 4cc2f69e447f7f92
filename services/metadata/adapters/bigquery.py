"""BigQuery through google-cloud-bigquery. The client blocks, so every call runs in a thread."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final, TypeVar

from services.kernel.errors import PermanentError, TransientError
from services.kernel.metadata_cache import Column, Partitioning, TableSchema
from services.metadata.adapters import listing, profiles
from services.metadata.domain.tables import DatasetId, Described, Listed, Profiled, TableId, Trial
from services.metadata.ports import TableGone
from services.metadata.tally import count

if TYPE_CHECKING:
    from google.cloud.bigquery import Client

T = TypeVar("T")

_BUSY: Final = frozenset(
    {"quotaExceeded", "rateLimitExceeded", "jobRateLimitExceeded", "backendError", "jobBackendError"}
)
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
        pages = await asyncio.to_thread(lambda: self._translated(str(dataset), lambda: self._pages(sql)))
        reader = listing.Reader(dataset)
        while (page := await asyncio.to_thread(_next_of, pages, self._translated, str(dataset))) is not None:
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
            schema=_schema_of(table, found),
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
        return await asyncio.to_thread(self._translated, what, call)

    async def close(self) -> None:
        if self._client is not None:
            await asyncio.to_thread(self._client.close)

    @staticmethod
    def _translated(what: str, call: Callable[[], T]) -> T:
        """The library's errors become ours, typed by remedy."""
        import concurrent.futures

        from google.api_core import exceptions as api
        from google.auth.exceptions import DefaultCredentialsError, GoogleAuthError
        from requests.exceptions import RequestException

        try:
            return call()
        except api.NotFound as error:
            raise _not_found(what, error) from error
        except (api.TooManyRequests, api.Forbidden) as error:
            if isinstance(error, api.Forbidden) and _reason(error) not in _BUSY:
                raise PermanentError(f"{what}: BigQuery refuses: {error.message}", code="bigquery_refused") from error
            raise TransientError(f"{what}: BigQuery is busy: {error.message}", code="bigquery_busy") from error
        except api.BadRequest as error:
            raise WrongSql(str(error.message)[:2_000], _reason(error)) from error
        except api.ClientError as error:
            raise PermanentError(f"{what}: BigQuery refuses: {error.message}", code="bigquery_refused") from error
        except DefaultCredentialsError as error:
            raise PermanentError(
                f"{what}: no credentials for BigQuery: {error}", code="bigquery_credentials"
            ) from error
        except (
            api.GoogleAPIError,
            GoogleAuthError,
            RequestException,
            ConnectionError,
            concurrent.futures.TimeoutError,
        ) as error:
            raise TransientError(
                f"{what}: BigQuery is out of reach: {error or type(error).__name__}", code="bigquery_unavailable"
            ) from error


class WrongSql(PermanentError):
    """BigQuery read the statement and refuses it. ``reason``: its stable name for why."""

    code = "wrong_sql"

    def __init__(self, message: str, reason: str) -> None:
        super().__init__(message)
        self.reason = reason


def _reason(error: Any) -> str:
    return str(error.errors[0].get("reason", "")) if error.errors else ""


def _not_found(what: str, error: Any) -> PermanentError:
    said = str(error.message)
    # "Not found: Dataset ..." may be a wrong name or a lost permission: no reason to forget its tables.
    if "not found: dataset" in said.lower() or "not found: project" in said.lower():
        return PermanentError(f"{what}: {said}", code="dataset_not_found")
    return TableGone(f"{what}: {said}")


def _next_of(pages: Iterator[Sequence[Any]], translated: Callable[..., Any], what: str) -> Sequence[Any] | None:
    found: Sequence[Any] | None = translated(what, lambda: next(pages, None))
    return found


def _schema_of(table: TableId, found: Any) -> TableSchema:
    return TableSchema(
        table_id=str(table),
        columns=tuple(_column_of(field) for field in found.schema),
        description=found.description or "",
        table_type=found.table_type or "TABLE",
        partitioning=_partitioning_of(found),
        clustering=tuple(found.clustering_fields or ()),
    )


def _column_of(field: Any) -> Column:
    return Column(
        name=field.name,
        type=_API_NAMES.get(field.field_type, field.field_type),
        mode=field.mode or "NULLABLE",
        description=field.description or "",
        fields=tuple(_column_of(inner) for inner in field.fields),
    )


# The API answers either spelling, depending on how the table was made.
_API_NAMES: Final = {"INT64": "INTEGER", "FLOAT64": "FLOAT", "BOOL": "BOOLEAN", "STRUCT": "RECORD"}


def _partitioning_of(found: Any) -> Partitioning | None:
    required = bool(getattr(found, "require_partition_filter", False))
    if found.time_partitioning is not None:
        by_time = found.time_partitioning
        return Partitioning(column=by_time.field or "", kind=by_time.type_ or "DAY", filter_required=required)
    if found.range_partitioning is not None:
        return Partitioning(column=found.range_partitioning.field or "", kind="RANGE", filter_required=required)
    return None
