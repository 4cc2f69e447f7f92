"""Equality of single values across types, and one-to-one matching of rows within a numeric tolerance."""

from __future__ import annotations

import math
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from decimal import Decimal

from services.kernel.sql.dataset import Value

_FLOAT32_TOLERANCE = 1e-6  # a FLOAT carries 24 bits, about 6e-8; a sum of a few of them less
_FLOAT32 = {"FLOAT", "REAL", "FLOAT4"}
_FLOATING = {"DOUBLE", *_FLOAT32}


@dataclass(frozen=True, slots=True)
class Tolerance:
    """``limits``: per column, relative above 1 and absolute below; 0 where no floating-point number takes part."""

    limits: tuple[float, ...]

    @property
    def applies(self) -> bool:
        return any(self.limits)

    @classmethod
    def for_types(cls, expected: Sequence[str], actual: Sequence[str], tolerance: float) -> Tolerance:
        return cls(tuple(_limit(pair, tolerance) for pair in zip(expected, actual, strict=True)))

    def accepts(self, left: Sequence[Value], right: Sequence[Value]) -> bool:
        return all(close(a, b, limit) for a, b, limit in zip(left, right, self.limits, strict=True))


def _limit(types: tuple[str, ...], tolerance: float) -> float:
    if any(_mentions(name, _FLOAT32) for name in types):
        return max(tolerance, _FLOAT32_TOLERANCE)
    return tolerance if any(_mentions(name, _FLOATING) for name in types) else 0.0


def _mentions(type_name: str, wanted: set[str]) -> bool:
    words = type_name.upper().replace("(", " ").replace(")", " ").replace("[", " ").replace(",", " ").split()
    return any(word in wanted for word in words)


def canonical(value: Value) -> Hashable:
    """A hashable that is equal for equal SQL values, whatever their types.

    1, 1.0, 1.00 and TRUE are one value; so are 0.0 and -0.0, NaN and NaN, a date and its midnight, and a
    time-zone-aware timestamp and the same instant in UTC. Python's numbers already hash alike when they are equal.
    """
    if value is None or isinstance(value, str | int):
        return value
    if isinstance(value, float):
        return value if value == value else _NAN
    if isinstance(value, Decimal):
        return value if value.is_finite() else str(value)
    if isinstance(value, tuple | list):
        return (_LIST, *(canonical(part) for part in value))
    if isinstance(value, dict):
        return (_MAP, frozenset((canonical(key), canonical(part)) for key, part in value.items()))
    if isinstance(value, datetime):
        return value.astimezone(UTC).replace(tzinfo=None) if value.tzinfo else value
    if isinstance(value, date):
        return datetime(value.year, value.month, value.day)  # noqa: DTZ001 - SQL dates have no zone
    if isinstance(value, time):
        return (_TIME, value.isoformat())
    return (type(value).__name__, str(value))


_NAN, _LIST, _MAP, _TIME = "\0nan", "\0list", "\0map", "\0time"


def close(left: Value, right: Value, limit: float) -> bool:
    """True when equal, or numbers (also inside lists and structs) of which one is a float, within ``limit``."""
    if isinstance(left, float) or isinstance(right, float):
        if not (_is_number(left) and _is_number(right)):
            return False
        a, b = float(left), float(right)
        if not (math.isfinite(a) and math.isfinite(b)):
            return canonical(a) == canonical(b)
        return abs(a - b) <= limit * max(1.0, abs(a), abs(b))
    if isinstance(left, tuple | list) and isinstance(right, tuple | list):
        return len(left) == len(right) and all(close(a, b, limit) for a, b in zip(left, right, strict=True))
    if isinstance(left, dict) and isinstance(right, dict):
        return left.keys() == right.keys() and all(close(part, right[key], limit) for key, part in left.items())
    return canonical(left) == canonical(right)


def _is_number(value: Value) -> bool:
    return isinstance(value, int | float | Decimal)


def match_within_tolerance(
    expected: Sequence[tuple[Value, ...]], actual: Sequence[tuple[Value, ...]], tolerance: Tolerance
) -> tuple[list[tuple[Value, ...]], list[tuple[Value, ...]]]:
    """A maximum one-to-one matching (Kuhn's augmenting paths) of rows that agree within ``tolerance``.

    Returns the unmatched rows of both sides. A greedy choice is not enough: closeness is not transitive.
    """
    partners = [list(near) for near in _neighbours(expected, actual, tolerance)]
    owner: dict[int, int] = {}
    holds: dict[int, int] = {}
    for start in range(len(expected)):
        _augment(start, partners, owner, holds)
    left = [row for index, row in enumerate(expected) if index not in holds]
    return left, [row for index, row in enumerate(actual) if index not in owner]


def _augment(start: int, partners: Sequence[Sequence[int]], owner: dict[int, int], holds: dict[int, int]) -> None:
    """Gives ``start`` a partner if there is one, moving others aside along a path found breadth first."""
    reached_from: dict[int, int] = {}
    queue = [start]
    for node in queue:
        for partner in partners[node]:
            if partner in reached_from:
                continue
            reached_from[partner] = node
            if partner in owner:
                queue.append(owner[partner])
                continue
            _reassign(partner, reached_from, owner, holds)
            return


def _reassign(free: int, reached_from: dict[int, int], owner: dict[int, int], holds: dict[int, int]) -> None:
    """Walks the augmenting path backwards from its ``free`` end, handing each partner to the node that reached it."""
    partner: int | None = free
    while partner is not None:
        taker = reached_from[partner]
        previous = holds.get(taker)
        owner[partner], holds[taker] = taker, partner
        partner = previous


def _neighbours(
    expected: Sequence[tuple[Value, ...]], actual: Sequence[tuple[Value, ...]], tolerance: Tolerance
) -> Iterator[Iterator[int]]:
    """For each expected row the actual rows close to it, sought only among those of the same shape and near value."""
    shelves: defaultdict[Hashable, list[tuple[float, int]]] = defaultdict(list)
    for index, row in enumerate(actual):
        shape, position = _shape(row, tolerance)
        shelves[shape].append((position, index))
    for shelf in shelves.values():
        shelf.sort()
    for row in expected:
        shape, position = _shape(row, tolerance)
        yield _near(row, position, shelves.get(shape, []), actual, tolerance)


def _near(
    row: tuple[Value, ...],
    position: float,
    shelf: Sequence[tuple[float, int]],
    actual: Sequence[tuple[Value, ...]],
    tolerance: Tolerance,
) -> Iterator[int]:
    reach = 2 * max(tolerance.limits) * max(1.0, abs(position))
    for other, index in shelf[bisect_left(shelf, (position - reach, -1)) :]:
        if other > position + reach:
            return
        if tolerance.accepts(row, actual[index]):
            yield index


def _shape(row: tuple[Value, ...], tolerance: Tolerance) -> tuple[Hashable, float]:
    """The values that must be equal exactly, and the first finite number that need not be (0 when there is none)."""
    exact: list[Hashable] = []
    position: float | None = None
    for value, limit in zip(row, tolerance.limits, strict=True):
        if not limit or isinstance(value, str) or value is None:
            exact.append(canonical(value))
        elif _is_number(value) and math.isfinite(value):
            exact.append("\0number")
            position = float(value) if position is None else position
        else:
            exact.append("\0other")
    return tuple(exact), position or 0.0
