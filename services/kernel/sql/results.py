"""What a query returned."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from services.kernel.sql.dataset import Value, encode_value

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection, Statement


@dataclass(frozen=True, slots=True)
class ResultSet:
    """``rows`` in the order returned; each row has one value per name in ``columns``; ``types`` are DuckDB's names.

    ``truncated``: the query had more rows than were asked for.
    """

    columns: tuple[str, ...]
    types: tuple[str, ...]
    rows: tuple[tuple[Value, ...], ...]
    truncated: bool = False

    @classmethod
    def fetch(cls, connection: DuckDBPyConnection, sql: str | Statement, max_rows: int | None = None) -> ResultSet:
        """Runs ``sql`` and reads at most ``max_rows`` rows (all when None); raises duckdb.Error."""
        cursor = connection.execute(sql)
        rows: Sequence[tuple[Value, ...]] = cursor.fetchall() if max_rows is None else cursor.fetchmany(max_rows + 1)
        truncated = max_rows is not None and len(rows) > max_rows
        described = cursor.description or []
        return cls(
            tuple(str(column[0]) for column in described),
            tuple(str(column[1]) for column in described),
            tuple(rows[:max_rows] if truncated else rows),
            truncated,
        )

    def to_json(self) -> dict[str, Any]:
        """``{"columns": [], "types": [], "rows": [[]], "truncated": bool}`` with values as in Dataset.to_json."""
        return {
            "columns": list(self.columns),
            "types": list(self.types),
            "rows": [[encode_value(value) for value in row] for row in self.rows],
            "truncated": self.truncated,
        }
