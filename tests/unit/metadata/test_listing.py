"""The listing of a data set as real BigQuery gets it: it parses, and names only what Google documents."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
import sqlglot
from sqlglot import exp
from sqlglot.optimizer.scope import traverse_scope

from services.metadata.adapters.listing import Reader, query
from services.metadata.domain.tables import DatasetId, Listed

SHOP = DatasetId("some-project", "shop")
DOCUMENTED = {
    # https://cloud.google.com/bigquery/docs/information-schema-columns
    "INFORMATION_SCHEMA.COLUMNS": {
        "table_catalog", "table_schema", "table_name", "column_name", "ordinal_position", "is_nullable", "data_type",
        "is_generated", "generation_expression", "is_stored", "is_hidden", "is_updatable", "is_system_defined",
        "is_partitioning_column", "clustering_ordinal_position", "collation_name", "column_default", "rounding_mode",
        "policy_tags",
    },
    # https://cloud.google.com/bigquery/docs/information-schema-column-field-paths
    "INFORMATION_SCHEMA.COLUMN_FIELD_PATHS": {
        "table_catalog", "table_schema", "table_name", "column_name", "field_path", "data_type", "description",
        "collation_name", "rounding_mode", "policy_tags",
    },
    # https://cloud.google.com/bigquery/docs/information-schema-table-options
    "INFORMATION_SCHEMA.TABLE_OPTIONS": {
        "table_catalog", "table_schema", "table_name", "option_name", "option_type", "option_value",
    },
    "__TABLES__": {
        "project_id", "dataset_id", "table_id", "creation_time", "last_modified_time", "row_count", "size_bytes",
        "type",
    },
}  # fmt: skip


@pytest.mark.parametrize("field_paths", [True, False])
@pytest.mark.parametrize("tables", [(), ("orders", "it's")])
def test_it_is_one_statement_on_documented_columns(tables: tuple[str, ...], field_paths: bool) -> None:
    [tree] = sqlglot.parse(query(SHOP, tables, field_paths=field_paths), read="bigquery")
    assert isinstance(tree, exp.Select)
    [scope] = traverse_scope(tree)
    views = {
        alias: ".".join(part.name for part in source.parts).removeprefix(f"{SHOP}.")
        for alias, source in scope.sources.items()
        if isinstance(source, exp.Table)
    }
    assert set(views.values()) == (set(DOCUMENTED) if field_paths else {"INFORMATION_SCHEMA.COLUMNS"})
    for column in scope.columns:
        assert column.table, f"{column} could be any table's"
        assert column.name in DOCUMENTED[views[column.table]], column.sql()
    assert {literal.name for literal in tree.find_all(exp.Literal)} >= set(tables)


def listed(*rows: dict[str, object]) -> dict[str, Listed]:
    reader = Reader(SHOP)
    return {table.table: found for table, found in [*reader.read(rows), *reader.rest()]}


ROW: dict[str, object] = {
    "table_name": "a",
    "column_name": "id",
    "field_path": "id",
    "description": None,
    "creation_time": 1,
    "last_modified_time": 1_700_000_000_000,
}


@pytest.mark.parametrize("change", [{"description": "번호"}, {"field_path": "id.x"}, {"creation_time": 2}])
def test_whatever_a_reader_relies_on_changes_the_fingerprint(change: dict[str, object]) -> None:
    assert listed(ROW)["a"].fingerprint != listed(ROW | change)["a"].fingerprint


def test_new_data_is_no_change_of_the_fingerprint_but_is_told() -> None:
    later = listed(ROW | {"last_modified_time": 1_700_000_001_500})["a"]
    assert later.fingerprint == listed(ROW)["a"].fingerprint
    assert later.modified_at == datetime.fromtimestamp(1_700_000_001.5, UTC)


def test_every_table_has_its_own_and_only_its_own_rows() -> None:
    other = ROW | {"table_name": "b", "column_name": "x"}
    assert listed(ROW, ROW | {"field_path": "z"}, other)["b"] == listed(other)["b"]
    assert list(listed()) == []
