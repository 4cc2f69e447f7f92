"""The decision for one statement."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from services.kernel.sql.dialects.rewrites import rewrite
from services.kernel.sql.dialects.routing import Reason, reasons_for
from services.kernel.sql.dialects.types import Types

if TYPE_CHECKING:
    from services.kernel.sql.guard import CheckedQuery
    from services.kernel.sql.schema import Schema


@dataclass(frozen=True, slots=True)
class Translated:
    """DuckDB SQL that returns what the statement returns in BigQuery. Positions in it are not the learner's."""

    sql: str


@dataclass(frozen=True, slots=True)
class NeedsBigQuery:
    """The statement must run on BigQuery (or an emulator that speaks GoogleSQL): DuckDB could answer differently."""

    reasons: tuple[Reason, ...]


def to_duckdb(query: CheckedQuery, schema: Schema | None = None) -> Translated | NeedsBigQuery:
    """Routes a checked statement: DuckDB's own as it is, GoogleSQL translated where that is known to be right.

    ``schema``: the problem's tables with DuckDB's types; without it, what depends on types goes to BigQuery.
    """
    if query.dialect == "duckdb":
        return Translated(query.sql)
    reasons = reasons_for(query.tree, schema)
    if reasons:
        return NeedsBigQuery(reasons)
    from sqlglot.errors import ErrorLevel, UnsupportedError

    tree = rewrite(query.tree.copy(), Types(query.tree, schema))
    try:
        return Translated(tree.sql("duckdb", unsupported_level=ErrorLevel.RAISE))
    except UnsupportedError as error:
        return NeedsBigQuery((Reason("unverified", str(error)),))
