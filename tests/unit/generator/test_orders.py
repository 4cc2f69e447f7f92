"""What a generation job may ask for, and how it is told what was wrong."""

from datetime import UTC, date, datetime
from typing import Any

import pytest

from services.generator.domain import OrderDefaults, day_of, read_order
from services.kernel.jobs.context import JobFailedError
from tests.support.services import job_requested

DEFAULTS = OrderDefaults(count=5, max_count=300, rows=2_000)


def order(query: str | dict[str, Any], **fields: Any) -> Any:
    return read_order(job_requested("problem_generation", query, **fields), DEFAULTS)


@pytest.mark.parametrize("text", ["pa", " PA ", "Five problems about pa, please", "'pa'"])
def test_a_short_text_names_the_data_type(text: str) -> None:
    assert order(text).data_type == "pa"


def test_fields_of_the_query_win_over_options() -> None:
    made = order({"data_type": "stream", "count": 2}, options={"count": 9, "difficulty": "hard", "priority": "low"})
    assert (made.data_type, made.count, made.difficulty) == ("stream", 2, ("hard",))


def test_what_is_left_out_has_a_default() -> None:
    made = order("pa", requested_at=datetime(2026, 11, 20, 15, 30, tzinfo=UTC))
    assert (made.count, made.rows, made.locale, made.daily, made.long) == (5, 2_000, "both", False, False)
    assert made.problem_date == date(2026, 11, 21), "half past midnight in Seoul"


def test_a_job_run_again_has_the_same_seed() -> None:
    job = job_requested("problem_generation", "pa")
    assert read_order(job, DEFAULTS).seed == read_order(job, DEFAULTS).seed
    assert order("pa").seed != order("pa").seed


def test_the_seed_of_a_day_is_the_days() -> None:
    options = {"data_type": "pa", "metadata": {"schedule": "daily", "dueAt": "2026-11-20T16:00:00+00:00"}}
    assert order("Daily", options=options).seed == order("Daily", options=options).seed


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("", "query"),
        ("sales", "query"),
        ("pa or stream", "query"),
        ("{", "query"),
        ('{"data_type": ' * 5_000, "query"),
        ({"count": 3}, "data_type"),
        ({"data_type": "shop"}, "data_type"),
        ({"data_type": 7}, "data_type"),
        ({"data_type": "pa", "count": 0}, "count"),
        ({"data_type": "pa", "count": "3"}, "count"),
        ({"data_type": "pa", "count": 1e99}, "count"),
        ({"data_type": "pa", "count": 301}, "count"),
        ({"data_type": "pa", "difficulty": "brutal"}, "difficulty.0"),
        ({"data_type": "pa", "difficulty": ["easy", "brutal"]}, "difficulty.1"),
        ({"data_type": "pa", "topics": ["quantum"]}, "topics"),
        ({"data_type": "pa", "locale": "fr"}, "locale"),
        ({"data_type": "pa", "seed": -1}, "seed"),
        ({"data_type": "pa", "seed": 2**63}, "seed"),
        ({"data_type": "pa", "problem_date": "2026-13-01"}, "problem_date"),
        ({"data_type": "pa", "rows": 10}, "rows"),
        ({"data_type": "pa", "rows": 10**9}, "rows"),
        ({"data_type": "pa", "daily": True}, "daily"),
        ({"data_type": "pa", "cuont": 3}, "cuont"),
    ],
)
def test_every_complaint_names_the_field(query: str | dict[str, Any], field: str) -> None:
    with pytest.raises(JobFailedError, match=rf"(^|; ){field}: ") as raised:
        order(query)
    assert raised.value.code == "invalid_request"


def test_every_wrong_field_is_named_at_once() -> None:
    with pytest.raises(JobFailedError) as raised:
        order({"data_type": "shop", "count": 0, "seed": "x"})
    assert [part.split(":")[0] for part in str(raised.value).split("; ")] == ["data_type", "count", "seed"]


def test_options_that_are_wrong_are_named_too() -> None:
    with pytest.raises(JobFailedError, match=r"^locale: "):
        order("pa", options={"locale": "fr"})


def test_the_tip_is_for_the_day_it_is_due() -> None:
    options = {"metadata": {"schedule": "tip", "dueAt": "2026-11-20T16:00:00+00:00"}}
    assert day_of(job_requested("daily_tip", "Tip", options=options)) == date(2026, 11, 21)
    assert day_of(job_requested("daily_tip", "Tip", options={"tip_date": "2026-01-02"})) == date(2026, 1, 2)
