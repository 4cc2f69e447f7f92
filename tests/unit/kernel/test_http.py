"""Errors over HTTP: problem+json with a stable type, limits, health, and the trace id."""

from collections.abc import AsyncIterator

import httpx
import pytest
from fastapi import FastAPI
from pydantic import BaseModel

from services.kernel.errors import BusyError, PermanentError, QueryCraftError
from services.kernel.http import Problem, add_health, create_app


class Thing(BaseModel):
    count: int


def make_app() -> FastAPI:
    app = create_app("test", "test", max_body=1000)

    @app.post("/things")
    async def things(thing: Thing) -> Thing:
        return thing

    @app.get("/fail/{kind}")
    async def fail(kind: str) -> None:
        raise {
            "permanent": PermanentError("the table has no key", code="no_key"),
            "busy": BusyError("the pool is full", retry_after=7),
            "plain": QueryCraftError("odd"),
            "problem": Problem(409, "already-ended", "The job has ended", errors=[{"field": "id", "message": "old"}]),
            "crash": RuntimeError("secret detail"),
        }[kind]

    async def ready() -> None:
        raise ConnectionError("no database")

    add_health(app, ready)
    return app


@pytest.fixture
async def client() -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(make_app(), raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as opened:
        yield opened


@pytest.mark.parametrize(
    ("kind", "status", "code"),
    [
        ("permanent", 422, "no-key"),
        ("busy", 503, "busy"),
        ("problem", 409, "already-ended"),
        ("crash", 500, "internal"),
    ],
)
async def test_errors_are_problems_with_a_stable_type(
    client: httpx.AsyncClient, kind: str, status: int, code: str
) -> None:
    answer = await client.get(f"/fail/{kind}")
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["type"] == f"urn:querycraft:problem:{code}"
    assert "secret detail" not in answer.text


async def test_busy_says_when_to_come_back(client: httpx.AsyncClient) -> None:
    assert (await client.get("/fail/busy")).headers["retry-after"] == "7"


async def test_invalid_input_names_the_field(client: httpx.AsyncClient) -> None:
    answer = await client.post("/things", json={"count": "many"})
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["field"] == "count"


async def test_unknown_paths_and_methods_are_problems_too(client: httpx.AsyncClient) -> None:
    assert (await client.get("/nowhere")).json()["type"] == "urn:querycraft:problem:not-found"
    assert (await client.delete("/things")).json()["type"] == "urn:querycraft:problem:method-not-allowed"


async def test_a_body_over_the_limit_is_refused_by_its_length(client: httpx.AsyncClient) -> None:
    answer = await client.post("/things", content=b"x" * 1001)
    assert answer.status_code == 413


async def test_a_body_over_the_limit_is_refused_while_it_streams(client: httpx.AsyncClient) -> None:
    async def chunks() -> AsyncIterator[bytes]:
        for _ in range(11):
            yield b"x" * 100

    answer = await client.post("/things", content=chunks())
    assert answer.status_code == 413
    assert answer.headers["content-type"] == "application/problem+json"


async def test_a_service_that_is_not_ready_says_why(client: httpx.AsyncClient) -> None:
    assert (await client.get("/healthz")).json() == {"status": "ok"}
    answer = await client.get("/readyz")
    assert answer.status_code == 503
    assert "no database" in answer.json()["detail"]


async def test_the_callers_trace_goes_on(client: httpx.AsyncClient) -> None:
    trace_id = "4bf92f3577b34da6a3ce929d0e0e4736"
    answer = await client.get("/healthz", headers={"traceparent": f"00-{trace_id}-00f067aa0ba902b7-01"})
    assert answer.headers["trace-id"] == trace_id
    assert len((await client.get("/healthz")).headers["trace-id"]) == 32
