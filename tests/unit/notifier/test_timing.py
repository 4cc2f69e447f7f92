"""When mails leave: at most one a window, none in quiet hours but what is critical, nothing delayed for ever."""

from datetime import UTC, datetime, time, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from services.notifier.timing import QuietHours, leaves_at

SEOUL = ZoneInfo("Asia/Seoul")
DAY = timedelta(days=1)
MOMENTS = st.datetimes(datetime(2024, 1, 1), datetime(2027, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001 - hypothesis adds the zone
ZONES = st.sampled_from(["Asia/Seoul", "America/New_York", "Europe/Berlin", "Australia/Lord_Howe", "UTC"]).map(ZoneInfo)
CLOCKS = st.times().map(lambda clock: clock.replace(second=0, microsecond=0))
WINDOWS = st.integers(0, 86_400).map(lambda seconds: timedelta(seconds=seconds))


@st.composite
def quiet_hours(draw: st.DrawFn) -> QuietHours:
    start, end = draw(CLOCKS), draw(CLOCKS)
    assume(start != end)
    return QuietHours(start, end, draw(ZONES))


@given(quiet_hours(), MOMENTS)
def test_deferral_ends_outside_quiet_hours_within_about_a_day(quiet: QuietHours, moment: datetime) -> None:
    deferred = quiet.defer(moment)
    assert not quiet.cover(deferred)
    assert timedelta(0) <= deferred - moment <= DAY + timedelta(hours=2)
    assert (deferred == moment) == (not quiet.cover(moment))


@given(quiet_hours(), MOMENTS)
def test_outside_the_zone_s_clock_changes_deferral_ends_when_the_hours_end(quiet: QuietHours, moment: datetime) -> None:
    assume(quiet.cover(moment))
    offsets = {(moment + timedelta(hours=hours)).astimezone(quiet.zone).utcoffset() for hours in range(-30, 31)}
    assume(len(offsets) == 1)
    assert quiet.defer(moment).astimezone(quiet.zone).time() == quiet.end


@given(
    st.lists(st.integers(0, 7_200), max_size=40),
    MOMENTS,
    WINDOWS,
    st.none() | quiet_hours(),
    st.booleans(),
)
def test_a_storm_of_one_group(
    gaps: list[int], start: datetime, window: timedelta, quiet: QuietHours | None, critical: bool
) -> None:
    """Told one after another: mails leave a window apart, none before what it tells, none late without a reason."""
    now, planned, mails = start, None, []
    for gap in gaps:
        now += timedelta(seconds=gap)
        planned = leaves_at(now, planned, window, quiet, critical=critical)
        mails.append(planned)
        assert planned >= now
        late = window if quiet is None or critical else window + DAY + timedelta(hours=2)
        assert planned - now <= late
        if quiet is not None and not critical:
            assert not quiet.cover(planned)
    assert mails == sorted(mails)
    assert all(later - earlier >= window for earlier, later in pairwise(sorted(set(mails))))


@pytest.mark.parametrize(
    ("clock", "until"),
    [("2026-11-21 23:30", "2026-11-22 07:00"), ("2026-11-22 06:59", "2026-11-22 07:00"), ("2026-11-22 07:00", None)],
)
def test_hours_over_midnight(clock: str, until: str | None) -> None:
    moment = datetime.fromisoformat(clock).replace(tzinfo=SEOUL)
    expected = moment if until is None else datetime.fromisoformat(until).replace(tzinfo=SEOUL)
    assert QuietHours(time(22), time(7), SEOUL).defer(moment) == expected


def test_the_first_leaves_at_once_the_second_a_window_later_the_third_with_it_and_critical_ones_at_night() -> None:
    window, night = timedelta(minutes=5), QuietHours(time(22), time(7), SEOUL)
    noon = datetime(2026, 11, 21, 12, tzinfo=SEOUL)
    first = leaves_at(noon, None, window, night, critical=False)
    second = leaves_at(noon + timedelta(seconds=1), first, window, night, critical=False)
    third = leaves_at(noon + timedelta(minutes=4), second, window, night, critical=False)
    assert (first, second, third) == (noon, noon + window, noon + window)
    midnight = noon + timedelta(hours=12)
    assert leaves_at(midnight, None, window, night, critical=True) == midnight
    assert leaves_at(midnight, None, window, night, critical=False) == midnight + timedelta(hours=7)


def test_hours_of_no_length_are_refused() -> None:
    with pytest.raises(ValueError, match="same time"):
        QuietHours(time(7), time(7), SEOUL)
