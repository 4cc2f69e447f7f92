"""GET: one job, and pages of them."""

import uuid
from datetime import datetime

import httpx
import pytest

from services.intake.api.views import encode_cursor
from services.intake.domain.jobs import Job, Status
from tests.integration.intake.conftest import Running, becomes, create
from tests.integration.intake.support import add_jobs, new_job
from tests.support.running import bearer


async def test_unknown_and_impossible_ids(http: httpx.AsyncClient) -> None:
    missing = await http.get(f"/api/ai/jobs/{uuid.uuid4()}")
    assert missing.status_code == 404
    assert missing.headers["Content-Type"] == "application/problem+json"
    for text in ("1", "not-a-uuid", "{" + str(uuid.uuid4()) + "}", str(uuid.uuid4()).replace("-", "") + "-----"):
        answer = await http.get(f"/api/ai/jobs/{text}")
        assert answer.status_code == 422
        assert answer.json()["errors"][0]["field"] == "job_id"


async def test_progress_and_result_are_seen(intake: Running, http: httpx.AsyncClient) -> None:
    job_id = await create(http)
    await intake.progress(job_id, 50, "분석 중")
    found = await becomes(http, job_id, "processing")
    assert (found["progress"], found["currentStep"]) == (50, "분석 중")
    assert found["startedAt"]
    await intake.succeed(job_id, text='"quoted" \\ 한국어', nested={"list": [1, None, 2.5]})
    found = await becomes(http, job_id, "completed")
    assert found["progress"] == 100
    assert found["result"]["text"] == '"quoted" \\ 한국어'
    assert found["result"]["nested"] == {"list": [1, None, 2.5]}


async def test_pages_are_newest_first_and_miss_nothing(intake: Running, http: httpx.AsyncClient) -> None:
    jobs = [new_job(f"user-{number % 3}") for number in range(45)]
    await add_jobs(intake.database, jobs)
    seen: list[str] = []
    cursor: str | None = None
    for limit in (10, 20, 20):
        parameters: dict[str, str | int] = {"limit": limit, **({"cursor": cursor} if cursor else {})}
        page = (await http.get("/api/ai/jobs", params=parameters)).json()
        seen += [job["jobId"] for job in page["jobs"]]
        cursor = page["nextCursor"]
        await add_jobs(intake.database, [new_job()])  # what is created meanwhile moves no page
    assert cursor is None
    assert seen == [str(job.id) for job in reversed(jobs)]


async def test_filters(intake: Running, http: httpx.AsyncClient) -> None:
    mine = await create(http, bearer("ada"))
    theirs = await create(http, bearer("grace"), type="problem_generation", query="pa")
    await http.delete(f"/api/ai/jobs/{mine}", headers=bearer("ada"))

    async def ids(**filters: str) -> list[str]:
        page = (await http.get("/api/ai/jobs", params=filters)).json()
        assert "result" not in page["jobs"][0] if page["jobs"] else True
        return [job["jobId"] for job in page["jobs"]]

    assert await ids(user="ada") == [mine]
    assert await ids(status="cancelled") == [mine]
    assert await ids(type="problem_generation") == [theirs]
    assert await ids(status="cancelled", user="grace") == []
    assert await ids() == [theirs, mine]


@pytest.mark.parametrize(
    ("parameters", "field"),
    [
        ({"cursor": "nonsense"}, "cursor"),
        ({"cursor": "A" * 31}, "cursor"),
        ({"cursor": "f" * 32}, "cursor"),
        ({"cursor": "a" * 65}, "cursor"),
        ({"limit": 0}, "limit"),
        ({"limit": 101}, "limit"),
        ({"limit": "many"}, "limit"),
        ({"status": "done"}, "status"),
        ({"type": "haircut"}, "type"),
        ({"user": ""}, "user"),
        ({"user": "a\x00b"}, "user"),
        ({"user": "x" * 256}, "user"),
    ],
)
async def test_wrong_parameters(served: str, parameters: dict[str, str], field: str) -> None:
    async with httpx.AsyncClient(base_url=served) as client:
        answer = await client.get("/api/ai/jobs", params=parameters)
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["field"] == field


async def test_a_cursor_survives_any_job(http: httpx.AsyncClient) -> None:
    created = (await http.get(f"/api/ai/jobs/{await create(http)}")).json()["createdAt"]

    job = Job(
        uuid.UUID(int=0), None, "grading", "low", Status.QUEUED, 0, None, None, None,
        datetime.fromisoformat(created), None, None,
    )  # fmt: skip
    answer = await http.get("/api/ai/jobs", params={"cursor": encode_cursor(job)})
    assert answer.json() == {"jobs": [], "nextCursor": None}
