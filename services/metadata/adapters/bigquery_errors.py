"""What google-cloud-bigquery raises, as errors of this platform, typed by remedy."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, TypeVar

from services.kernel.errors import PermanentError, TransientError
from services.metadata.ports import TableGone

T = TypeVar("T")

_BUSY: Final = frozenset(
    {"quotaExceeded", "rateLimitExceeded", "jobRateLimitExceeded", "backendError", "jobBackendError"}
)


def translated(what: str, call: Callable[[], T]) -> T:
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
        raise PermanentError(f"{what}: no credentials for BigQuery: {error}", code="bigquery_credentials") from error
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
