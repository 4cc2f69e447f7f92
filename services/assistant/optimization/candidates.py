"""Rewrites that may be faster. Nothing here proves anything: the judge and the clock decide afterwards."""

from __future__ import annotations

from collections.abc import Callable, Iterator
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
from services.assistant.optimization.dates import as_range
from services.assistant.optimization.rules import (
    bare_join_keys,
    count_of_key,
    exists_for_count,
    fewer_group_keys,
    in_for_or,
    split_or_join,
    without_inner_order,
    without_unused_joins,
)
from services.assistant.optimization.windows import with_windows
from services.kernel.sql.schema import Schema

MOST: Final = 8
"""Rewrites tried for one query: each is measured, and the faster ones cost a search by the judge."""

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
    return tree.transform(as_range)


def _unnested(tree: exp.Expr, schema: Schema) -> exp.Expr:
    return unnest_subqueries(_qualified(tree, schema))


def _pushed_down(tree: exp.Expr, schema: Schema) -> exp.Expr:
    changed: exp.Expr = simplify(pushdown_predicates(merge_subqueries(_qualified(tree, schema))))
    return changed


def _all_rules(tree: exp.Expr, schema: Schema) -> exp.Expr:
    changed = _simple_rules(tree, schema)
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


def _simple_rules(tree: exp.Expr, schema: Schema) -> exp.Expr:
    """Those that hold whatever the data is, one after the other."""
    for rule in (
        _without_distinct,
        _ranges,
        without_inner_order,
        without_unused_joins,
        count_of_key,
        bare_join_keys,
        exists_for_count,
        in_for_or,
    ):
        tree = rule(tree, schema)
    return tree


_REWRITES: Final[tuple[tuple[str, Rewrite], ...]] = (
    ("range_predicates", _ranges),
    ("without_distinct", _without_distinct),
    ("without_unused_joins", without_unused_joins),
    ("count_of_key", count_of_key),
    ("bare_join_keys", bare_join_keys),
    ("exists_for_count", exists_for_count),
    ("windows", with_windows),
    ("split_or_join", split_or_join),
    ("fewer_group_keys", fewer_group_keys),
    ("without_inner_order", without_inner_order),
    ("in_for_or", in_for_or),
    ("simple_rules", _simple_rules),
    ("unnested_subqueries", _unnested),
    ("pushed_down_predicates", _pushed_down),
    ("all_rules", _all_rules),
)
