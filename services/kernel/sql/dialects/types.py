"""What type an expression of a BigQuery statement has, as far as a rule may rely on it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Final, Literal

if TYPE_CHECKING:
    from sqlglot import exp

    from services.kernel.sql.schema import Schema

Family = Literal[
    "integer", "float", "decimal", "string", "bytes", "boolean", "date", "datetime", "timestamp", "unknown"
]

# sqlglot's type names; DuckDB's TIMESTAMP is GoogleSQL's DATETIME, its TIMESTAMP WITH TIME ZONE is TIMESTAMP.
_FAMILIES: Final[Mapping[str, Family]] = {
    **dict.fromkeys(("TINYINT", "SMALLINT", "INT", "BIGINT", "INT128", "UTINYINT", "USMALLINT", "UINT"), "integer"),
    **dict.fromkeys(("FLOAT", "DOUBLE"), "float"),
    **dict.fromkeys(("DECIMAL", "BIGDECIMAL"), "decimal"),
    **dict.fromkeys(("CHAR", "VARCHAR", "NCHAR", "NVARCHAR", "TEXT"), "string"),
    **dict.fromkeys(("BINARY", "VARBINARY", "BLOB"), "bytes"),
    "BOOLEAN": "boolean",
    "DATE": "date",
    **dict.fromkeys(("TIMESTAMP", "DATETIME", "TIMESTAMPNTZ"), "datetime"),
    **dict.fromkeys(("TIMESTAMPTZ", "TIMESTAMPLTZ"), "timestamp"),
}


def family_of(data_type: exp.DataType) -> Family:
    return _FAMILIES.get(getattr(data_type.this, "name", ""), "unknown")


class Types:
    """Types by column name: of the schema's columns and of the statement's aliases.

    A name that stands for two types anywhere in the statement counts as unknown, which costs a trip to BigQuery and
    never a wrong answer.
    """

    def __init__(self, tree: exp.Expr, schema: Schema | None) -> None:
        from sqlglot import exp

        self._by_name: dict[str, exp.DataType | None] = {}
        for table in schema.tables if schema is not None else ():
            for column in table.columns:
                self._add(column.name, exp.DataType.build(column.type, dialect="duckdb"))
        # Aliases may be built on aliases of inner queries, which come later in a walk from the outside in.
        for alias in reversed(list(tree.find_all(exp.Alias))):
            if not (isinstance(alias.this, exp.Column) and alias.this.name.lower() == alias.alias.lower()):
                self._add(alias.alias, self._type_of(alias.this))
        for table_alias in tree.find_all(exp.TableAlias):
            for renamed in table_alias.columns:
                self._add(renamed.name, None)

    def of(self, expression: exp.Expr | None) -> Family:
        if expression is None:
            return "unknown"
        found = self._type_of(expression)
        return "unknown" if found is None else family_of(found)

    def _add(self, name: str, data_type: exp.DataType | None) -> None:
        key = name.lower()
        if key in self._by_name and self._by_name[key] != data_type:
            data_type = None
        self._by_name[key] = data_type

    def _type_of(self, expression: exp.Expr) -> exp.DataType | None:
        """sqlglot's own inference, on a copy whose columns are replaced by typed NULLs."""
        from sqlglot import exp
        from sqlglot.optimizer.annotate_types import annotate_types

        if any(isinstance(node, exp.Query) for node in expression.walk()):
            return None
        copy = exp.Paren(this=expression.copy())
        for column in list(copy.find_all(exp.Column)):
            known = self._by_name.get(column.name.lower())
            if known is None:
                return None
            column.replace(exp.Cast(this=exp.Null(), to=known.copy()))
        found = annotate_types(copy, dialect="bigquery").type
        return found if isinstance(found, exp.DataType) else None
