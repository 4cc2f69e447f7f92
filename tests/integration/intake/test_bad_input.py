"""Every wrong thing a client can send to POST gets a 4xx problem that names the field."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import httpx
import jwt
import pytest

from services.intake.api.models import MAX_QUERY
from services.kernel.http import MAX_BODY_BYTES
from tests.integration.intake.conftest import JOB
from tests.support.running import bearer, token

JSON_TYPE = {"Content-Type": "application/json"}


@pytest.fixture
async def http(served: str) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=served, timeout=30) as client:
        yield client


def _nested(depth: int) -> str:
    return "[" * depth + "]" * depth


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"type": "haircut"}, "type"),
        ({"type": None}, "type"),
        ({"type": 7}, "type"),
        ({"query": ""}, "query"),
        ({"query": " \n\t "}, "query"),
        ({"query": "a\x00b"}, "query"),
        ({"query": 5}, "query"),
        ({"query": ["q"]}, "query"),
        ({"query": "x" * (MAX_QUERY + 1)}, "query"),
        ({"options": []}, "options"),
        ({"options": {"priority": "urgent"}}, "options.priority"),
        ({"options": {"priority": -1}}, "options.priority"),
        ({"options": {"priority": 0}}, "options.priority"),
        ({"options": {"metadata": []}}, "options.metadata"),
        ({"options": {"metadata": {"k": "a\x00"}}}, "options.metadata"),
        ({"options": {"metadata": {"a\x00": 1}}}, "options.metadata"),
        ({"options": {"metadata": {"retryOf": "x"}}}, "options.metadata"),
        ({"options": {"metadata": {f"k{n}": n for n in range(51)}}}, "options.metadata"),
        ({"options": {"metadata": {"big": "x" * 70_000}}}, "options"),
        ({"options": {"metadata": {"big": 10**1500}}}, "options.metadata"),
        ({"options": {f"k{n}": n for n in range(60)}}, "options"),
        ({"options": {"list": ["x" * 70_000]}}, "options"),
        ({"options": {"rows": "a\x00b"}}, "options.'rows'"),
        ({"surprise": True}, "surprise"),
        ({"user_id": "somebody else"}, "user_id"),
    ],
)
async def test_fields(http: httpx.AsyncClient, change: dict[str, Any], field: str) -> None:
    answer = await http.post("/api/ai/jobs", json={**JOB, **change})
    assert answer.status_code == 422, answer.text
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert answer.json()["type"] == "urn:querycraft:problem:invalid-request"
    assert answer.json()["errors"][0]["field"] == field


@pytest.mark.parametrize("missing", ["type", "query"])
async def test_missing_fields(http: httpx.AsyncClient, missing: str) -> None:
    answer = await http.post("/api/ai/jobs", json={name: value for name, value in JOB.items() if name != missing})
    assert answer.status_code == 422
    assert answer.json()["errors"] == [{"field": missing, "message": "Field required"}]


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        (b"", 400, "malformed-json"),
        (b"{", 400, "malformed-json"),
        (b'{"type": "grading", "query": "\xff"}', 400, "invalid-utf8"),
        (b'{"type": "grading", "query": "\xed\xa0\x80"}', 400, "invalid-utf8"),
        (b'{"type": "grading", "query": "\\ud800"}', 400, "malformed-json"),
        (b'{"type": "grading", "query": "q", "options": {"x": NaN}}', 422, "invalid-request"),
        (b'{"type": "grading", "query": "q", "options": {"metadata": {"x": 1e999}}}', 422, "invalid-request"),
        (b"[]", 422, "invalid-request"),
        (b'"text"', 422, "invalid-request"),
        (
            b'{"type":"grading","query":"q","options":{"metadata":{"x":%s}}}' % _nested(60).encode(),
            422,
            "invalid-request",
        ),
        (b'{"type":"grading","query":"q","options":{"x":%s}}' % _nested(100_000).encode(), 400, "malformed-json"),
        (b" " * (MAX_BODY_BYTES + 1), 413, "body-too-large"),
    ],
)
async def test_bodies(http: httpx.AsyncClient, body: bytes, status: int, code: str) -> None:
    answer = await http.post("/api/ai/jobs", content=body, headers=JSON_TYPE)
    assert (answer.status_code, answer.json()["type"]) == (status, f"urn:querycraft:problem:{code}")


async def test_a_body_that_streams_past_the_limit(http: httpx.AsyncClient) -> None:
    async def endless() -> Any:
        for _ in range(20):
            yield b" " * 100_000

    answer = await http.post("/api/ai/jobs", content=endless(), headers=JSON_TYPE)
    assert answer.status_code == 413


@pytest.mark.parametrize(
    "media_type", [None, "text/plain", "application/x-www-form-urlencoded", "application/xml", "é"]
)
async def test_media_types(http: httpx.AsyncClient, media_type: str | None) -> None:
    headers = {} if media_type is None else {"Content-Type": media_type.encode("latin-1")}
    answer = await http.post("/api/ai/jobs", content=json.dumps(JOB).encode(), headers=headers)
    assert answer.status_code == 415
    assert answer.json()["errors"][0]["field"] == "Content-Type"


async def test_json_with_a_charset_is_json(http: httpx.AsyncClient) -> None:
    headers = {"Content-Type": "Application/JSON; charset=UTF-8"}
    assert (await http.post("/api/ai/jobs", content=json.dumps(JOB).encode(), headers=headers)).status_code == 202


async def test_long_query_strings_and_unknown_paths_and_methods(http: httpx.AsyncClient) -> None:
    assert (await http.get("/api/ai/jobs", params={"user": "x" * 5_000})).status_code == 414
    for method, path, status in [("GET", "/nowhere", 404), ("PUT", "/api/ai/jobs", 405), ("PATCH", "/docs", 405)]:
        answer = await http.request(method, path)
        assert answer.status_code == status
        assert answer.headers["Content-Type"] == "application/problem+json"


@pytest.mark.parametrize(
    "authorization",
    [
        "",
        "Basic YTpi",
        "Bearer",
        "Bearer nonsense",
        "Bearer " + "x" * 9_000,
        f"Bearer {token('ada', exp=1)}",
        f"Bearer {token('ada', iss='somebody else')}",
        f"Bearer {token('ada', aud='somebody else')}",
        f"Bearer {token('')}",
        f"Bearer {token('a' + chr(0))}",
        f"Bearer {token('x' * 256)}",
        f"Bearer {token('ada', roles='admin')}",
        "Bearer "
        + jwt.encode({"sub": "ada", "iss": "querycraft", "aud": "querycraft", "exp": 4_102_444_800}, "", "none"),
    ],
)
async def test_tokens_that_prove_nobody(http: httpx.AsyncClient, authorization: str) -> None:
    answer = await http.post("/api/ai/jobs", json=JOB, headers={"Authorization": authorization})
    assert answer.status_code == 401
    assert answer.headers["WWW-Authenticate"].startswith("Bearer")
    assert answer.json()["type"] == "urn:querycraft:problem:invalid-token"


async def test_a_flawed_request_harms_no_other_at_the_same_time(http: httpx.AsyncClient) -> None:
    wrong = {**JOB, "query": "a\x00b"}
    answers = await asyncio.gather(
        *(http.post("/api/ai/jobs", json=wrong if number % 3 == 0 else JOB) for number in range(30)),
        http.post("/api/ai/jobs", json=JOB, headers=bearer("에이다")),
    )
    assert [answer.status_code for answer in answers] == [422 if n % 3 == 0 else 202 for n in range(30)] + [202]
