"""Mutants of window functions: partition, order, frame, function."""

from __future__ import annotations

from collections.abc import Iterator

from sqlglot import exp

from services.kernel.sql.mutation.edits import Edit, assign, keep_only, swap
from services.kernel.sql.mutation.facts import Facts

_EXCHANGE: dict[type[exp.Expr], tuple[type[exp.Expr], ...]] = {
    exp.RowNumber: (exp.Rank, exp.DenseRank),
    exp.Rank: (exp.RowNumber, exp.DenseRank),
    exp.DenseRank: (exp.RowNumber, exp.Rank),
}
_NEIGHBOURS: dict[type[exp.Expr], type[exp.Expr]] = {
    exp.Lag: exp.Lead,
    exp.Lead: exp.Lag,
    exp.FirstValue: exp.LastValue,
    exp.LastValue: exp.FirstValue,
}


def edits(node: exp.Expr, facts: Facts) -> Iterator[Edit]:
    if type(node) in _EXCHANGE:
        if not (isinstance(node.parent, exp.Window) and facts.window_is_total(node.parent)):
            for other in _EXCHANGE[type(node)]:
                yield swap("window", node, other())
    elif type(node) in _NEIGHBOURS:
        yield Edit("window", f"{type(node).__name__} -> {_NEIGHBOURS[type(node)].__name__}", _exchange)
    elif isinstance(node, exp.Ntile) and isinstance(node.this, exp.Literal):
        yield assign("window", "one bucket more", "this", exp.Literal.number(int(node.this.name) + 1))
    elif isinstance(node, exp.Window):
        yield from _window(node)
    elif isinstance(node, exp.WindowSpec):
        yield from _frame(node, facts)


def _exchange(at: exp.Expr) -> None:
    args = {key: value.copy() if isinstance(value, exp.Expr) else value for key, value in at.args.items()}
    at.replace(_NEIGHBOURS[type(at)](**args))


def _window(node: exp.Window) -> Iterator[Edit]:
    partition = node.args.get("partition_by") or []
    if partition:
        yield assign("window", "without PARTITION BY", "partition_by", [])
    if len(partition) > 1:
        for i in range(len(partition)):
            rest = [key for j, key in enumerate(partition) if j != i]
            yield keep_only("window", "a shorter PARTITION BY", "partition_by", rest)
    order = node.args.get("order")
    if (
        order
        and isinstance(node.this, exp.AggFunc)
        and not isinstance(node.this, (exp.Lag, exp.Lead, exp.FirstValue, exp.LastValue))
    ):
        yield Edit("window", "without ORDER BY", _unordered)


def _unordered(at: exp.Expr) -> None:
    at.set("order", None)
    at.set("spec", None)


def _frame(node: exp.WindowSpec, facts: Facts) -> Iterator[Edit]:
    start = node.args.get("start")
    if isinstance(start, exp.Literal) and start.is_int:
        n = int(start.name)
        yield assign("window-frame", f"{n} -> {n + 1} PRECEDING", "start", exp.Literal.number(n + 1))
        if n > 1:
            yield assign("window-frame", f"{n} -> {n - 1} PRECEDING", "start", exp.Literal.number(n - 1))
    window = node.parent
    tied = isinstance(window, exp.Window) and not facts.window_is_total(window)
    if tied and (node.args.get("kind") or "").upper() == "ROWS" and not isinstance(start, exp.Literal):
        yield assign("window-frame", "ROWS -> RANGE", "kind", "RANGE")
