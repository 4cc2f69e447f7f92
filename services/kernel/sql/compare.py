"""Whether a result answers what the reference answered: bags of rows, ordered only where the problem orders.

Rows are matched, never sorted: a tolerance on sorted text or sorted floats pairs the wrong rows.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Literal, TypeAlias

from services.kernel.sql.dataset import Value
from services.kernel.sql.matching import Tolerance, canonical, match_within_tolerance
from services.kernel.sql.results import ResultSet

# Beyond this many rows exact partners are kept: matching everything again would cost more than such chains are worth.
_MAX_REMATCHED = 1000
_MOST_PLACES = 6

DifferenceKind: TypeAlias = Literal[
    "column_count", "column_names", "missing_rows", "extra_rows", "multiplicity", "rows", "order"
]
ResultRow: TypeAlias = tuple[Value, ...]


@dataclass(frozen=True, slots=True)
class ComparisonPolicy:
    """What the problem states about the form of an answer.

    ``ordered``: row order counts. ``column_names``: whether they must be the reference's (in any case).
    ``column_order``: ``any`` accepts the same columns in another order. ``tolerance``: relative above 1, absolute
    below, applied only where a floating-point number takes part.
    """

    ordered: bool = False
    column_names: Literal["ignore", "match"] = "ignore"
    column_order: Literal["match", "any"] = "match"
    tolerance: float = 1e-9


@dataclass(frozen=True, slots=True)
class TieGroup:
    """Rows that the reference's ORDER BY does not tell apart; any ``take`` of them, in any order, may stand here.

    ``take`` < len(rows) only where LIMIT or OFFSET cuts through the group.
    """

    rows: tuple[ResultRow, ...]
    take: int


@dataclass(frozen=True, slots=True)
class Difference:
    """``missing``: rows of the reference that the answer lacks; ``extra``: rows of the answer beyond the reference.

    ``kind``: ``multiplicity`` when only the number of copies of rows differs; ``order`` when only the order does,
    ``position`` then being the first row (0-based) out of place.
    """

    kind: DifferenceKind
    missing: tuple[ResultRow, ...] = ()
    extra: tuple[ResultRow, ...] = ()
    position: int | None = None


def compare(
    expected: ResultSet,
    actual: ResultSet,
    policy: ComparisonPolicy,
    ties: Sequence[TieGroup] | None = None,
) -> Difference | None:
    """None when ``actual`` is acceptable where the reference returned ``expected``.

    ``ties``: the reference's rows by tie group, in its order (see ``ordering.reference_ties``). Without it every row
    of an ordered reference is its own group.
    """
    if len(expected.columns) != len(actual.columns):
        return Difference("column_count")
    if policy.column_order == "any":
        actual = _aligned(expected, actual, policy)
    if policy.column_names == "match" and _lowered(expected.columns) != _lowered(actual.columns):
        return Difference("column_names")
    if expected.rows == actual.rows:
        return None
    tolerance = Tolerance.for_types(expected.types, actual.types, policy.tolerance)
    if ties is None:
        groups: Sequence[TieGroup] = [TieGroup((row,), 1) for row in expected.rows]
    else:
        groups = ties
    bag = _compare_bags(groups, actual.rows, tolerance)
    if bag is not None or not policy.ordered:
        return bag
    return _compare_order(groups, actual.rows, tolerance)


def _lowered(names: Sequence[str]) -> list[str]:
    return [name.lower() for name in names]


def _compare_bags(groups: Sequence[TieGroup], actual: Sequence[ResultRow], tolerance: Tolerance) -> Difference | None:
    required = [row for group in groups if group.take == len(group.rows) for row in group.rows]
    cut = [group for group in groups if group.take < len(group.rows)]
    missing, extra = match_rows(required, actual, tolerance)
    for group in cut:
        _, beyond = match_rows(group.rows, extra, tolerance)
        matched = len(extra) - len(beyond)
        if matched < group.take:
            missing += group.rows[: group.take - matched]
        # Rows of the group beyond what the limit lets through are extra, whichever they are.
        surplus = max(0, matched - group.take)
        extra = beyond + list(group.rows[:surplus])
    if not missing and not extra:
        return None
    return Difference(
        _bag_kind(required + [r for g in cut for r in g.rows], missing, actual, extra), tuple(missing), tuple(extra)
    )


def _bag_kind(
    expected: Sequence[ResultRow], missing: Sequence[ResultRow], actual: Sequence[ResultRow], extra: Sequence[ResultRow]
) -> DifferenceKind:
    known = {canonical(row) for row in expected}
    returned = {canonical(row) for row in actual}
    if all(canonical(row) in known for row in extra) and all(canonical(row) in returned for row in missing):
        return "multiplicity"
    if missing and extra:
        return "rows"
    return "missing_rows" if missing else "extra_rows"


def _compare_order(groups: Sequence[TieGroup], actual: Sequence[ResultRow], tolerance: Tolerance) -> Difference | None:
    start = 0
    for group in groups:
        segment = actual[start : start + group.take]
        _, extra = match_rows(group.rows, segment, tolerance)
        if extra:
            return Difference("order", extra=tuple(extra), position=start + list(segment).index(extra[0]))
        start += group.take
    return None


def match_rows(
    expected: Sequence[ResultRow], actual: Sequence[ResultRow], tolerance: Tolerance
) -> tuple[list[ResultRow], list[ResultRow]]:
    """Pairs equal rows one to one and returns what stays unpaired on each side."""
    waiting: defaultdict[Hashable, list[int]] = defaultdict(list)
    for index in range(len(expected) - 1, -1, -1):
        waiting[canonical(expected[index])].append(index)
    extra = []
    for row in actual:
        bucket = waiting.get(canonical(row))
        if bucket:
            bucket.pop()
        else:
            extra.append(row)
    missing = [expected[index] for index in sorted(index for bucket in waiting.values() for index in bucket)]
    if not (missing and extra and tolerance.applies):
        return missing, extra
    missing, extra = match_within_tolerance(missing, extra, tolerance)
    if missing and extra and max(len(expected), len(actual)) <= _MAX_REMATCHED:
        # An exact partner may have to be given up: with a close to b and b close to c, {a, b} matches {b, c}.
        return match_within_tolerance(expected, actual, tolerance)
    return missing, extra


def _aligned(expected: ResultSet, actual: ResultSet, policy: ComparisonPolicy) -> ResultSet:
    """``actual`` with its columns in the reference's order, or unchanged when no order makes the two agree."""
    names, wanted = _lowered(actual.columns), _lowered(expected.columns)
    if names == wanted:
        return actual
    if sorted(names) == sorted(wanted) and len(set(names)) == len(names):
        return _permuted(actual, [names.index(name) for name in wanted])
    if policy.column_names == "match":
        return actual
    for order in _column_orders(expected, actual, policy.tolerance):
        permuted = _permuted(actual, order)
        tolerance = Tolerance.for_types(expected.types, permuted.types, policy.tolerance)
        if match_rows(expected.rows, permuted.rows, tolerance) == ([], []):
            return permuted
    return actual


