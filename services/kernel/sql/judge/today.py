"""CURRENT_DATE in queries: one date for a whole judgement, recorded in its verdict, and tried like any other constant.

Not the current time: a difference at one very moment is none that anyone could see again.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime

from sqlglot import exp

from services.kernel.sql.judge.request import JudgeRequest


def on_one_day(request: JudgeRequest, trees: list[exp.Expr]) -> tuple[JudgeRequest, list[exp.Expr]]:
    """The request with its date filled in if a query asks for one, else without; and the trees on that day."""
    today = request.as_of or datetime.now(UTC).date()
    on_day = [_pinned(tree, today) for tree in trees]
    if on_day == [None, None]:
        return replace(request, as_of=None), trees
    texts = [
        plain if tree is None else tree.sql("duckdb")
        for plain, tree in zip((request.reference_sql, request.candidate_sql), on_day, strict=True)
    ]
    request = replace(request, as_of=today, reference_sql=texts[0], candidate_sql=texts[1])
    return request, [tree if dated is None else dated for tree, dated in zip(trees, on_day, strict=True)]


def _pinned(tree: exp.Expr, today: date) -> exp.Expr | None:
    """A copy of ``tree`` in which the current date is ``today``; None where it asks for none."""
    if not any(_asks(node) for node in tree.find_all(exp.CurrentDate)):
        return None
    literal = exp.cast(exp.Literal.string(today.isoformat()), exp.DataType.Type.DATE)
    return tree.copy().transform(lambda node: literal.copy() if _asks(node) else node)


def _asks(node: exp.Expr) -> bool:
    """A date of another time zone stays what it is."""
    return isinstance(node, exp.CurrentDate) and node.args.get("this") is None
