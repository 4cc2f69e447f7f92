"""Intake against its own document."""

import httpx
import pytest
import schemathesis

from tests.support.openapi import answers_to_generated, document, operations
from tests.support.running import bearer

OPERATIONS = [
    ("POST", "/api/ai/jobs"),
    ("GET", "/api/ai/jobs"),
    ("GET", "/api/ai/jobs/{job_id}"),
    ("DELETE", "/api/ai/jobs/{job_id}"),
    ("POST", "/api/ai/jobs/{job_id}/retry"),
    ("GET", "/api/ai/jobs/{job_id}/events"),
    ("GET", "/api/ai/schedules"),
    ("GET", "/api/ai/schedules/{name}"),
    ("PUT", "/api/ai/schedules/{name}"),
    ("DELETE", "/api/ai/schedules/{name}"),
    ("GET", "/healthz"),
    ("GET", "/readyz"),
]


@pytest.fixture(scope="module")
def schema(served: str) -> schemathesis.schemas.BaseSchema:
    return document(served)


def test_every_operation_is_listed_here(schema: schemathesis.schemas.BaseSchema) -> None:
    assert operations(schema) == set(OPERATIONS)


@pytest.mark.parametrize(("method", "path"), OPERATIONS)
def test_generated_requests(schema: schemathesis.schemas.BaseSchema, method: str, path: str) -> None:
    answers = answers_to_generated(schema, method, path, bearer("root", "admin"))
    assert answers.objections == []
    assert max(answers.statuses) < 500


def test_the_docs_page(served: str) -> None:
    answer = httpx.get(f"{served}/docs")
    assert answer.status_code == 200
    assert "QueryCraft intake" in answer.text
