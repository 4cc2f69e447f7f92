"""One change at one node of a syntax tree."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from sqlglot import exp


@dataclass(frozen=True, slots=True)
class Edit:
    """`apply` changes the node it is given, in place or by replacing it in its tree."""

    operator: str
    detail: str
    apply: Callable[[exp.Expr], object]


def keep_only(operator: str, detail: str, key: str, values: list[exp.Expr]) -> Edit:
    """Set a list argument of the node to copies of `values`."""
    return Edit(operator, detail, lambda at: at.set(key, [value.copy() for value in values]))


def swap(operator: str, node: exp.Expr, new: exp.Expr) -> Edit:
    """Replace the node by `new`."""
    before, after = node.sql(dialect="duckdb"), new.sql(dialect="duckdb")
    return Edit(operator, f"{before[:60]} -> {after[:60]}", lambda at: at.replace(new.copy()))


def assign(operator: str, detail: str, key: str, value: object) -> Edit:
    """Set one argument of the node; None removes it."""
    return Edit(operator, detail, lambda at: at.set(key, value.copy() if isinstance(value, exp.Expr) else value))
