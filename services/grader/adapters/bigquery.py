"""GoogleSQL through google-cloud-bigquery: statements that bring their own rows, tried dry before they run.

The client blocks, so every call runs in a thread.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, TypeVar

from services.grader.ports import GoogleSqlRows
from services.kernel.errors import PermanentError, TransientError
from services.kernel.sql.dataset import encode_value
from services.kernel.sql.sandbox.errors import LimitExceeded, TaskFailed

if TYPE_CHECKING:
    from google.cloud.bigquery import Client

T = TypeVar("T")

# BigQuery's type names in a result's schema -> DuckDB's.
_TYPES: Final = {
    "INTEGER": "BIGINT",
    "INT64": "BIGINT",
    "FLOAT": "DOUBLE",
    "FLOAT64": "DOUBLE",
    "NUMERIC": "DECIMAL(38, 9)",
    "BIGNUMERIC": "DECIMAL(38, 9)",
    "STRING": "VARCHAR",
    "BOOLEAN": "BOOLEAN",
    "BOOL": "BOOLEAN",
    "DATE": "DATE",
    "DATETIME": "TIMESTAMP",
    "TIMESTAMP": "TIMESTAMP WITH TIME ZONE",
    "TIME": "TIME",
}
_BUSY: Final = frozenset({"quotaExceeded", "rateLimitExceeded", "jobRateLimitExceeded", "backendError"})


class BigQueryEngine:
    """``project``: where jobs run; nothing of its data is read. ``emulated``: BIGQUERY_EMULATOR_HOST leads elsewhere.

    ``max_bytes``: what one statement may be billed for (0 are expected). ``timeout``: seconds for one statement.
    ``client``: to use instead of opening one.
    """

    def __init__(
        self,
        project: str,
        *,
        max_bytes: int,
        timeout: float,
        location: str = "",
        emulated: bool = False,
        client: Client | None = None,
    ) -> None:
        self._project, self._location = project, location
        self._max_bytes, self._timeout = max_bytes, timeout
        self._client = client
        self._opening = threading.Lock()
        self.emulated = emulated
        self.name = "bqemulator" if emulated else "bigquery"

    async def run(self, sql: str, max_rows: int) -> GoogleSqlRows:
        """See ``ports.GoogleSql``."""
        return await asyncio.to_thread(_translated, lambda: self._checked_run(sql, max_rows))

    async def close(self) -> None:
        if self._client is not None:
            await asyncio.to_thread(self._client.close)

    def _checked_run(self, sql: str, max_rows: int) -> GoogleSqlRows:
        from google.cloud.bigquery import QueryJobConfig

        tried = self._open().query(
            sql, job_config=QueryJobConfig(dry_run=True, use_query_cache=False), job_retry=None, timeout=self._timeout
        )
        if tried.statement_type not in (None, "SELECT") or tried.referenced_tables:
            raise PermanentError("an answer may only read its own rows", code="not_read_only")
        if (tried.total_bytes_processed or 0) > self._max_bytes:
            raise PermanentError(
                f"the statement would process {tried.total_bytes_processed:,} bytes of {self._max_bytes:,} allowed",
                code="too_many_bytes",
            )
        config = QueryJobConfig(
            maximum_bytes_billed=self._max_bytes,
            job_timeout_ms=int(self._timeout * 1_000),
            use_query_cache=False,
            labels={"service": "querycraft-grader"},
        )
        job = self._open().query(sql, job_config=config, job_retry=None, timeout=self._timeout)
        found = job.result(timeout=self._timeout, job_retry=None, max_results=max_rows + 1)
        return _rows(found, max_rows)

    def _open(self) -> Client:
        with self._opening:
            if self._client is None:
                from google.auth.credentials import AnonymousCredentials
                from google.cloud.bigquery import Client

                credentials = AnonymousCredentials() if self.emulated else None
                self._client = Client(project=self._project, location=self._location or None, credentials=credentials)
            return self._client


def _rows(found: Any, max_rows: int) -> GoogleSqlRows:
    nested = [field.name for field in found.schema if field.mode == "REPEATED" or field.field_type not in _TYPES]
    if nested:
        raise PermanentError(
            f"columns {', '.join(nested)}: lists, structs and bytes are not compared here", code="unsupported_construct"
        )
    rows = [[encode_value(value) for value in row.values()] for row in found]
    if len(rows) > max_rows:
        raise LimitExceeded("rows")
    return GoogleSqlRows([field.name for field in found.schema], [_TYPES[f.field_type] for f in found.schema], rows)


def _translated(call: Callable[[], T]) -> T:
    """The library's errors become ours, typed by remedy; what is wrong with the statement is the learner's to read."""
    import concurrent.futures

    from google.api_core import exceptions as api
    from google.auth.exceptions import GoogleAuthError
    from requests.exceptions import RequestException

    try:
        return call()
    except api.BadRequest as error:
        if _reason(error) in ("stopped", "timeout"):
            raise LimitExceeded("cpu") from error
        message = str(error.message)[:2_000]
        raise TaskFailed("database", message, {"exception_type": "BigQuery", "exception_message": message}) from error
    except concurrent.futures.TimeoutError as error:
        raise LimitExceeded("cpu", "BigQuery did not answer in time") from error
    except (api.Forbidden, api.TooManyRequests) as error:
        if _reason(error) in _BUSY or isinstance(error, api.TooManyRequests):
            raise TransientError(f"BigQuery is busy: {error.message}", code="bigquery_busy") from error
        raise PermanentError(f"BigQuery refuses: {error.message}", code="bigquery_refused") from error
    except api.ClientError as error:
        raise PermanentError(f"BigQuery refuses: {error.message}", code="bigquery_refused") from error
    except (api.GoogleAPIError, GoogleAuthError, RequestException, ConnectionError) as error:
        raise TransientError(
            f"BigQuery is out of reach: {error or type(error).__name__}", code="bigquery_unavailable"
        ) from error


def _reason(error: Any) -> str:
    return str(error.errors[0].get("reason", "")) if error.errors else ""
