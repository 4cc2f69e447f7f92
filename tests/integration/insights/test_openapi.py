"""Insights against its own document, asked by a member of staff."""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

import pytest
import schemathesis

from scripts.embedded.postgres import PostgresServer
from tests.integration.insights.conftest import running
from tests.support.openapi import answers_to_generated, document, operations
from tests.support.running import TOKEN_KEY, bearer, on_own_thread
from tests.support.services import service_database

OPERATIONS = [
    ("POST", "/api/recommendations/contents"),
    ("POST", "/api/predictions/score"),
    ("POST", "/api/analytics/patterns"),
    ("GET", "/health"),
    ("GET", "/healthz"),
    ("GET", "/readyz"),
]


@pytest.fixture(scope="module")
def schema(postgres_server: PostgresServer) -> Iterator[schemathesis.schemas.BaseSchema]:
    with service_database(postgres_server, "insights") as database_url:

        @asynccontextmanager
        async def serve() -> AsyncIterator[str]:
            async with running(database_url, identity_key=TOKEN_KEY) as service:
                yield service.url

        with on_own_thread(serve) as url:
            yield document(url)


def test_every_operation_is_listed_here(schema: schemathesis.schemas.BaseSchema) -> None:
    assert operations(schema) == set(OPERATIONS)


@pytest.mark.parametrize(("method", "path"), OPERATIONS)
def test_generated_requests(schema: schemathesis.schemas.BaseSchema, method: str, path: str) -> None:
    answers = answers_to_generated(schema, method, path, bearer("kim", "staff"))
    assert answers.objections == []
    assert max(answers.statuses) < 500
