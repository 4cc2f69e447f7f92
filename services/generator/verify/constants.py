"""What a query compares its columns with, and how far apart in time it looks."""

from __future__ import annotations

from collections import defaultdict
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any

from sqlglot import exp

_COMPARISONS = (exp.EQ, exp.NEQ, exp.LT, exp.LTE, exp.GT, exp.GTE, exp.Like, exp.Coalesce)
_DAY = timedelta(days=1)
_UNITS = {
    "SECOND": timedelta(seconds=1),
    "MINUTE": timedelta(minutes=1),
    "HOUR": timedelta(hours=1),
    "DAY": _DAY,
    "WEEK": 7 * _DAY,
}


def compared_values(tree: exp.Expr) -> dict[str, list[Any]]:
    """Column name in lower case -> the constants it is compared with, and those just below and above."""
    found: dict[str, list[Any]] = defaultdict(list)
    for node in tree.find_all(*_COMPARISONS, exp.In, exp.Between):
        column = node.this.find(exp.Column) if node.this else None
        if column is None:
            continue
        for value in _constants(node):
            found[column.name.lower()].extend(around(value))
    return found


def _constants(node: exp.Expr) -> list[Any]:
    if isinstance(node, (exp.In, exp.Coalesce)):
        parts = node.expressions
    elif isinstance(node, exp.Between):
        parts = [node.args["low"], node.args["high"]]
    else:
        parts = [node.args["expression"]]
    values = [constant(part) for part in parts]
    if isinstance(node, exp.Like):
        texts = [v for v in values if isinstance(v, str)]
        values = [v.replace("%", fill).replace("_", "x") for v in texts for fill in ("", "zz", "a ")]
        values += ["zz" + v.strip("%") for v in texts]
    return [v for v in values if v is not None]


def constant(node: exp.Expr) -> Any:
    """The value of a literal, a negative number or a typed string; None for anything else."""
    if isinstance(node, exp.Cast) and isinstance(node.this, exp.Literal) and node.this.is_string:
        text = node.this.name
        try:
            if node.to.this == exp.DataType.Type.DATE:
                return date.fromisoformat(text)
            return datetime.fromisoformat(text)
        except ValueError:
            return text
    if isinstance(node, exp.Literal):
        return node.name if node.is_string else Decimal(node.name)
    if isinstance(node, exp.Neg) and isinstance(node.this, exp.Literal):
        return -Decimal(node.this.name)
    if isinstance(node, exp.Boolean):
        return bool(node.this)
    return None


def around(value: Any) -> list[Any]:
    if isinstance(value, bool):
        return [value, not value]
    if isinstance(value, datetime):
        return [value, value - timedelta(seconds=1), value + timedelta(seconds=1), value + _DAY]
    if isinstance(value, date):
        return [value, value - _DAY, value + _DAY]
    if isinstance(value, Decimal):
        return [value, value, value - 1, value + 1]
    return [value, value, f"{value}!"]


def time_steps(tree: exp.Expr) -> list[timedelta]:
    """Distances worth having between moments, the more often the better: none, a day, the next weeks, and those that
    the query's intervals and day counts name, with their neighbours."""
    steps = [
        timedelta(0),
        timedelta(0),
        timedelta(minutes=7),
        timedelta(hours=5),
        _DAY,
        _DAY,
        2 * _DAY,
        7 * _DAY,
        31 * _DAY,
    ]
    for node in tree.find_all(exp.Interval):
        unit = _UNITS.get((node.text("unit") or "").upper().rstrip("S"))
        if unit is not None and node.this and node.this.name.isdigit():
            exact = int(node.this.name) * unit
            steps += [exact, exact, exact, exact + unit, exact - unit, exact + timedelta(seconds=1)] * 2
    for test in tree.find_all(exp.Between, exp.LT, exp.LTE, exp.GT, exp.GTE):
        if test.this and test.this.find(exp.DateDiff):
            days = [int(v) for v in _constants(test) if isinstance(v, Decimal) and abs(v) <= 400]
            steps += [timedelta(days=n + shift) for n in days for shift in (0, 0, 1, -1)]
    return steps
