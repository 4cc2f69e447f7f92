"""Reading what a 429 means."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scripts.emulators import gemini as says
from services.kernel.llm.failures import Reason
from services.kernel.llm.quota_failure import read_quota_failure


def body(reply: says.Reply) -> Any:
    return json.loads(reply.body)


@pytest.mark.parametrize(
    ("reply", "reason", "retry_after"),
    [
        (says.per_minute("20.04466179s"), Reason.THROTTLED, 20.04466179),
        (says.tokens_per_minute("7s"), Reason.THROTTLED, 7.0),
        (says.quota("GenerateRequestsPerMinutePerProjectPerModel"), Reason.THROTTLED, None),
        (says.per_day(), Reason.QUOTA_SPENT, None),
        (says.limit_zero(), Reason.NO_QUOTA, None),
        (says.quota("GenerateRequestsPerMinutePerProjectPerModel", value="0", retry="5s"), Reason.NO_QUOTA, None),
        (says.quota("X", message="Quota exceeded, limit: 0, model: m\nretry in 3s"), Reason.NO_QUOTA, None),
        (says.quota("X", message="Quota exceeded, limit: 0.5"), Reason.THROTTLED, None),
        (says.quota("X", message="limit: 20. Please retry in 11.665902715s."), Reason.THROTTLED, 11.665902715),
        (says.error(429, "Resource has been exhausted"), Reason.THROTTLED, None),
        (says.per_minute("999999999s"), Reason.THROTTLED, 3_600.0),
        (says.per_minute("-5s"), Reason.THROTTLED, None),
        (says.per_minute("soon"), Reason.THROTTLED, None),
    ],
)
def test_the_kind_of_quota_decides(reply: says.Reply, reason: Reason, retry_after: float | None) -> None:
    failure = read_quota_failure(body(reply))
    assert (failure.reason, failure.retry_after) == (reason, retry_after)


def test_an_older_answer_names_the_period_in_its_metric() -> None:
    violation = {"quotaMetric": "generativelanguage.googleapis.com/generate_requests_per_model_per_day"}
    detail = {"@type": "type.googleapis.com/google.rpc.QuotaFailure", "violations": [violation]}
    assert read_quota_failure({"error": {"message": "m", "details": [detail]}}).reason is Reason.QUOTA_SPENT


def test_the_reason_names_the_quota_for_a_person() -> None:
    assert "GenerateRequestsPerDayPerProjectPerModel-FreeTier" in str(read_quota_failure(body(says.per_day())))


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.floats() | st.text(),
    lambda inner: (
        st.lists(inner)
        | st.dictionaries(
            st.sampled_from(["error", "details", "violations", "@type", "quotaId", "message", "x"]), inner
        )
    ),
)


@given(ANYTHING)
def test_any_body_is_read(body: Any) -> None:
    assert read_quota_failure(body).reason in (Reason.THROTTLED, Reason.QUOTA_SPENT, Reason.NO_QUOTA)
