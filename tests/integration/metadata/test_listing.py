"""The listing query of real BigQuery on the emulator: what it lacks is there as tables of the documented columns."""

from __future__ import annotations

from typing import Any

import pytest
from google.cloud.bigquery import SchemaField, TimePartitioning

from services.metadata.adapters.listing import Reader, query
from services.metadata.domain.tables import DatasetId
from tests.integration.metadata.conftest import DATASET, Workshop
from tests.support.services import UNCLOSED

pytestmark = pytest.mark.filterwarnings(UNCLOSED)

FIELD_PATHS = [SchemaField(name, "STRING") for name in ("table_name", "column_name", "field_path", "data_type")]
TABLES = [SchemaField(name, "INTEGER") for name in ("creation_time", "last_modified_time")]


def stand_in(workshop: Workshop, fields: list[dict[str, Any]], tables: list[dict[str, Any]]) -> str:
    """The query, with the two views that the emulator lacks read from tables that hold these rows."""
    workshop.create("field_paths", [*FIELD_PATHS, SchemaField("description", "STRING")], fields)
    workshop.create("meta", [SchemaField("table_id", "STRING"), *TABLES], tables)
    dataset = DatasetId(workshop.project, DATASET)
    real = query(dataset, ["orders", "visits"], field_paths=True)
    return real.replace(".INFORMATION_SCHEMA.COLUMN_FIELD_PATHS", ".field_paths").replace(".__TABLES__", ".meta")


async def test_nested_fields_options_and_times_come_in_one_query(workshop: Workshop) -> None:
    buyer = SchemaField("buyer", "RECORD", fields=[SchemaField("city", "STRING")])
    # Where the emulator looks for the option; the client's own way of setting it there is deprecated.
    partitions = TimePartitioning.from_api_repr({"type": "DAY", "field": "day", "requirePartitionFilter": True})
    workshop.create("orders", [SchemaField("day", "DATE"), buyer], description="주문", time_partitioning=partitions)
    workshop.create("visits", [SchemaField("id", "INTEGER")])
    paths = [("orders", "day", "day"), ("orders", "buyer", "buyer"), ("orders", "buyer", "buyer.city")]
    sql = stand_in(
        workshop,
        [
            {"table_name": table, "column_name": column, "field_path": path, "data_type": "X", "description": "도시"}
            for table, column, path in paths
        ],
        [{"table_id": "orders", "creation_time": 1, "last_modified_time": 1_700_000_000_000}],
    )
    rows = list(workshop.bigquery.query_and_wait(sql))
    assert [(row["table_name"], row["column_name"], row["field_path"]) for row in rows] == [
        ("orders", "day", "day"),
        ("orders", "buyer", "buyer"),
        ("orders", "buyer", "buyer.city"),
        ("visits", "id", None),
    ]
    first = dict(rows[0])
    assert ("주문" in first["table_description"], first["filter_required"]) == (True, "true")
    reader = Reader(DatasetId(workshop.project, DATASET))
    found = {table.table: listed for table, listed in [*reader.read(rows), *reader.rest()]}
    assert found["orders"].modified_at is not None
    assert found["visits"].modified_at is None
