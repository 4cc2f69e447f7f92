"""When a quota day begins, and what a standing allows."""

from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.kernel.llm.catalogue import Limits
from services.kernel.llm.quota import Spent, Standing, TooLarge, fits_minute, next_reset, quota_day, refusal

LIMITS = Limits(requests_per_minute=10, tokens_per_minute=1_000, requests_per_day=100)
NOW = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)


def utc(text: str) -> datetime:
    return datetime.fromisoformat(f"{text}+00:00")


@pytest.mark.parametrize(
    ("now", "day", "reset"),
    [
        ("2026-11-21T07:59:59", "2026-11-20", "2026-11-21T08:00:00"),  # standard time: UTC-8
        ("2026-11-21T08:00:00", "2026-11-21", "2026-11-22T08:00:00"),
        ("2026-07-01T06:59:59", "2026-06-30", "2026-07-01T07:00:00"),  # daylight time: UTC-7
        ("2026-03-08T08:00:00", "2026-03-08", "2026-03-09T07:00:00"),  # a day of 23 hours
        ("2026-11-01T07:00:00", "2026-11-01", "2026-11-02T08:00:00"),  # a day of 25 hours
        ("2026-12-31T23:00:00", "2026-12-31", "2027-01-01T08:00:00"),
    ],
)
def test_the_day_turns_at_midnight_in_los_angeles(now: str, day: str, reset: str) -> None:
    assert quota_day(utc(now)) == date.fromisoformat(day)
    assert next_reset(utc(now)) == utc(reset)


@given(st.integers(0, 20 * 366 * 86_400))
def test_a_reset_is_ahead_within_25_hours_and_begins_the_next_day(seconds: int) -> None:
    now = utc("2020-01-01T00:00:00") + timedelta(seconds=seconds)
    reset = next_reset(now)
    assert timedelta(0) < reset.astimezone(UTC) - now <= timedelta(hours=25)
    assert quota_day(reset) == quota_day(now) + timedelta(days=1)
    assert quota_day(reset - timedelta(microseconds=1)) == quota_day(now)


@pytest.mark.parametrize(
    ("standing", "tokens", "fits"),
    [
        (Standing(0, 9, 900), 100, True),
        (Standing(0, 10, 0), 1, False),
        (Standing(0, 0, 901), 100, False),
        (Standing(99, 0, 0), 1_000, True),
    ],
)
def test_a_minute_holds_its_limits_exactly(standing: Standing, tokens: int, fits: bool) -> None:
    assert fits_minute(standing, LIMITS, tokens) is fits


def test_what_no_waiting_helps() -> None:
    assert refusal(Standing(99, 0, 0), LIMITS, 1_000, NOW) is None
    assert refusal(Standing(0, 0, 0), LIMITS, 1_001, NOW) == TooLarge(1_000)
    spent = refusal(Standing(100, 0, 0), LIMITS, 1, NOW)
    assert isinstance(spent, Spent)
    assert spent.until == utc("2026-11-22T08:00:00")
