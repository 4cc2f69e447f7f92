"""The document against the service: generated requests find no 5xx and no undocumented answer."""

import asyncio
import threading
from collections.abc import Iterator
from concurrent.futures import Future

import httpx
import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    negative_data_rejection,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from scripts.embedded.postgres import PostgresServer
from tests.integration.insights.conftest import TOKEN_KEY, bearer, running
from tests.support.services import service_database

CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    negative_data_rejection,
]
OPERATIONS = [
    ("POST", "/api/recommendations/contents"),
    ("POST", "/api/predictions/score"),
    ("POST", "/api/analytics/patterns"),
    ("GET", "/health"),
    ("GET", "/healthz"),
    ("GET", "/readyz"),
]


@pytest.fixture(scope="module")
def served(postgres_server: PostgresServer) -> Iterator[str]:
    """URL of an insights service on an event loop of its own thread."""
    with service_database(postgres_server, "insights") as url:
        ready: Future[str] = Future()
        loop = asyncio.new_event_loop()
        stop = asyncio.Event()

        async def serve() -> None:
            async with running(url, identity_key=TOKEN_KEY) as service:
                ready.set_result(service.url)
                await stop.wait()

        def run() -> None:
            try:
                loop.run_until_complete(serve())
            except BaseException as error:
                if ready.done():
                    raise
                ready.set_exception(error)
            finally:
                loop.close()

        thread = threading.Thread(target=run)
        thread.start()
        try:
            yield ready.result(30)
        finally:
            loop.call_soon_threadsafe(stop.set)
            thread.join(30)


@pytest.fixture(scope="module")
def schema(served: str) -> schemathesis.schemas.BaseSchema:
    """Without its security: who may ask is tested by itself, here it is always a member of staff."""
    document = httpx.get(f"{served}/openapi.json").json()
    assert document["components"].pop("securitySchemes")
    for operation in (operation for path in document["paths"].values() for operation in path.values()):
        assert operation.pop("security", None) or operation["tags"] != ["insights"]
    loaded = schemathesis.openapi.from_dict(document)
    loaded.config.update(base_url=served)
    return loaded


def test_every_operation_is_listed_here(schema: schemathesis.schemas.BaseSchema) -> None:
    found = {(operation.ok().method.upper(), operation.ok().path) for operation in schema.get_all_operations()}
    assert found == set(OPERATIONS)


@pytest.mark.parametrize(("method", "path"), OPERATIONS)
def test_generated_requests(schema: schemathesis.schemas.BaseSchema, method: str, path: str) -> None:
    operation = schema[path][method]

    @given(case=operation.as_strategy(GenerationMode.POSITIVE) | operation.as_strategy(GenerationMode.NEGATIVE))
    @settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck), database=None)
    def requests(case: schemathesis.Case) -> None:
        case.call_and_validate(checks=CHECKS, headers=bearer("kim", "staff"))

    requests()
