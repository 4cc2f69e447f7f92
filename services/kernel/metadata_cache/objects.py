"""Objects that change: read with their generation, written only over the generation that was read.

Source: https://cloud.google.com/storage/docs/request-preconditions
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol, TypeVar

from services.kernel.errors import TransientError
from services.kernel.storage import TIMEOUT_SECONDS, GoogleCloudStorage, ObjectNotFound, retry_policy, translated

T = TypeVar("T")

ABSENT = 0
"""The generation of what does not exist."""


class WriteConflict(TransientError):
    """Somebody else wrote or deleted the object since it was read: read it again and decide anew."""

    code = "write_conflict"


@dataclass(frozen=True)
class Stored:
    data: bytes
    generation: int


class NotModified:
    """The object still has the generation the reader knows."""


class VersionedObjects(Protocol):
    """Every method raises TransientError or PermanentError when storage is out of reach or refuses."""

    async def fetch(self, name: str, known: int = ABSENT) -> Stored | NotModified | None:
        """The object; NotModified while its generation is ``known``; None when there is none."""
        ...

    async def replace(self, name: str, data: bytes, generation: int, metadata: Mapping[str, str]) -> int:
        """Write over ``generation`` (``ABSENT``: create); the new one.

        Raises:
            WriteConflict: the object has another generation by now.
        """
        ...

    async def remove(self, name: str, generation: int) -> None:
        """Delete this generation; harmless when the object is gone.

        Raises:
            WriteConflict: the object has another generation by now.
        """
        ...


class VersionedStorage(GoogleCloudStorage):
    """``VersionedObjects`` in one bucket. ``content_type``: of everything written."""

    def __init__(self, bucket: str, project: str, content_type: str = "application/json; charset=utf-8") -> None:
        super().__init__(bucket, project)
        self._content_type = content_type

    async def fetch(self, name: str, known: int = ABSENT) -> Stored | NotModified | None:
        return await asyncio.to_thread(self._fetch, name, known)

    async def replace(self, name: str, data: bytes, generation: int, metadata: Mapping[str, str]) -> int:
        return await asyncio.to_thread(self._replace, name, data, generation, dict(metadata))

    async def remove(self, name: str, generation: int) -> None:
        await asyncio.to_thread(self._remove, name, generation)

    def _fetch(self, name: str, known: int) -> Stored | NotModified | None:
        from google.api_core.exceptions import NotModified as Unchanged

        def download() -> Stored | NotModified | None:
            condition = {"if_generation_not_match": known} if known != ABSENT else {}
            try:
                blob = (
                    self.open()
                    .bucket(self.bucket)
                    .get_blob(name, timeout=TIMEOUT_SECONDS, retry=retry_policy(), **condition)
                )
            except Unchanged:
                return NotModified()
            if blob is None:
                return None
            if blob.generation == known:
                return NotModified()  # an emulator may ignore the condition
            generation = int(blob.generation)  # downloading may forget it
            data = blob.download_as_bytes(if_generation_match=generation, timeout=TIMEOUT_SECONDS, retry=retry_policy())
            return Stored(data, generation)

        return self._guarded(name, download)

    def _replace(self, name: str, data: bytes, generation: int, metadata: dict[str, str]) -> int:
        def upload() -> int:
            blob = self.open().bucket(self.bucket).blob(name)
            blob.metadata = metadata
            blob.upload_from_string(
                data,
                content_type=self._content_type,
                if_generation_match=generation,
                timeout=TIMEOUT_SECONDS,
                retry=retry_policy(),
            )
            return int(blob.generation)

        return self._guarded(name, upload)

    def _remove(self, name: str, generation: int) -> None:
        def delete() -> None:
            blob = self.open().bucket(self.bucket).blob(name)
            blob.delete(if_generation_match=generation, timeout=TIMEOUT_SECONDS, retry=retry_policy())

        try:
            self._guarded(name, delete)
        except ObjectNotFound:
            return

    def _guarded(self, name: str, call: Callable[[], T]) -> T:
        from google.api_core.exceptions import PreconditionFailed

        def attempt() -> T:
            try:
                return call()
            except PreconditionFailed as error:
                raise WriteConflict(f"gs://{self.bucket}/{name} was changed by somebody else") from error

        return translated(attempt, f"gs://{self.bucket}/{name}")
