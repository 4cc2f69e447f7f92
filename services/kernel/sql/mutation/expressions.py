"""Mutants of conditions and values: comparisons, boundaries, logic, membership, NULL tests, arithmetic, dates."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, datetime, timedelta

from sqlglot import exp

from services.kernel.sql.mutation.edits import Edit, assign, swap
from services.kernel.sql.mutation.facts import Facts

_COMPARISONS: dict[type[exp.Expr], tuple[type[exp.Expr], ...]] = {
    exp.EQ: (exp.NEQ,),
    exp.NEQ: (exp.EQ,),
    exp.LT: (exp.LTE, exp.GT),
    exp.LTE: (exp.LT, exp.GTE),
    exp.GT: (exp.GTE, exp.LT),
    exp.GTE: (exp.GT, exp.LTE),
}
_ARITHMETIC: dict[type[exp.Expr], type[exp.Expr]] = {
    exp.Add: exp.Sub,
    exp.Sub: exp.Add,
    exp.Mul: exp.Div,
    exp.Div: exp.Mul,
}
_COARSER = {"DAY": "WEEK", "WEEK": "MONTH", "MONTH": "WEEK", "YEAR": "MONTH", "HOUR": "DAY", "QUARTER": "MONTH"}


def edits(node: exp.Expr, facts: Facts) -> Iterator[Edit]:
    if type(node) in _COMPARISONS:
        yield from _comparison(node)
    elif isinstance(node, (exp.And, exp.Or)):
        yield from _logic(node)
    elif isinstance(node, (exp.In, exp.Between, exp.Is, exp.Exists, exp.Like)):
        yield from _test(node)
    elif isinstance(node, exp.Coalesce) and not facts.never_null(node.this):
        yield swap("null-handling", node, node.this)
    elif isinstance(node, exp.Binary) and type(node) in _ARITHMETIC and not isinstance(node.expression, exp.Interval):
        yield swap("arithmetic", node, _ARITHMETIC[type(node)](this=node.left.copy(), expression=node.right.copy()))
    elif isinstance(node, (exp.DateTrunc, exp.TimestampTrunc)):
        unit = (node.text("unit") or "").upper()
        if unit in _COARSER:
            yield assign("date", f"{unit} -> {_COARSER[unit]}", "unit", exp.Var(this=_COARSER[unit]))
    elif isinstance(node, exp.Interval):
        yield from _interval(node)
    elif isinstance(node, exp.Case):
        yield from _case(node)


def _comparison(node: exp.Expr) -> Iterator[Edit]:
    left, right = node.args["this"], node.args["expression"]
    if isinstance(node, exp.EQ) and isinstance(left, exp.Column) and isinstance(right, exp.Column):
        return  # a join condition: its negation is no mistake anybody makes
    for other in _COMPARISONS[type(node)]:
        boundary = isinstance(node, (exp.LT, exp.LTE, exp.GT, exp.GTE)) and other in (exp.LT, exp.LTE, exp.GT, exp.GTE)
        yield swap("boundary" if boundary else "comparison", node, other(this=left.copy(), expression=right.copy()))
    for moved in _moved(right):
        yield swap("boundary", node, type(node)(this=left.copy(), expression=moved))


def _moved(value: exp.Expr) -> Iterator[exp.Expr]:
    """The constant one step up and one step down: 1 for integers, a day for dates, a second for timestamps."""
    if isinstance(value, exp.Literal) and value.is_int:
        yield exp.Literal.number(int(value.name) + 1)
        if int(value.name) > 0:
            yield exp.Literal.number(int(value.name) - 1)
    elif isinstance(value, exp.Cast) and isinstance(value.this, exp.Literal) and value.this.is_string:
        for step in (1, -1):
            text = _shift(value.this.name, value.to.this, step)
            if text:
                yield exp.Cast(this=exp.Literal.string(text), to=value.to.copy())


def _shift(text: str, kind: object, step: int) -> str:
    try:
        if kind == exp.DataType.Type.DATE:
            return str(date.fromisoformat(text) + timedelta(days=step))
        if kind in (exp.DataType.Type.TIMESTAMP, exp.DataType.Type.DATETIME, exp.DataType.Type.TIMESTAMPNTZ):
            return str(datetime.fromisoformat(text) + timedelta(seconds=step))
    except ValueError:
        return ""
    return ""


def _logic(node: exp.Connector) -> Iterator[Edit]:
    other = exp.Or if isinstance(node, exp.And) else exp.And
    joins = isinstance(node.parent, exp.Join)
    if not joins:
        yield swap("logic", node, exp.Paren(this=other(this=node.left.copy(), expression=node.right.copy())))
    yield swap("filter", node, node.left)
    yield swap("filter", node, node.right)


def _test(node: exp.Expr) -> Iterator[Edit]:
    if not isinstance(node.parent, exp.Not):
        yield swap("comparison", node, exp.Not(this=node.copy()))
    else:
        yield Edit(
            "comparison",
            f"without NOT: {node.sql('duckdb')[:60]}",
            lambda at: at.parent.replace(at.copy()) if at.parent else None,
        )
    if isinstance(node, exp.In) and len(node.expressions) > 1:
        for i in range(len(node.expressions)):
            rest = [value.copy() for j, value in enumerate(node.expressions) if j != i]
            yield swap("comparison", node, exp.In(this=node.this.copy(), expressions=rest))
    elif isinstance(node, exp.Between):
        value, low, high = node.this, node.args["low"], node.args["high"]
        above, below = (
            exp.GTE(this=value.copy(), expression=low.copy()),
            exp.LTE(this=value.copy(), expression=high.copy()),
        )
        strictly_above = exp.GT(this=value.copy(), expression=low.copy())
        strictly_below = exp.LT(this=value.copy(), expression=high.copy())
        for pair in ((strictly_above, below), (above, strictly_below)):
            yield swap("boundary", node, exp.Paren(this=exp.and_(*pair)))
    elif isinstance(node, exp.Like) and isinstance(node.expression, exp.Literal):
        yield from _pattern(node)


def _pattern(node: exp.Like) -> Iterator[Edit]:
    pattern = node.expression.name
    other = f"%{pattern}" if not pattern.startswith("%") else pattern.lstrip("%")
    yield swap("comparison", node, exp.Like(this=node.this.copy(), expression=exp.Literal.string(other)))


def _interval(node: exp.Interval) -> Iterator[Edit]:
    amount = node.this
    if isinstance(amount, exp.Literal) and amount.name.isdigit():
        for step in (1, -1):
            moved = exp.Literal(this=str(int(amount.name) + step), is_string=amount.is_string)
            yield assign("boundary", f"{amount.name} -> {moved.name}", "this", moved)


def _case(node: exp.Case) -> Iterator[Edit]:
    default = node.args.get("default")
    if isinstance(default, exp.Literal):
        yield assign("null-handling", "without ELSE", "default", None)
    elif default is None:
        yield assign("null-handling", "ELSE 0", "default", exp.Literal.number(0))
