"""Complexity, routing, preferences and idempotency: the pure rules at the door."""

import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.jobs import JobType
from contracts.manifest import WORKERS
from services.intake.domain import idempotency
from services.intake.domain.complexity import THRESHOLD, classify
from services.intake.domain.idempotency import StoredAnswer, Verdict, fingerprint_of, judge, key_in
from services.intake.domain.jobs import served_types, worker_of
from services.intake.domain.preferences import MAX_WAIT, Preference, preference_in
from services.intake.domain.routing import SIMPLE_SECONDS, Route, route

SIMPLE = classify(JobType.ANALYSIS, "how many users are there")
COMPLEX = classify(JobType.REPORT, "Compare the growth of each cohort over time and explain why")


@pytest.mark.parametrize(
    ("job_type", "query", "level"),
    [
        (JobType.ANALYSIS, "how many users are there", "simple"),
        (JobType.ANALYSIS, "전체 사용자는 몇 명인가요?", "simple"),
        (JobType.GRADING, "SELECT count(*) FROM users", "simple"),
        (JobType.GRADING, "SELECT a, count(*) FROM t JOIN u ON t.id = u.id GROUP BY a", "simple"),
        (JobType.ANALYSIS, "지난 분기 대비 매출 추이를 비교하고 원인을 설명해 주세요", "complex"),
        (JobType.ANALYSIS, "compare the trend of sales and forecast the next quarter", "complex"),
        (JobType.PROBLEM_GENERATION, "pa", "complex"),
        (JobType.ANALYSIS, "x" * 501, "complex"),
        (
            JobType.GRADING,
            "WITH a AS (SELECT 1), b AS (SELECT 2) SELECT row_number() OVER (ORDER BY x) FROM a JOIN b ON true",
            "complex",
        ),
        (JobType.ANALYSIS, "how many? from where? since when? by whom?", "complex"),
    ],
)
def test_complexity(job_type: JobType, query: str, level: str) -> None:
    assert classify(job_type, query).level == level


def test_complexity_explains_itself() -> None:
    explained = COMPLEX.explained()
    assert explained["score"] == sum(COMPLEX.reasons.values()) >= THRESHOLD
    assert explained["complexity"] == "complex"
    assert {"type report", "comparison", "trend", "explanation"} <= set(COMPLEX.reasons)


@given(st.sampled_from(JobType), st.text(max_size=600))
def test_complexity_is_the_sum_of_its_reasons(job_type: JobType, query: str) -> None:
    found = classify(job_type, query)
    assert found.score == sum(found.reasons.values())
    assert found.is_simple == (found.score < THRESHOLD)


NO_WISH = Preference()


@pytest.mark.parametrize(
    ("complexity", "preference", "queue", "by_complexity", "expected"),
    [
        (SIMPLE, NO_WISH, True, True, Route(wait=SIMPLE_SECONDS)),
        (COMPLEX, NO_WISH, True, True, Route()),
        (SIMPLE, NO_WISH, True, False, Route()),
        (SIMPLE, Preference(respond_async=True), True, True, Route()),
        (COMPLEX, Preference(wait=7), True, True, Route(wait=7)),
        (SIMPLE, Preference(wait=0), True, True, Route()),
        (COMPLEX, Preference(wait=3, respond_async=True), True, False, Route(wait=3)),
        (SIMPLE, NO_WISH, False, False, Route(wait=SIMPLE_SECONDS, may_queue=False)),
        (SIMPLE, Preference(respond_async=True), False, True, Route(wait=SIMPLE_SECONDS, may_queue=False)),
        (COMPLEX, Preference(wait=9), False, True, Route(refused=True)),
    ],
)
def test_routing(complexity, preference, queue, by_complexity, expected) -> None:  # type: ignore[no-untyped-def]
    assert route(complexity, preference, queue=queue, by_complexity=by_complexity) == expected


@pytest.mark.parametrize(
    ("header", "expected", "applied"),
    [
        (None, Preference(), ""),
        ("respond-async", Preference(respond_async=True), "respond-async"),
        ("wait=10", Preference(wait=10), "wait=10"),
        ('wait="10"', Preference(wait=10), "wait=10"),
        ("respond-async, wait=99999", Preference(MAX_WAIT, True), f"respond-async, wait={MAX_WAIT}"),
        ("wait=-1, wait=x, handling=strict", Preference(), ""),
        ("Wait = 3; foo, wait=9", Preference(wait=3), "wait=3"),
    ],
)
def test_preferences(header: str | None, expected: Preference, applied: str) -> None:
    assert preference_in(header) == expected
    assert preference_in(header).applied == applied


@given(st.text(max_size=80))
def test_no_prefer_header_is_an_error(header: str) -> None:
    found = preference_in(header)
    assert found.wait is None or 0 <= found.wait <= MAX_WAIT


@pytest.mark.parametrize(
    ("stored_print", "status", "answering", "verdict"),
    [
        ("a", 202, False, Verdict.REPLAY),
        ("a", 200, True, Verdict.REPLAY),
        ("a", None, True, Verdict.IN_FLIGHT),
        ("a", None, False, Verdict.REPLAY),
        ("b", 202, False, Verdict.OTHER_PAYLOAD),
        ("b", None, True, Verdict.OTHER_PAYLOAD),
    ],
)
def test_second_request_under_a_key(stored_print: str, status: int | None, answering: bool, verdict: Verdict) -> None:
    stored = StoredAnswer(stored_print, uuid.uuid4(), status, "{}", answering)
    assert judge(stored, "a") is verdict


def test_fingerprint_ignores_the_order_of_names_and_sees_everything_else() -> None:
    assert fingerprint_of("create", {"a": 1, "b": {"c": 2, "d": 3}}) == fingerprint_of(
        "create", {"b": {"d": 3, "c": 2}, "a": 1}
    )
    assert fingerprint_of("create", {"a": 1}) != fingerprint_of("create", {"a": 2})
    assert fingerprint_of("create", {}) != fingerprint_of("retry:1", {})


@pytest.mark.parametrize(
    ("header", "key"),
    [("abc", "abc"), ('"abc"', "abc"), ("", None), ('""', None), ("a b", None), ("é", None), ("k" * 256, None)],
)
def test_idempotency_keys(header: str, key: str | None) -> None:
    assert key_in(header) == key
    assert idempotency.KEEP_SECONDS == 24 * 3600


def test_the_manifest_decides_what_is_served() -> None:
    assert served_types() == sorted(job_type for types in WORKERS.values() for job_type in types)
    for worker, types in WORKERS.items():
        assert {worker_of(job_type) for job_type in types} == {worker}
    unserved = set(JobType) - set(served_types())
    assert all(worker_of(job_type) is None for job_type in unserved)
