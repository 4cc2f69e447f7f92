"""The data sets that have a name: `pa` and `stream`."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from services.generator.datasets import product_analytics, streaming
from services.generator.datasets.sampling import seeded
from services.kernel.errors import PermanentError
from services.kernel.sql.dataset import Dataset
from services.kernel.sql.schema import Schema

MIN_ROWS: Final = 1_000
MAX_ROWS: Final = 1_000_000


class UnknownDataType(PermanentError):
    code = "unknown_data_type"


@dataclass(frozen=True)
class _Source:
    ddl: Sequence[str]
    tables: Callable[[random.Random, int], dict[str, list[dict[str, Any]]]]


_SOURCES: Final = {
    "pa": _Source(product_analytics.DDL, product_analytics.tables),
    "stream": _Source(streaming.DDL, streaming.tables),
}
DATA_TYPES: Final = tuple(_SOURCES)


def build(data_type: str, seed: int, rows: int = 2_000) -> tuple[Schema, Dataset]:
    """The data set of this name with about `rows` rows over all its tables; the same for the same arguments everywhere.

    Raises UnknownDataType for another name than `pa` or `stream`, PermanentError when `rows` is not between 1,000 and
    1,000,000.
    """
    source = _SOURCES.get(data_type)
    if source is None:
        raise UnknownDataType(f"there is no data set {data_type!r}; choose one of: {', '.join(DATA_TYPES)}")
    if not MIN_ROWS <= rows <= MAX_ROWS:
        raise PermanentError(f"rows must be between {MIN_ROWS:,} and {MAX_ROWS:,}, not {rows:,}", code="invalid_rows")
    tables = source.tables(seeded(data_type, seed, rows), rows)
    return Schema.from_ddl(source.ddl), Dataset(tables, name=f"{data_type}-{seed}-{rows}")
