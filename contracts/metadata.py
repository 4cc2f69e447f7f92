"""Messages about the tables' metadata."""

from typing import ClassVar

from pydantic import AwareDatetime, Field

from contracts.message import Long, Message, Record


class ColumnChange(Record):
    column: str
    change: str = Field(description="'added', 'dropped', 'retyped', 'renamed' or 'described'.")
    before: str = ""
    after: str = ""


class MetadataRefreshed(Message):
    """What is now in the cache for one table, and what changed since the last refresh."""

    NAME: ClassVar[str] = "metadata.refreshed"
    SUBJECT: ClassVar[str] = "table_id"

    table_id: str = Field(description="project.dataset.table")
    change: str = Field(description="'created', 'changed', 'refreshed' or 'deleted'.")
    fingerprint: str
    cache_uri: str
    columns_count: Long = Field(ge=0)
    examples_count: Long = Field(ge=0)
    column_changes: list[ColumnChange] = Field(default=[])
    generated_at: AwareDatetime
