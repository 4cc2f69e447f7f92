"""Who may know what of whom, at the door and in jobs."""

from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import httpx
import pytest

from services.kernel.jobs.requests import SCHEDULE
from tests.integration.insights.conftest import ZONE, Running, running
from tests.support.running import bearer
from tests.support.services import UNCLOSED, job_requested

pytestmark = pytest.mark.filterwarnings(UNCLOSED)
SOON = str(datetime.now(ZoneInfo(ZONE)).date() + timedelta(days=1))  # still to come when midnight passes
# A subject of which nothing was published: 422 says that the door was passed.
ASKED: dict[str, tuple[dict[str, Any], int]] = {
    "/api/recommendations/contents": ({"student_id": "mina"}, 200),
    "/api/analytics/patterns": ({"student_id": "mina"}, 200),
    "/api/predictions/score": ({"student_id": "mina", "subject_id": "pa", "target_date": SOON}, 422),
}


@pytest.mark.parametrize("path", ASKED)
async def test_learners_see_themselves_and_staff_see_everybody(insights: Running, path: str) -> None:
    fields, passed = ASKED[path]
    expected = {
        "nobody": ({}, 401),
        "a forger": ({"Authorization": "Bearer x.y.z"}, 401),
        "another learner": (bearer("juno"), 403),
        "a role of no meaning": (bearer("juno", "learner"), 403),
        "herself": (bearer("mina"), passed),
        "staff": (bearer("kim", "staff"), passed),
        "an administrator": (bearer("root", "admin"), passed),
    }
    async with httpx.AsyncClient(base_url=insights.url, timeout=30) as client:
        for who, (headers, status) in expected.items():
            answer = await client.post(path, json=fields, headers=headers)
            assert answer.status_code == status, (who, answer.text)
            assert ("www-authenticate" in answer.headers) == (status == 401)


async def test_an_open_platform_answers_anybody_but_a_forger(database_url: str) -> None:
    path = "/api/analytics/patterns"
    async with running(database_url, open_to_anonymous=True) as service, httpx.AsyncClient() as client:
        assert (await client.post(service.url + path, json=ASKED[path][0])).status_code == 200
        forged = {"Authorization": "Bearer x.y.z"}
        assert (await client.post(service.url + path, json=ASKED[path][0], headers=forged)).status_code == 401


async def test_only_administrators_import_and_refit(insights: Running) -> None:
    file = {"uri": "gs://elsewhere/none.csv"}
    for task in ("import", "refit"):
        for claim in ({}, {"callerRoles": ["admin"]}):  # a client's own word counts for nothing
            for roles in ([], ["staff"]):
                options = {"task": task, **file, **claim}
                end = await insights.job("prediction", "x", user_id="mina", roles=roles, options=options)
                assert end["failed"] == "not_allowed", (task, claim, roles)
    allowed = [await insights.job("prediction", "x", options={"task": task, **file}) for task in ("import", "refit")]
    assert [end["failed"] for end in allowed] == ["wrong_place", "too_little_history"]


@pytest.mark.parametrize(
    ("job_type", "extra"),
    [("prediction", {"subject_id": "none", "target_date": SOON}), ("report", {"language": "neither"})],
)
async def test_jobs_are_about_oneself_unless_staff_ask(insights: Running, job_type: str, extra: dict[str, str]) -> None:
    for user, roles, students, allowed in (
        ("mina", [], ["mina"], True),
        ("mina", [], ["mina", "juno"], False),
        ("", [], ["mina"], False),
        ("kim", ["staff"], ["mina", "juno"], True),
    ):
        fields = {"language": "en"} if job_type == "report" and not allowed else extra
        end = await insights.job(job_type, {"student_ids": students, **fields}, user_id=user, roles=roles)
        assert (end["failed"] == "not_allowed") is not allowed, (user, roles, end)


async def test_a_schedule_is_an_administrators(insights: Running) -> None:
    request = job_requested("prediction", "x", options={"task": "refit", "metadata": {SCHEDULE: "nightly"}})
    assert (await insights.end_of(request))["failed"] == "too_little_history"
