"""One query that tells what a whole data set looks like: a fingerprint per table.

Source: https://cloud.google.com/bigquery/docs/information-schema-columns, -column-field-paths (descriptions and nested
fields) and -table-options; ``__TABLES__`` for when a table was made and when its data changed last, since
INFORMATION_SCHEMA.PARTITIONS refuses data sets of over 1,000 tables. What can only change by making the table anew,
such as the unit of its partitions, shows in ``creation_time``.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from typing import Any

from services.metadata.domain.tables import DatasetId, FingerprintBuilder, Listed, TableId

_COLUMNS = "c.table_name, c.column_name, c.ordinal_position, c.is_nullable, c.data_type"
_LAYOUT = "c.is_partitioning_column, c.clustering_ordinal_position"


def query(dataset: DatasetId, tables: Sequence[str], *, field_paths: bool) -> str:
    """``field_paths``: False on an emulator that lacks COLUMN_FIELD_PATHS and ``__TABLES__``."""
    schema = f"`{dataset.project}`.`{dataset.dataset}`.INFORMATION_SCHEMA"
    only = f"\nWHERE c.table_name IN ({', '.join(_literal(name) for name in tables)})" if tables else ""
    if not field_paths:
        return (
            f"SELECT {_COLUMNS}, {_LAYOUT}\nFROM {schema}.COLUMNS AS c{only}\nORDER BY c.table_name, c.ordinal_position"
        )
    return (
        f"SELECT {_COLUMNS}, {_LAYOUT}, f.field_path, f.data_type AS field_type, f.description,\n"
        "  d.option_value AS table_description, r.option_value AS filter_required, t.creation_time,\n"
        "  t.last_modified_time\n"
        f"FROM {schema}.COLUMNS AS c\n"
        # Pseudo-columns of tables partitioned by arrival have no field path.
        f"LEFT JOIN {schema}.COLUMN_FIELD_PATHS AS f\n"
        "  ON f.table_name = c.table_name AND f.column_name = c.column_name\n"
        f"LEFT JOIN {schema}.TABLE_OPTIONS AS d\n"
        "  ON d.table_name = c.table_name AND d.option_name = 'description'\n"
        f"LEFT JOIN {schema}.TABLE_OPTIONS AS r\n"
        "  ON r.table_name = c.table_name AND r.option_name = 'require_partition_filter'\n"
        f"LEFT JOIN `{dataset.project}`.`{dataset.dataset}`.__TABLES__ AS t ON t.table_id = c.table_name{only}\n"
        "ORDER BY c.table_name, c.ordinal_position, c.column_name, f.field_path"
    )


def _literal(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"


class Reader:
    """Turns rows, ordered by table, into one ``Listed`` per table, holding one table at a time."""

    def __init__(self, dataset: DatasetId) -> None:
        self._dataset = dataset
        self._name = ""
        self._builder = FingerprintBuilder()
        self._modified: datetime | None = None

    def read(self, rows: Iterable[Any]) -> Iterator[tuple[TableId, Listed]]:
        for row in rows:
            facts = dict(row)
            name = str(facts.pop("table_name"))
            millis = facts.pop("last_modified_time", None)
            if name != self._name:
                yield from self.rest()
                self._name, self._builder = name, FingerprintBuilder()
            self._modified = None if millis is None else datetime.fromtimestamp(millis / 1000, UTC)
            self._builder.add(*facts.values())

    def rest(self) -> Iterator[tuple[TableId, Listed]]:
        if self._name:
            yield (
                TableId(self._dataset.project, self._dataset.dataset, self._name),
                Listed(self._builder.digest(), self._modified),
            )
            self._name = ""
