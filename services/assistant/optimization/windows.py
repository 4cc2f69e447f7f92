"""Correlated aggregates over the outer query's own table as window functions, computed in one pass."""

from __future__ import annotations

from dataclasses import dataclass

from sqlglot import exp

from services.assistant.optimization.rules import from_of, table_of
from services.kernel.sql.schema import Schema

_AGGREGATES = (exp.Sum, exp.Count, exp.Avg, exp.Min, exp.Max)


@dataclass(frozen=True)
class _Correlated:
    """(SELECT ``aggregate`` FROM t i WHERE i.k = o.k AND i.x <= o.x): ``partition`` k..., ``order`` x or None."""

    aggregate: exp.Expr
    partition: list[str]
    order: tuple[str, bool] | None


def with_windows(tree: exp.Expr, schema: Schema) -> exp.Expr:
    """The outer query reads its table with one more column per such subquery."""
    for select in list(tree.find_all(exp.Select)):
        source = from_of(select)
        table = table_of(source, schema)
        if table is None or source is None or select.args.get("group") or select.args.get("joins"):
            continue
        outer = source.alias_or_name
        made: list[exp.Expr] = []
        for query in list(select.find_all(exp.Subquery)):
            found = _read(query.this, table.name, outer) if query.parent is not None else None
            if found is None:
                continue
            name = f"w{len(made) + 1}_"
            made.append(exp.alias_(_window(found), name))
            query.replace(exp.column(name, table=outer))
        if made:
            inner = exp.select("*", *made).from_(exp.to_table(table.name))
            source.replace(inner.subquery(outer))
    return tree


def _window(found: _Correlated) -> exp.Expr:
    window = exp.Window(this=found.aggregate, partition_by=[exp.column(name) for name in found.partition])
    if found.order is not None:
        name, descending = found.order
        window.set("order", exp.Order(expressions=[exp.Ordered(this=exp.column(name), desc=descending)]))
        window.set("spec", exp.WindowSpec(kind="RANGE", start="UNBOUNDED", start_side="PRECEDING", end="CURRENT ROW"))
    return window


def _read(query: exp.Expr, table: str, outer: str) -> _Correlated | None:
    if not isinstance(query, exp.Select) or any(query.args.get(k) for k in ("group", "joins", "limit", "having")):
        return None
    source, where = from_of(query), query.args.get("where")
    if not isinstance(source, exp.Table) or source.name.lower() != table.lower() or where is None:
        return None
    inner = source.alias_or_name
    if inner == outer or len(query.expressions) != 1:
        return None
    aggregate = query.expressions[0].unalias().copy()
    if not isinstance(aggregate, _AGGREGATES) or isinstance(aggregate.this, exp.Distinct):
        return None
    if any(column.table not in (inner, "") for column in aggregate.find_all(exp.Column)):
        return None
    for column in aggregate.find_all(exp.Column):
        column.set("table", None)
    return _conditions(where.this, aggregate, inner, outer)


def _conditions(where: exp.Expr, aggregate: exp.Expr, inner: str, outer: str) -> _Correlated | None:
    partition: list[str] = []
    order: tuple[str, bool] | None = None
    for part in where.flatten() if isinstance(where, exp.And) else (where,):
        left, right = part.this, part.args.get("expression")
        if not isinstance(left, exp.Column) or not isinstance(right, exp.Column) or left.name != right.name:
            return None
        if {left.table, right.table} != {inner, outer}:
            return None
        if isinstance(part, exp.EQ):
            partition.append(left.name)
        elif isinstance(part, exp.LTE | exp.GTE) and order is None:
            # inner <= outer runs forward; outer <= inner, or inner >= outer, backward.
            order = left.name, isinstance(part, exp.LTE) != (left.table == inner)
        else:
            return None
    return _Correlated(aggregate, partition, order)
