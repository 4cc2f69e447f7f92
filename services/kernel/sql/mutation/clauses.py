"""Mutants of clauses: joins, DISTINCT, set operations, grouping, ordering, limits, aggregates."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from sqlglot import exp

from services.kernel.sql.mutation.edits import Edit, assign, keep_only, swap
from services.kernel.sql.mutation.facts import Facts


def edits(node: exp.Expr, facts: Facts) -> Iterator[Edit]:
    if isinstance(node, exp.Join):
        yield from _join(node, facts)
    elif isinstance(node, exp.Select):
        yield from _select(node, facts)
    elif isinstance(node, exp.SetOperation):
        yield from _set_operation(node)
    elif isinstance(node, exp.Group) and len(node.expressions) > 1:
        for i, key in enumerate(node.expressions):
            rest = [k for j, k in enumerate(node.expressions) if j != i]
            yield keep_only("group-by", f"without {key.sql('duckdb')}", "expressions", rest)
    elif isinstance(node, exp.Ordered) and not isinstance(node.parent, exp.WithinGroup):
        yield assign("ordering", f"{node.this.sql('duckdb')} the other way", "desc", not node.args.get("desc"))
    elif isinstance(node, exp.Order):
        yield from _order(node)
    elif isinstance(node, exp.Limit):
        yield from _limit(node)
    elif isinstance(node, exp.AggFunc):
        yield from _aggregate(node, facts)


def _join(node: exp.Join, facts: Facts) -> Iterator[Edit]:
    if not (node.args.get("on") or node.args.get("using")) or node.method:
        return
    side = (node.side or "").upper()
    if node.kind.upper() in ("SEMI", "ANTI", "CROSS"):
        return
    for other in ("", "LEFT", "RIGHT", "FULL"):
        if other != side and not facts.join_change_is_void(node, side, other):
            yield Edit("join", f"{side or 'INNER'} -> {other or 'INNER'}", partial(_set_side, side=other))


def _set_side(join: exp.Expr, side: str) -> None:
    """An outer join has a side and no kind: FULL INNER JOIN is no SQL."""
    join.set("side", side or None)
    join.set("kind", None)


def _select(node: exp.Select, facts: Facts) -> Iterator[Edit]:
    if node.args.get("distinct"):
        yield assign("distinct", "without DISTINCT", "distinct", None)
    elif (
        not node.args.get("group")
        and not node.find_ancestor(exp.Exists)
        and not _single_row(node)
        and not facts.distinct_is_void(node)
    ):
        yield assign("distinct", "with DISTINCT", "distinct", exp.Distinct())
    for clause in ("where", "having", "qualify"):
        if node.args.get(clause):
            yield assign("filter", f"without {clause.upper()}", clause, None)


def _single_row(node: exp.Select) -> bool:
    return all(e.find(exp.AggFunc) and not e.find(exp.Window) for e in node.expressions)


def _set_operation(node: exp.SetOperation) -> Iterator[Edit]:
    if isinstance(node, exp.Union):
        yield assign("set-operation", "UNION <-> UNION ALL", "distinct", not node.args.get("distinct"))
        return
    other = exp.Except if isinstance(node, exp.Intersect) else exp.Intersect
    args = {key: value.copy() if isinstance(value, exp.Expr) else value for key, value in node.args.items()}
    yield swap("set-operation", node, other(**args))


def _order(node: exp.Order) -> Iterator[Edit]:
    if isinstance(node.parent, (exp.Window, exp.WithinGroup)) or len(node.expressions) < 2:
        return
    for i, key in enumerate(node.expressions):
        rest = [k for j, k in enumerate(node.expressions) if j != i]
        yield keep_only("ordering", f"without {key.sql('duckdb')}", "expressions", rest)


def _limit(node: exp.Limit) -> Iterator[Edit]:
    count = node.expression
    if isinstance(count, exp.Literal) and count.is_int:
        n = int(count.name)
        yield assign("limit", f"{n} -> {n + 1}", "expression", exp.Literal.number(n + 1))
        if n > 1:
            yield assign("limit", f"{n} -> {n - 1}", "expression", exp.Literal.number(n - 1))


_EXCHANGE: dict[type[exp.Expr], tuple[type[exp.Expr], ...]] = {
    exp.Sum: (exp.Avg, exp.Max),
    exp.Avg: (exp.Sum, exp.Max),
    exp.Min: (exp.Max,),
    exp.Max: (exp.Min,),
    exp.Median: (exp.Avg, exp.Max),
}


def _aggregate(node: exp.AggFunc, facts: Facts) -> Iterator[Edit]:
    argument = node.this
    for other in _EXCHANGE.get(type(node), ()):
        yield swap("aggregate", node, other(this=argument.copy()))
    if not isinstance(node, (exp.Count, exp.Sum, exp.Avg)) or isinstance(node.parent, exp.Window):
        return
    if isinstance(argument, exp.Distinct):
        yield swap("aggregate", node, type(node)(this=argument.expressions[0].copy()))
    elif not isinstance(argument, exp.Star) and argument is not None and not isinstance(argument, exp.Literal):
        yield swap("aggregate", node, type(node)(this=exp.Distinct(expressions=[argument.copy()])))
        if facts.never_null(argument):
            return
        if isinstance(node, exp.Count):
            yield swap("null-handling", node, exp.Count(this=exp.Star()))
        elif isinstance(node, exp.Avg):
            yield swap(
                "null-handling",
                node,
                exp.Avg(this=exp.Coalesce(this=argument.copy(), expressions=[exp.Literal.number(0)])),
            )
