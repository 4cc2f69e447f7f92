"""The cache of tables' metadata as its readers see it: its documents, its objects, and the loader.

Any program may load it: ``MetadataCache(VersionedStorage(bucket, project))``.
"""

from services.kernel.metadata_cache.documents import (
    Column,
    ColumnProfile,
    Example,
    Index,
    IndexEntry,
    Partitioning,
    Quality,
    Questions,
    TableMetadata,
    TableSchema,
    object_name,
)
from services.kernel.metadata_cache.loader import Loaded, MetadataCache
from services.kernel.metadata_cache.objects import Stored, VersionedObjects, VersionedStorage, WriteConflict

__all__ = [
    "Column",
    "ColumnProfile",
    "Example",
    "Index",
    "IndexEntry",
    "Loaded",
    "MetadataCache",
    "Partitioning",
    "Quality",
    "Questions",
    "Stored",
    "TableMetadata",
    "TableSchema",
    "VersionedObjects",
    "VersionedStorage",
    "WriteConflict",
    "object_name",
]
