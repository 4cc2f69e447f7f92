"""Trusted data sets on their way to the zygote, as anonymous files that cost no copy to pass on."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

from services.kernel.sql.sandbox.stored import DatasetKind


@dataclass(frozen=True, slots=True)
class DatasetFiles:
    """A data set as bytes: ``files`` maps a table's name (``rows``, ``duckdb``: one entry) to its content."""

    kind: DatasetKind
    files: Mapping[str, bytes]

    @classmethod
    def rows(cls, ddl: list[str], rows: Mapping[str, list[Mapping[str, Any]]]) -> Self:
        """CREATE TABLE statements in DuckDB's dialect and JSON-able rows; text is cast to the column's type."""
        return cls("rows", {"rows": json.dumps({"ddl": ddl, "rows": rows}).encode()})

    @classmethod
    def parquet(cls, tables: Mapping[str, bytes]) -> Self:
        return cls("parquet", dict(tables))

    @classmethod
    def duckdb(cls, database: bytes) -> Self:
        return cls("duckdb", {"database": database})


class HeldDataset:
    """The same in anonymous memory, kept for a zygote that has to be started again. ``close`` gives it back."""

    def __init__(self, source: DatasetFiles) -> None:
        self.kind = source.kind
        self.tables = tuple(source.files)
        self.descriptors: list[int] = []
        try:
            for name, content in source.files.items():
                descriptor = os.memfd_create(name[:200])
                self.descriptors.append(descriptor)
                view = memoryview(content)
                while view:
                    view = view[os.write(descriptor, view) :]
        except OSError:
            self.close()
            raise

    def close(self) -> None:
        while self.descriptors:
            os.close(self.descriptors.pop())
