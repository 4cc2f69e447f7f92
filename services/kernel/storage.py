"""Objects in Google Cloud Storage: a small port and its one adapter.

The client library blocks, so every call runs in a thread. ``STORAGE_EMULATOR_HOST`` sends the
same client to an emulator; buckets are created by Terraform or by the emulator's start.
"""

import asyncio
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol, TypeVar
from urllib.parse import quote

from services.kernel.errors import PermanentError, TransientError

if TYPE_CHECKING:
    from google.cloud.storage import Client

T = TypeVar("T")

TIMEOUT_SECONDS = 30.0
"""For one attempt; the library retries within ``RETRY_SECONDS``."""
RETRY_SECONDS = 60.0


class ObjectNotFound(PermanentError):
    """No object (or no bucket) of this name."""

    code = "object_not_found"


class ObjectReader(Protocol):
    async def read(self, uri: str) -> bytes:
        """The bytes of a ``gs://bucket/name`` URI.

        Raises:
            ObjectNotFound: nothing is stored there.
            TransientError, PermanentError: storage is out of reach, or refuses the caller.
        """
        ...


class ObjectStore(ObjectReader, Protocol):
    async def write_once(self, name: str, data: bytes, *, content_type: str) -> str:
        """Store an object whose name says what it holds (a digest); writing it again changes nothing.

        Returns its ``gs://bucket/name`` URI.

        Raises:
            ObjectNotFound: there is no such bucket.
            TransientError, PermanentError: as for ``read``.
        """
        ...


class GoogleCloudStorage:
    """``bucket``: where ``write_once`` puts its objects; ``read`` follows any URI. Connects at first use."""

    def __init__(self, bucket: str, project: str) -> None:
        self.bucket = bucket
        self._project = project
        self._client: Client | None = None
        self._opening = threading.Lock()

    async def write_once(self, name: str, data: bytes, *, content_type: str) -> str:
        await asyncio.to_thread(self._write_once, name, data, content_type)
        return f"gs://{self.bucket}/{name}"

    async def read(self, uri: str) -> bytes:
        bucket, name = split_uri(uri)
        return await asyncio.to_thread(self._read, bucket, name)

    def _write_once(self, name: str, data: bytes, content_type: str) -> None:
        from google.api_core.exceptions import PreconditionFailed

        blob = self.open().bucket(self.bucket).blob(name)

        def upload() -> None:
            try:
                # The precondition makes the library's own retries safe, and keeps what is there.
                blob.upload_from_string(
                    data,
                    content_type=content_type,
                    if_generation_match=0,
                    timeout=TIMEOUT_SECONDS,
                    retry=retry_policy(),
                )
            except PreconditionFailed:
                return

        translated(upload, f"gs://{self.bucket}/{name}")

    def _read(self, bucket: str, name: str) -> bytes:
        blob = self.open().bucket(bucket).blob(name)

        def download() -> bytes:
            content: bytes = blob.download_as_bytes(timeout=TIMEOUT_SECONDS, retry=retry_policy())
            return content

        return translated(download, f"gs://{bucket}/{name}")

    def open(self) -> "Client":
        """The one client, connected at first use; blocking."""
        with self._opening:
            if self._client is None:
                from google.cloud.storage import Client

                self._client = Client(project=self._project)
            return self._client

    async def close(self) -> None:
        if self._client is not None:
            await asyncio.to_thread(self._client.close)


def table_object(prefix: str, table: str) -> str:
    """Where a table of a data set lies under ``prefix`` (a name or a URI): any table name makes one path segment."""
    return f"{prefix}/{quote(table, safe='')}.parquet"


def split_uri(uri: str) -> tuple[str, str]:
    """Bucket and object name of a ``gs://`` URI.

    Raises:
        PermanentError: it is no such URI.
    """
    bucket, slash, name = uri.removeprefix("gs://").partition("/")
    if not uri.startswith("gs://") or not bucket or not slash or not name:
        raise PermanentError(f"{uri!r} is not an object's URI: write gs://<bucket>/<name>", code="bad_object_uri")
    return bucket, name


def retry_policy() -> object:
    """Google's own policy for what is safe to repeat, within ``RETRY_SECONDS``."""
    from google.cloud.storage.retry import DEFAULT_RETRY

    return DEFAULT_RETRY.with_timeout(RETRY_SECONDS)


def translated(call: Callable[[], T], uri: str) -> T:
    """Run ``call``; the library's errors become ours, typed by remedy."""
    from google.api_core.exceptions import ClientError, GoogleAPIError, NotFound, TooManyRequests
    from google.auth.exceptions import DefaultCredentialsError, GoogleAuthError
    from requests.exceptions import RequestException

    try:
        return call()
    except NotFound as error:
        raise ObjectNotFound(f"{uri} is not there: {error.message}") from error
    except TooManyRequests as error:
        raise TransientError(f"{uri}: storage asks to slow down: {error.message}", code="storage_busy") from error
    except ClientError as error:
        raise PermanentError(f"{uri}: storage refuses: {error.message}", code="storage_refused") from error
    except DefaultCredentialsError as error:
        raise PermanentError(
            f"{uri}: no credentials for Google Cloud Storage; set STORAGE_EMULATOR_HOST for an emulator: {error}",
            code="storage_credentials",
        ) from error
    except (GoogleAPIError, GoogleAuthError, RequestException, ConnectionError) as error:
        raise TransientError(f"{uri}: storage is out of reach: {error}", code="storage_unavailable") from error
