"""A table's schema as the API describes it, as the cache's documents hold it."""

from __future__ import annotations

from typing import Any, Final

from services.kernel.metadata_cache import Column, Partitioning, TableSchema
from services.metadata.domain.tables import TableId


def schema_of(table: TableId, found: Any) -> TableSchema:
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