_MAX_COLUMN_ORDERS = 500


def _column_orders(expected: ResultSet, actual: ResultSet, tolerance: float) -> list[list[int]]:
    """Orders under which every single column agrees as a bag, at most _MAX_COLUMN_ORDERS of them."""
    orders: list[list[int]] = [[]]
    for i, wanted_type in enumerate(expected.types):
        wanted = [(row[i],) for row in expected.rows]
        fits = [
            j
            for j, given_type in enumerate(actual.types)
            if match_rows(
                wanted,
                [(row[j],) for row in actual.rows],
                Tolerance.for_types([wanted_type], [given_type], tolerance),
            )
            == ([], [])
        ]
        orders = [[*order, j] for order in orders for j in fits if j not in order][:_MAX_COLUMN_ORDERS]
    return orders


def _permuted(result: ResultSet, order: Sequence[int]) -> ResultSet:
    return ResultSet(
        tuple(result.columns[i] for i in order),
        tuple(result.types[i] for i in order),
        tuple(tuple(row[i] for i in order) for row in result.rows),
        result.truncated,
    )


def is_rounding_noise(difference: Difference) -> bool:
    """True when each missing row has an extra one beside it that differs only by one unit of a rounded decimal.

    A value halfway between two decimals goes up or down with the last bit of a float: 1.005 rounds to 1.00 or 1.01 by
    the way it was computed. Whole numbers do not count: a count or a floor off by one is a mistake.
    """
    if difference.kind != "rows" or len(difference.missing) != len(difference.extra):
        return False
    left = list(difference.extra)
    for row in difference.missing:
        partner = next((other for other in left if all(map(_one_unit_apart, row, other))), None)
        if partner is None:
            return False
        left.remove(partner)
    return True


def _one_unit_apart(one: Value, other: Value) -> bool:
    if canonical(one) == canonical(other):
        return True
    if not all(isinstance(value, float | Decimal) and math.isfinite(value) for value in (one, other)):
        return False
    a, b = float(one), float(other)
    return any(
        abs(abs(a - b) - 10.0**-places) < 1e-9 and all(abs(value - round(value, places)) < 1e-9 for value in (a, b))
        for places in range(1, _MOST_PLACES + 1)
    )
