"""Rewrites that may be faster. Nothing here proves anything: the judge and the clock decide afterwards."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import date, timedelta
from typing import Final

from sqlglot import exp
from sqlglot.errors import SqlglotError
from sqlglot.optimizer import optimize
from sqlglot.optimizer.eliminate_ctes import eliminate_ctes
from sqlglot.optimizer.eliminate_joins import eliminate_joins
from sqlglot.optimizer.eliminate_subqueries import eliminate_subqueries
from sqlglot.optimizer.merge_subqueries import merge_subqueries
from sqlglot.optimizer.pushdown_predicates import pushdown_predicates
from sqlglot.optimizer.pushdown_projections import pushdown_projections
from sqlglot.optimizer.qualify import qualify
from sqlglot.optimizer.simplify import simplify
from sqlglot.optimizer.unnest_subqueries import unnest_subqueries

from services.assistant.optimization.antipatterns import needless_distinct
from services.kernel.sql.schema import Schema

MOST: Final = 6
"""Rewrites tried for one query: each costs a search by the judge."""

Rewrite = Callable[[exp.Expr, Schema], exp.Expr]


def candidates(tree: exp.Expr, schema: Schema) -> Iterator[tuple[str, str]]:
    """(what was done, SQL in DuckDB's dialect), different from the query and from each other."""
    seen = {tree.sql(dialect="duckdb")}
    made = 0
    for name, rewrite in _REWRITES:
        try:
            changed = rewrite(tree.copy(), schema)
            flat = changed.sql(dialect="duckdb")
        except (SqlglotError, ValueError, KeyError, AttributeError):
            continue  # a rule that does not fit this query offers nothing
        if flat in seen or made >= MOST:
            continue
        seen.add(flat)
        made += 1
        yield name, changed.sql(dialect="duckdb", pretty=True)


def _without_distinct(tree: exp.Expr, schema: Schema) -> exp.Expr:
    for select in tree.find_all(exp.Select):
        if needless_distinct(select, schema):
            select.set("distinct", None)
    return tree


def _ranges(tree: exp.Expr, schema: Schema) -> exp.Expr:
    """CAST(column AS DATE) = DATE 'd' and YEAR(column) = n become ranges over the bare column."""
    return tree.transform(_as_range)


def _as_range(node: exp.Expr) -> exp.Expr:
    if not isinstance(node, exp.EQ):
        return node
    bounds = _day_bounds(node.this, node.expression) or _year_bounds(node.this, node.expression)
    if bounds is None:
        return node
    column, first, after = bounds
    return exp.paren(
        exp.and_(
            exp.GTE(this=column.copy(), expression=_date(first)), exp.LT(this=column.copy(), expression=_date(after))
        )
    )


def _day_bounds(left: exp.Expr, right: exp.Expr) -> tuple[exp.Expr, date, date] | None:
    if not isinstance(left, exp.Cast | exp.Date | exp.TsOrDsToDate) or not isinstance(left.this, exp.Column):
        return None
    if isinstance(left, exp.Cast) and not left.is_type("date"):
        return None
    literal = right.this if isinstance(right, exp.Cast) else right
    if not isinstance(literal, exp.Literal) or not literal.is_string:
        return None
    day = date.fromisoformat(literal.name)
    return left.this, day, day + timedelta(days=1)


def _year_bounds(left: exp.Expr, right: exp.Expr) -> tuple[exp.Expr, date, date] | None:
    if not isinstance(right, exp.Literal) or right.is_string:
        return None
    if isinstance(left, exp.Extract) and left.name.upper() == "YEAR":
        column = left.expression
    elif isinstance(left, exp.Year):
        column = left.this.this if isinstance(left.this, exp.TsOrDsToDate) else left.this
    else:
        return None
    if not isinstance(column, exp.Column):
        return None
    year = int(right.name)
    return column, date(year, 1, 1), date(year + 1, 1, 1)


def _date(value: date) -> exp.Expr:
    return exp.cast(exp.Literal.string(value.isoformat()), "date")


def _unnested(tree: exp.Expr, schema: Schema) -> exp.Expr:
    return unnest_subqueries(_qualified(tree, schema))


def _pushed_down(tree: exp.Expr, schema: Schema) -> exp.Expr:
    changed: exp.Expr = simplify(pushdown_predicates(merge_subqueries(_qualified(tree, schema))))
    return changed


def _all_rules(tree: exp.Expr, schema: Schema) -> exp.Expr:
    changed = _ranges(_without_distinct(tree, schema), schema)
    optimized: exp.Expr = optimize(
        changed,
        schema=_columns(schema),
        dialect="duckdb",
        rules=(
            qualify,
            pushdown_projections,
            unnest_subqueries,
            pushdown_predicates,
            eliminate_subqueries,
            merge_subqueries,
            eliminate_joins,
            eliminate_ctes,
            simplify,
        ),
    )
    return optimized


def _qualified(tree: exp.Expr, schema: Schema) -> exp.Expr:
    return qualify(tree, schema=_columns(schema), dialect="duckdb")


def _columns(schema: Schema) -> dict[str, object]:
    return {table.name: {column.name: column.type for column in table.columns} for table in schema.tables}


_REWRITES: Final[tuple[tuple[str, Rewrite], ...]] = (
    ("range_predicates", _ranges),
    ("without_distinct", _without_distinct),
    ("unnested_subqueries", _unnested),
    ("pushed_down_predicates", _pushed_down),
    ("all_rules", _all_rules),
)
