"""Seeded draws shared by the data sets: skewed picks and moments that follow people's days and weeks."""

from __future__ import annotations

import bisect
import itertools
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from typing import Generic, TypeVar

T = TypeVar("T")


def seeded(*parts: object) -> random.Random:
    """A generator that yields the same draws for the same parts everywhere: text seeds by SHA-512."""
    return random.Random(":".join(map(str, parts)))


# Share of a day's activity by hour (0..23): quiet nights, a lunch bump, an evening peak.
_HOURLY = (8, 5, 3, 2, 2, 3, 7, 14, 22, 27, 30, 33, 38, 34, 30, 30, 32, 36, 44, 55, 62, 60, 44, 22)
# Monday..Sunday.
_WEEKDAY = (0.92, 0.90, 0.95, 1.0, 1.1, 1.28, 1.2)


class Skewed(Generic[T]):
    """Draws from `items` with fixed weights in O(log n) per draw."""

    def __init__(self, items: Sequence[T], weights: Sequence[float]) -> None:
        if not items or len(items) != len(weights):
            raise ValueError(f"{len(items)} items need as many weights and at least one; got {len(weights)}")
        self._items = items
        self._cumulative = list(itertools.accumulate(weights))

    def draw(self, rng: random.Random) -> T:
        at = rng.random() * self._cumulative[-1]
        return self._items[min(bisect.bisect_right(self._cumulative, at), len(self._items) - 1)]


def zipf(items: Sequence[T], exponent: float = 1.0) -> Skewed[T]:
    """Zipf's law: the k-th item is drawn with weight k ** -exponent."""
    return Skewed(items, [(rank + 1) ** -exponent for rank in range(len(items))])


def weighted(table: Mapping[T, float]) -> Skewed[T]:
    return Skewed(list(table), list(table.values()))


@dataclass(frozen=True)
class Calendar:
    """Moments over `days` days from `first`, following the hour of day, the weekday and slow growth."""

    first: date
    days: int

    @property
    def last(self) -> date:
        return self.first + timedelta(days=self.days - 1)

    def daily(self, growth: float = 0.6) -> Skewed[date]:
        """Days weighted by weekday and by growth: the last day weighs `1 + growth` times the first."""
        days = [self.first + timedelta(days=i) for i in range(self.days)]
        return Skewed(days, [_WEEKDAY[d.weekday()] * (1 + growth * i / self.days) for i, d in enumerate(days)])


_HOURS = Skewed(range(24), _HOURLY)


def moment(rng: random.Random, day: date) -> datetime:
    """A second within `day`, by the daily cycle."""
    return datetime.combine(day, time(_HOURS.draw(rng), rng.randrange(60), rng.randrange(60)))


def maybe(rng: random.Random, value: T, missing: float) -> T | None:
    """`value`, or NULL with probability `missing`."""
    return None if rng.random() < missing else value
