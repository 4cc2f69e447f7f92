"""Turns, windows, rounds and cron: pure arithmetic."""

import heapq
import math
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.intake.domain.fairness import moving_rate, next_virtual_time, window
from services.intake.domain.progress import rounds
from services.intake.domain.schedules import Schedule, job_id_of, latest_due, next_due


def _served_order(arrivals: list[str]) -> list[str]:
    """All arrive at once, in this order; who is served when."""
    last: dict[str, int] = {}
    waiting: list[tuple[int, int, str]] = []
    for number, user in enumerate(arrivals):
        last[user] = next_virtual_time(0, last.get(user, 0))
        heapq.heappush(waiting, (last[user], number, user))
    return [heapq.heappop(waiting)[2] for _ in arrivals]


@given(st.lists(st.sampled_from("abcd"), min_size=1, max_size=60))
def test_nobody_gets_a_second_turn_before_everybody_waiting_had_a_first(arrivals: list[str]) -> None:
    order = _served_order(arrivals)
    for user in set(arrivals):
        positions = [number for number, who in enumerate(order) if who == user]
        for turn, position in enumerate(positions, start=1):
            others = set(arrivals) - {user}
            ahead = sum(min(turn, arrivals.count(other)) for other in others) + turn - 1
            assert position <= ahead


def test_a_newcomer_stands_where_the_queue_is_not_at_its_end() -> None:
    assert next_virtual_time(queue=40, user_last=0) == 41
    assert next_virtual_time(queue=40, user_last=1_000) == 1_001


@given(st.floats(0, 1e4), st.integers(0, 1_000), st.floats(0, 100))
def test_the_rate_is_a_mean(rate: float, ended: int, elapsed: float) -> None:
    now = moving_rate(rate, ended, elapsed)
    recent = ended / max(elapsed, 1e-3)
    assert min(rate, recent) - 1e-6 <= now <= max(rate, recent) + 1e-6


def test_the_window_follows_the_rate_and_forgets_it() -> None:
    assert window(8, 0.0, 0.1) == 8
    assert window(8, 400.0, 0.1) == 48
    assert math.isclose(moving_rate(400.0, 0, 10.0), 0.0, abs_tol=0.1)


@dataclass(frozen=True)
class _Report:
    job_id: str
    number: int


@given(st.lists(st.tuples(st.sampled_from("xyz"), st.integers()), max_size=30))
def test_rounds_keep_every_report_in_order_and_name_a_job_once(pairs: list[tuple[str, int]]) -> None:
    reports = [_Report(job, number) for job, number in pairs]
    split = rounds(reports)
    for one in split:
        assert len({report.job_id for report in one}) == len(one)
    for job in "xyz":
        assert [report for one in split for report in one if report.job_id == job] == [
            report for report in reports if report.job_id == job
        ]


def test_cron_is_read_in_the_schedules_own_time_zone() -> None:
    noon = datetime(2026, 9, 1, 12, 0, tzinfo=UTC)
    assert next_due("0 1 * * *", "Asia/Seoul", noon) == datetime(2026, 9, 1, 16, 0, tzinfo=UTC)


def test_daylight_saving_time_neither_doubles_nor_drops_a_day() -> None:
    at = datetime(2026, 3, 27, 12, 0, tzinfo=UTC)
    dues = []
    for _ in range(4):
        at = next_due("30 4 * * *", "Europe/Berlin", at)
        dues.append(at)
    assert [due.hour for due in dues] == [3, 2, 2, 2]
    assert len({due.date() for due in dues}) == 4


@pytest.mark.parametrize(
    ("cron", "zone", "complaint"),
    [
        ("0 1 * *", "UTC", "cron"),
        ("61 * * * *", "UTC", "cron"),
        ("0 0 30 2 *", "UTC", "cron"),
        ("* * * * *", "Mars/Olympus", "time zone"),
        ("* * * * *", "../etc/passwd", "time zone"),
    ],
)
def test_impossible_schedules(cron: str, zone: str, complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        next_due(cron, zone, datetime(2026, 9, 1, tzinfo=UTC))


def test_missed_times_are_made_up_for_once_by_the_latest() -> None:
    schedule = Schedule("s", "0 * * * *", "UTC", "grading", "q", next_due_at=datetime(2026, 9, 1, 1, 0, tzinfo=UTC))
    assert latest_due(schedule, datetime(2026, 9, 1, 1, 0, tzinfo=UTC)) == datetime(2026, 9, 1, 1, 0, tzinfo=UTC)
    assert latest_due(schedule, datetime(2026, 9, 3, 7, 20, tzinfo=UTC)) == datetime(2026, 9, 3, 7, 0, tzinfo=UTC)


def test_job_ids_of_a_due_time_agree_to_the_minute() -> None:
    due = datetime(2026, 9, 1, 16, 0, tzinfo=UTC)
    seoul = due.astimezone(ZoneInfo("Asia/Seoul")) + timedelta(seconds=3)
    assert job_id_of("daily", due) == job_id_of("daily", seoul)
    assert job_id_of("daily", due) != job_id_of("other", due)
    assert job_id_of("daily", due) != job_id_of("daily", due + timedelta(minutes=1))
