"""Dates that a query's constants point at."""

from __future__ import annotations

from calendar import monthrange
from collections.abc import Iterable, Iterator
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Final

from sqlglot import exp

_MONTHS: Final = {"MONTH": 1, "QUARTER": 3, "YEAR": 12}
_MOST_MOVED: Final = 400


def moved(start: object, by: exp.Expr, sign: int) -> date | None:
    """The date or timestamp (given as such or in ISO form) ``start`` moved by an interval, or by a number of days; None
    where the two are anything else."""
    amount = by.this if isinstance(by, exp.Interval) else by
    unit = by.text("unit").upper().removesuffix("S") if isinstance(by, exp.Interval) else "DAY"
    if not isinstance(amount, exp.Literal) or not amount.name.isdigit() or len(amount.name) > 5:
        return None
    moment = _moment(start)
    return None if moment is None else _moved(moment, sign * int(amount.name), unit)


def _moment(value: object) -> date | None:
    if isinstance(value, date):
        return value
    try:
        text = str(value)
        return date.fromisoformat(text) if len(text) <= len("2020-01-01") else datetime.fromisoformat(text)
    except ValueError:
        return None


def _moved(moment: date, amount: int, unit: str) -> date | None:
    try:
        if unit in _MONTHS:
            months = moment.year * 12 + moment.month - 1 + amount * _MONTHS[unit]
            year, month = divmod(months, 12)
            last = monthrange(year, month + 1)[1]
            return moment.replace(year=year, month=month + 1, day=min(moment.day, last))
        if unit in {"DAY", "WEEK"}:
            return moment + timedelta(days=amount * (7 if unit == "WEEK" else 1))
        if unit in {"HOUR", "MINUTE", "SECOND"}:
            start = moment if isinstance(moment, datetime) else datetime.combine(moment, time())
            return start + timedelta(**{f"{unit.lower()}s": amount})
    except (ValueError, OverflowError):
        return None
    return None


def pointed_at(value: int | Decimal | str, functions: set[str], epoch: date) -> Iterator[date]:
    """Dates that a year, a year and month, a month, or a number of days points at, with their neighbours outside."""
    if isinstance(value, str):
        parts = value.replace("/", "-").replace(".", "-").split("-")
        if not all(part.isdigit() for part in parts) or not parts:
            return
        numbers = [int(part) for part in parts]
        if len(numbers) == 1 and len(parts[0]) == 6:
            numbers = [numbers[0] // 100, numbers[0] % 100]
    else:
        numbers = [int(value)]
    year, month = numbers[0], (numbers[1] if len(numbers) > 1 else None)
    if 1000 <= year <= 9000 and (month is None or 1 <= month <= 12):
        first = date(year, month or 1, 1)
        after = date(year + (month in {None, 12}), (month or 12) % 12 + 1, 1)
        yield from (first, after - timedelta(days=1), first - timedelta(days=1), after, first + timedelta(days=10))
    elif 1 <= year <= 12 and functions & {"Month", "Extract", "TimeToStr", "DatePart", "Monthname"}:
        first = date(epoch.year, year, 1)
        yield from (first, first - timedelta(days=1), first + timedelta(days=31), first.replace(year=first.year - 1))
    if isinstance(value, int) and abs(value) <= _MOST_MOVED:
        for days in (value, value + 1, value - 1):
            yield epoch + timedelta(days=days)


def apart(moments: Iterable[date], distances: Iterable[int]) -> Iterator[date]:
    """Dates about a distance of so many days, months or years away from each of ``moments``."""
    wanted = sorted({abs(distance) for distance in distances if 0 < abs(distance) <= _MOST_MOVED})
    for moment in moments:
        for distance in wanted:
            for unit in ("DAY", "MONTH", "YEAR"):
                for sign in (-1, 1):
                    there = _moved(moment, sign * distance, unit)
                    if there is not None:
                        yield from (there, there + timedelta(days=1), there - timedelta(days=1))
