"""Conditions on wrapped dates and times as ranges over the bare column, which statistics and zone maps can use."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import date, timedelta
from typing import Final

from sqlglot import exp

Bounds = tuple[exp.Expr, date, date]
"""A column, the first day of a period, and the first day after it."""
_FORMATS: Final = {"%Y": r"(\d{4})", "%Y-%m": r"(\d{4})-(\d{2})", "%Y-%m-%d": r"(\d{4})-(\d{2})-(\d{2})"}
_COMPARISONS: Final = (exp.EQ, exp.GT, exp.GTE, exp.LT, exp.LTE)


def as_range(node: exp.Expr) -> exp.Expr:
    """``node`` as a range where it compares a day, month or year of a column with a constant, else itself."""
    if isinstance(node, exp.Between):
        return _between(node)
    if not isinstance(node, _COMPARISONS):
        return node
    for reader in _READERS:
        found = reader(node.this, node.expression)
        if found is not None:
            return _ranged(node, *found)
    return node


def _ranged(node: exp.Expr, column: exp.Expr, first: date, after: date) -> exp.Expr:
    """The period's comparison: after "> 2024" comes what follows the period, before "< 2024" what precedes it."""
    if isinstance(node, exp.EQ):
        return exp.paren(exp.and_(_at_least(column, first), _before(column, after)))
    if isinstance(node, exp.GT):
        return _at_least(column, after)
    if isinstance(node, exp.GTE):
        return _at_least(column, first)
    return _before(column, first if isinstance(node, exp.LT) else after)


def _between(node: exp.Between) -> exp.Expr:
    for reader in _READERS:
        low, high = reader(node.this, node.args["low"]), reader(node.this, node.args["high"])
        if low is not None and high is not None:
            return exp.paren(exp.and_(_at_least(low[0], low[1]), _before(high[0], high[2])))
    return node


def _at_least(column: exp.Expr, day: date) -> exp.Expr:
    return exp.GTE(this=column.copy(), expression=_date(day))


def _before(column: exp.Expr, day: date) -> exp.Expr:
    return exp.LT(this=column.copy(), expression=_date(day))


def _date(value: date) -> exp.Expr:
    return exp.cast(exp.Literal.string(value.isoformat()), "date")


def _day(left: exp.Expr, right: exp.Expr) -> Bounds | None:
    """CAST(column AS DATE), date(column)."""
    if not isinstance(left, exp.Cast | exp.Date | exp.TsOrDsToDate) or not isinstance(left.this, exp.Column):
        return None
    if isinstance(left, exp.Cast) and not left.is_type("date"):
        return None
    day = _constant_day(right)
    return None if day is None else (left.this, day, day + timedelta(days=1))


def _year(left: exp.Expr, right: exp.Expr) -> Bounds | None:
    """EXTRACT(YEAR FROM column), year(column)."""
    if not isinstance(right, exp.Literal) or right.is_string or not right.name.isdigit():
        return None
    column: exp.Expr
    if isinstance(left, exp.Extract) and left.name.upper() == "YEAR":
        column = left.expression
    elif isinstance(left, exp.Year):
        column = left.this.this if isinstance(left.this, exp.TsOrDsToDate) else left.this
    else:
        return None
    year = int(right.name)
    return (column, date(year, 1, 1), date(year + 1, 1, 1)) if isinstance(column, exp.Column) else None


def _truncated(left: exp.Expr, right: exp.Expr) -> Bounds | None:
    """date_trunc('month', column) and a day on which such a period begins."""
    if not isinstance(left, exp.TimestampTrunc | exp.DateTrunc | exp.DatetimeTrunc):
        return None
    column, unit, day = left.this, str(left.args["unit"].name).upper(), _constant_day(right)
    if not isinstance(column, exp.Column) or day is None:
        return None
    after = _next(day, unit)
    begins = {"DAY": True, "MONTH": day.day == 1, "YEAR": (day.month, day.day) == (1, 1)}.get(unit, False)
    return (column, day, after) if begins and after is not None else None


def _formatted(left: exp.Expr, right: exp.Expr) -> Bounds | None:
    """strftime(column, '%Y-%m') and text of that form; only texts in the order of time."""
    if not isinstance(left, exp.TimeToStr) or not isinstance(right, exp.Literal) or not right.is_string:
        return None
    column = left.this.this if isinstance(left.this, exp.TsOrDsToDate | exp.Cast) else left.this
    pattern = _FORMATS.get(left.args["format"].name)
    found = re.fullmatch(pattern, right.name) if pattern is not None else None
    if found is None or not isinstance(column, exp.Column):
        return None
    parts = [int(part) for part in found.groups()]
    day = date(parts[0], *[*parts[1:], 1, 1][:2])
    after = _next(day, ("YEAR", "MONTH", "DAY")[len(parts) - 1])
    return None if after is None else (column, day, after)


def _next(day: date, unit: str) -> date | None:
    if unit == "DAY":
        return day + timedelta(days=1)
    if unit == "MONTH":
        return date(day.year + day.month // 12, day.month % 12 + 1, 1)
    return date(day.year + 1, 1, 1) if unit == "YEAR" else None


def _constant_day(node: exp.Expr) -> date | None:
    literal = node.this if isinstance(node, exp.Cast) else node
    if not isinstance(literal, exp.Literal) or not literal.is_string:
        return None
    try:
        return date.fromisoformat(literal.name)
    except ValueError:
        return None


_READERS: Final[tuple[Callable[[exp.Expr, exp.Expr], Bounds | None], ...]] = (_day, _year, _truncated, _formatted)
