"""Comparison: what must count as the same result, and what must not."""

from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.kernel.sql.compare import ComparisonPolicy, TieGroup, compare
from services.kernel.sql.dataset import Value
from services.kernel.sql.results import ResultSet


def result(*rows: tuple[Value, ...], types: tuple[str, ...] | None = None, names: str = "") -> ResultSet:
    width = len(rows[0]) if rows else len(types or ())
    columns = tuple(names.split()) or tuple(f"c{i}" for i in range(width))
    return ResultSet(columns, types or ("DOUBLE",) * width, rows)


ANY_ORDER = ComparisonPolicy()
ORDERED = ComparisonPolicy(ordered=True)


def test_duplicates_count() -> None:
    difference = compare(result((1,), (1,), (2,)), result((1,), (2,)), ANY_ORDER)

    assert difference is not None
    assert (difference.kind, difference.missing, difference.extra) == ("multiplicity", ((1,),), ())


def test_row_order_does_not_count_unless_the_problem_orders() -> None:
    one, other = result((1,), (2,)), result((2,), (1,))

    assert compare(one, other, ANY_ORDER) is None
    difference = compare(one, other, ORDERED)
    assert difference is not None
    assert (difference.kind, difference.position) == ("order", 0)


def test_ties_may_stand_in_any_order_but_groups_may_not() -> None:
    ties = [TieGroup(((1, "a"), (1, "b")), 2), TieGroup(((2, "c"),), 1)]
    expected = result((1, "a"), (1, "b"), (2, "c"), types=("INTEGER", "VARCHAR"))

    assert compare(expected, result((1, "b"), (1, "a"), (2, "c")), ORDERED, ties) is None
    difference = compare(expected, result((2, "c"), (1, "a"), (1, "b")), ORDERED, ties)
    assert difference is not None
    assert difference.kind == "order"


def test_any_of_the_rows_tied_at_the_limit_will_do_once_each() -> None:
    ties = [TieGroup((("a",),), 1), TieGroup((("b",), ("c",), ("d",)), 2)]
    expected = result(("a",), ("b",), ("c",), types=("VARCHAR",))

    assert compare(expected, result(("a",), ("d",), ("b",)), ORDERED, ties) is None
    assert compare(expected, result(("a",), ("d",), ("d",)), ORDERED, ties) is not None
    assert compare(expected, result(("a",), ("b",), ("c",), ("d",)), ORDERED, ties) is not None
    assert compare(expected, result(("a",), ("b",), ("x",)), ORDERED, ties) is not None


@pytest.mark.parametrize(
    ("left", "right"),
    [
        (1, 1.0),
        (1, Decimal("1.00")),
        (True, 1),
        (0.0, -0.0),
        (float("nan"), float("nan")),
        (None, None),
        (date(2024, 2, 29), datetime.fromisoformat("2024-02-29")),
        (datetime(2024, 1, 1, 9, tzinfo=timezone(timedelta(hours=9))), datetime(2024, 1, 1, tzinfo=UTC)),
        ([1, None, 2.0], [1.0, None, 2]),
        ({"a": 1, "b": [Decimal("1.50")]}, {"b": [1.5], "a": 1}),
        (2**100, 2**100),
        (0.1 + 0.2, 0.3),
    ],
)
def test_equal_values_of_different_types(left: Value, right: Value) -> None:
    assert compare(result((left,)), result((right,)), ANY_ORDER) is None


@pytest.mark.parametrize(
    ("left", "right"),
    [
        (None, 0),
        (None, ""),
        (None, float("nan")),
        ("1", 1),
        (2**63, 2**63 + 1),
        (Decimal("1.50"), Decimal("1.51")),
        ([1, 2], [2, 1]),
        (float("inf"), float("-inf")),
        (datetime.fromisoformat("2024-01-01"), datetime.fromisoformat("2024-01-01 00:00:01")),
        (0.3, 0.3001),
    ],
)
def test_unequal_values(left: Value, right: Value) -> None:
    difference = compare(result((left,)), result((right,)), ANY_ORDER)

    assert difference is not None
    assert difference.kind == "rows"


