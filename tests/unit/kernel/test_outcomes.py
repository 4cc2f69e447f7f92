"""Which failure is tried again, which is given up, and after how long."""

from datetime import UTC, datetime

import asyncpg
import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.jobs import JobProgressed
from contracts.manifest import Subscription
from services.kernel.errors import BusyError, PermanentError, TransientError
from services.kernel.messaging.backoff import delay
from services.kernel.messaging.broker import Delivery
from services.kernel.messaging.envelope import seal
from services.kernel.messaging.outcomes import Dead, Retry, classify, overrun

SUBSCRIPTION = Subscription(JobProgressed, "intake", max_attempts=4, min_backoff=1.0, max_backoff=8.0)
MESSAGE = JobProgressed(
    job_id="j", job_type="t", fence=1, sequence=1, progress=0, step="s", reported_at=datetime(2026, 1, 1, tzinfo=UTC)
)


def delivery(attempt: int) -> Delivery:
    return Delivery(seal(MESSAGE, "grader"), attempt)


def test_a_permanent_error_dies_at_once_with_its_code() -> None:
    assert classify(PermanentError("no", code="unknown_table"), SUBSCRIPTION, delivery(1)) == Dead(
        "unknown_table", "PermanentError: no"
    )


@pytest.mark.parametrize("error", [TransientError("later"), BusyError("full"), KeyError("bug")])
def test_anything_else_is_tried_again_until_the_attempts_run_out(error: Exception) -> None:
    assert [type(classify(error, SUBSCRIPTION, delivery(attempt))) for attempt in (1, 2, 3, 4)] == [Retry] * 3 + [Dead]


def test_an_outage_of_the_database_never_uses_up_the_attempts() -> None:
    outcome = classify(asyncpg.CannotConnectNowError("starting up"), SUBSCRIPTION, delivery(99))
    assert isinstance(outcome, Retry)
    assert outcome.outage


def test_a_transient_error_may_ask_for_a_longer_wait() -> None:
    outcome = classify(TransientError("quota", retry_after=30), SUBSCRIPTION, delivery(1))
    assert isinstance(outcome, Retry)
    assert outcome.delay >= 30


def test_only_more_deliveries_than_allowed_overrun() -> None:
    assert overrun(SUBSCRIPTION, delivery(4)) is None
    assert overrun(SUBSCRIPTION, delivery(5)) is not None


@given(st.integers(1, 10_000), st.floats(0.01, 10), st.floats(10, 600))
def test_backoff_grows_and_stays_within_its_bounds(attempt: int, shortest: float, longest: float) -> None:
    wait = delay(attempt, shortest, longest)
    assert min(shortest, longest) / 2 <= wait <= longest
