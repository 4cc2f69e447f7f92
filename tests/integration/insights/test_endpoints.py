"""The three endpoints: exact fields, true reasons, honest cold starts, and clear refusals."""

from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import httpx
import pytest

from tests.integration.insights.conftest import SKILLS, ZONE, Running, answers_of, graded, published
from tests.support.services import UNCLOSED, until

pytestmark = pytest.mark.filterwarnings(UNCLOSED)
SOON = datetime.now(ZoneInfo(ZONE)).date() + timedelta(days=1)  # still to come when midnight passes


@pytest.fixture
async def stocked(insights: Running) -> Running:
    await insights.publish(*(published(number) for number in range(40)), source="generator")
    answers = answers_of(5, 12, items=40)
    await insights.publish(*answers)
    await insights.followed(len(answers))

    async def listed() -> bool:
        async with httpx.AsyncClient(base_url=insights.url) as client:
            return bool((await client.get("/health")).json()["items"] == 40)

    await until(listed)
    return insights


async def test_recommendations_are_unseen_balanced_and_say_why(stocked: Running, http: httpx.AsyncClient) -> None:
    answer = await http.post("/api/recommendations/contents", json={"student_id": "learner-000", "limit": 8})
    body = answer.json()
    assert answer.status_code == 200
    assert len(body["content_ids"]) == len(body["scores"]) == len(body["reasoning"]) == 8
    seen = await stocked.database.fetch("SELECT item FROM interactions WHERE learner = 'learner-000'")
    assert not set(body["content_ids"]) & {row["item"] for row in seen}
    subjects = {int(name.split("-")[1]) % 2 for name in body["content_ids"]}
    assert subjects == {0, 1}
    assert body["basis"] == "learner"
    for reason in body["reasoning"]:
        assert f"{round(100 * reason['expected_success'])} %" in reason["en"]
        assert f"{round(100 * reason['expected_success'])}%" in reason["ko"]
        assert ("due for review" in reason["en"]) == (reason["terms"]["review"] > 0)
        assert ("weaker" in reason["en"]) == (reason["terms"]["weakness"] > 0)


async def test_an_unknown_learner_gets_an_answer_that_says_so(stocked: Running, http: httpx.AsyncClient) -> None:
    contents = (await http.post("/api/recommendations/contents", json={"student_id": "nobody"})).json()
    assert (contents["basis"], len(contents["content_ids"])) == ("cold_start", 10)
    patterns = (await http.post("/api/analytics/patterns", json={"student_id": "nobody"})).json()
    assert patterns["basis"] == "cold_start"
    assert patterns["preferred_time_slots"] is patterns["peak_hours"] is patterns["avg_session_duration"] is None
    assert patterns["subject_strengths"] == []


async def test_a_score_has_an_interval_and_factors_that_add_up(stocked: Running, http: httpx.AsyncClient) -> None:
    asked = {"student_id": "learner-001", "subject_id": "pa", "target_date": str(SOON + timedelta(days=14))}
    body = (await http.post("/api/predictions/score", json=asked)).json()
    assert sum(factor["effect"] for factor in body["factors"]) == pytest.approx(body["predicted_score"])
    assert body["confidence"]["low"] < body["predicted_score"] < body["confidence"]["high"]
    assert body["confidence"]["level"] == 0.8
    assert [factor["name"] for factor in body["factors"]] == ["subject", "ability", "skills", "trend", "time"]


async def test_a_bad_question_is_refused_clearly(stocked: Running, http: httpx.AsyncClient) -> None:
    for changes, code in (
        ({"target_date": str(SOON - timedelta(days=2))}, "bad-target-date"),
        ({"target_date": "2999-01-01"}, "bad-target-date"),
        ({"target_date": "soon"}, "invalid-request"),
        ({"subject_id": "astrology"}, "unknown-subject"),
        ({"student_id": ""}, "invalid-request"),
        ({"student_id": "a\x00b"}, "invalid-request"),
        ({"student_id": "x" * 300}, "invalid-request"),
    ):
        asked = {"student_id": "learner-001", "subject_id": "pa", "target_date": str(SOON), **changes}
        answer = await http.post("/api/predictions/score", json=asked)
        assert (answer.status_code, answer.json()["type"].rpartition(":")[2]) == (422, code), changes


async def test_an_answer_moves_what_was_cached(stocked: Running, http: httpx.AsyncClient) -> None:
    asked = {"student_id": "learner-002", "subject_id": "pa", "target_date": str(SOON)}
    before = (await http.post("/api/predictions/score", json=asked)).json()
    assert (await http.post("/api/predictions/score", json=asked)).json() == before
    count = await stocked.database.pool.fetchval("SELECT count(*) FROM interactions")
    wrong = [graded("learner-002", number, False, 10_000 + number) for number in range(1, 20, 2)]
    await stocked.publish(*wrong)
    await stocked.followed(count + len(wrong))
    after = (await http.post("/api/predictions/score", json=asked)).json()
    assert after["predicted_score"] < before["predicted_score"]


async def test_patterns_appear_with_enough_sessions(insights: Running, http: httpx.AsyncClient) -> None:
    """Ten mornings, two answers each, right on one skill and wrong on another."""
    days = [
        message
        for day in range(10)
        for message in (
            graded("mina", 0, True, 1440 * day - 60),  # 08:00 UTC is 17:00 in Seoul
            graded("mina", 1, False, 1440 * day - 50),
        )
    ]
    await insights.publish(*days)
    await insights.followed(len(days))
    body = (await http.post("/api/analytics/patterns", json={"student_id": "mina"})).json()
    assert body["sessions"] == 10
    assert body["preferred_time_slots"][0]["slot"] == "afternoon"
    assert body["preferred_time_slots"][0]["confidence"] > 0.95
    assert 0.25 < body["preferred_time_slots"][0]["share"] < 1
    assert body["peak_hours"][0]["hour"] == 17
    assert 10 < body["avg_session_duration"]["minutes"] < 20
    strengths = body["subject_strengths"]
    assert [entry["skill"] for entry in strengths] == [SKILLS[1], SKILLS[0]]
    assert strengths[0]["strength"] < strengths[1]["strength"]
    assert all(0 < entry["confidence"] < 1 for entry in strengths)


async def test_named_origins_may_call(http: httpx.AsyncClient) -> None:
    asked = {"Origin": "https://learn.example", "Access-Control-Request-Method": "POST"}
    allowed = await http.options("/api/analytics/patterns", headers=asked)
    assert allowed.headers["access-control-allow-origin"] == "https://learn.example"
    refused = await http.options("/api/analytics/patterns", headers={**asked, "Origin": "https://elsewhere.example"})
    assert "access-control-allow-origin" not in refused.headers


async def test_health_says_which_model_serves(http: httpx.AsyncClient) -> None:
    assert (await http.get("/health")).json() == {"status": "ok", "model_id": 0, "items": 0}
