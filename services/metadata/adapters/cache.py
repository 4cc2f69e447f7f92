"""The cache's objects in Cloud Storage."""

from __future__ import annotations

import logging

from pydantic import ValidationError

from services.kernel.metadata_cache import Index, Stored, TableMetadata, VersionedObjects, object_name
from services.kernel.metadata_cache.documents import INDEX_OBJECT
from services.kernel.metadata_cache.objects import ABSENT
from services.metadata.domain.tables import TableId
from services.metadata.ports import CachedIndex, CachedTable

_logger = logging.getLogger(__name__)


class StoredCache:
    def __init__(self, objects: VersionedObjects, bucket: str) -> None:
        self._objects = objects
        self._bucket = bucket

    async def table(self, table: TableId) -> CachedTable | None:
        name = object_name(str(table))
        stored = await self._objects.fetch(name)
        if not isinstance(stored, Stored):
            return None
        try:
            return CachedTable(TableMetadata.model_validate_json(stored.data), stored.generation)
        except ValidationError as error:
            self._broken(name, error)
            empty = TableMetadata.model_validate({"generated_at": "1970-01-01T00:00:00Z", "schema": _bare(table)})
            return CachedTable(empty, stored.generation)

    async def write(self, metadata: TableMetadata, generation: int) -> int:
        name = object_name(metadata.table.table_id)
        return await self._objects.replace(name, metadata.to_bytes(), generation, metadata.object_metadata())

    async def remove(self, table: TableId, generation: int) -> None:
        await self._objects.remove(object_name(str(table)), generation)

    async def index(self) -> CachedIndex:
        stored = await self._objects.fetch(INDEX_OBJECT)
        if not isinstance(stored, Stored):
            return CachedIndex(Index(), ABSENT)
        try:
            return CachedIndex(Index.model_validate_json(stored.data), stored.generation)
        except ValidationError as error:
            self._broken(INDEX_OBJECT, error)
            return CachedIndex(Index(), stored.generation)

    async def write_index(self, index: Index, generation: int) -> int:
        written = {"generated_at": index.generated_at.isoformat() if index.generated_at else ""}
        return await self._objects.replace(INDEX_OBJECT, index.to_bytes(), generation, written)

    def uri(self, table: TableId) -> str:
        return f"gs://{self._bucket}/{object_name(str(table))}"

    def _broken(self, name: str, error: ValidationError) -> None:
        _logger.error(
            "gs://%s/%s is broken (%d wrong fields) and will be written anew",
            self._bucket,
            name,
            error.error_count(),
            extra={"action": "metadata.broken_object"},
        )


def _bare(table: TableId) -> dict[str, str]:
    return {"table_id": str(table)}