def test_whole_numbers_have_no_tolerance() -> None:
    big = 10**15
    assert compare(result((big,), types=("BIGINT",)), result((big + 1,), types=("BIGINT",)), ANY_ORDER) is not None


def test_tolerance_matches_rows_whose_text_sorts_otherwise() -> None:
    # As text, 10.0 sorts before 9.999999999999 and the columns pair up wrongly.
    expected = result((9.999999999999, "x"), (10.000000000001, "y"), types=("DOUBLE", "VARCHAR"))
    actual = result((10.0, "x"), (10.0, "y"), types=("DOUBLE", "VARCHAR"))

    assert compare(expected, actual, ANY_ORDER) is None


def test_matching_moves_a_partner_aside_when_only_that_works() -> None:
    # 1.0 is close to both, 1 - 8e-10 only to 1.0: a greedy pairing of the first two leaves the third alone.
    expected = result((1.0,), (1.0 - 8e-10,))
    actual = result((1.0 + 8e-10,), (1.0,))

    assert compare(expected, actual, ANY_ORDER) is None
    assert compare(actual, expected, ANY_ORDER) is None


def test_columns_by_position_by_name_and_in_any_order() -> None:
    expected = result((1, "a"), (2, "b"), names="id name", types=("INTEGER", "VARCHAR"))
    swapped = result(("a", 1), ("b", 2), names="name id", types=("VARCHAR", "INTEGER"))
    renamed = result(("a", 1), ("b", 2), names="x y", types=("VARCHAR", "INTEGER"))

    assert compare(expected, swapped, ANY_ORDER) is not None
    assert compare(expected, swapped, ComparisonPolicy(column_order="any")) is None
    assert compare(expected, renamed, ComparisonPolicy(column_order="any")) is None
    named = ComparisonPolicy(column_order="any", column_names="match")
    assert compare(expected, swapped, named) is None
    difference = compare(expected, renamed, named)
    assert difference is not None
    assert difference.kind == "column_names"


def test_column_count_counts_on_empty_results_too() -> None:
    difference = compare(result(types=("INTEGER",)), result(types=("INTEGER", "INTEGER")), ANY_ORDER)

    assert difference is not None
    assert difference.kind == "column_count"


VALUES = st.one_of(
    st.none(), st.booleans(), st.integers(-3, 3), st.sampled_from([0.5, 1.0, float("nan"), -0.0]), st.sampled_from("ab")
)
ROWS = st.lists(st.tuples(VALUES, VALUES), max_size=8)


@given(ROWS, st.randoms(use_true_random=False))
def test_any_permutation_is_the_same_bag(rows: list[tuple[Value, ...]], rng: object) -> None:
    shuffled = sorted(rows, key=lambda row: repr(row)[::-1])

    assert compare(result(*rows, types=("DOUBLE",) * 2), result(*shuffled, types=("DOUBLE",) * 2), ANY_ORDER) is None


@given(ROWS, st.integers(0, 7), st.tuples(VALUES, VALUES))
def test_one_row_more_is_a_difference(rows: list[tuple[Value, ...]], at: int, row: tuple[Value, ...]) -> None:
    longer = [*rows[:at], row, *rows[at:]]
    types = ("DOUBLE",) * 2

    assert compare(result(*rows, types=types), result(*longer, types=types), ANY_ORDER) is not None
    assert compare(result(*longer, types=types), result(*rows, types=types), ANY_ORDER) is not None


@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=8), st.floats(-4e-10, 4e-10))
def test_noise_within_the_tolerance_is_no_difference(values: list[float], noise: float) -> None:
    noisy = [(value * (1 + noise),) for value in reversed(values)]

    assert compare(result(*[(value,) for value in values]), result(*noisy), ANY_ORDER) is None
