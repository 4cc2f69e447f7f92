"""The document against the service: generated requests find no 5xx and no undocumented answer."""

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

from tests.integration.intake.conftest import bearer

CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    negative_data_rejection,
]
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
    return schemathesis.openapi.from_url(f"{served}/openapi.json")


def test_every_operation_is_listed_here(schema: schemathesis.schemas.BaseSchema) -> None:
    found = {(operation.ok().method.upper(), operation.ok().path) for operation in schema.get_all_operations()}
    assert found == set(OPERATIONS)


@pytest.mark.parametrize(("method", "path"), OPERATIONS)
def test_generated_requests(schema: schemathesis.schemas.BaseSchema, method: str, path: str) -> None:
    operation = schema[path][method]

    @given(case=operation.as_strategy(GenerationMode.POSITIVE) | operation.as_strategy(GenerationMode.NEGATIVE))
    @settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck), database=None)
    def requests(case: schemathesis.Case) -> None:
        case.call_and_validate(checks=CHECKS, headers=bearer("root", "admin"))

    requests()


def test_the_docs_page(served: str) -> None:
    answer = httpx.get(f"{served}/docs")
    assert answer.status_code == 200
    assert "QueryCraft intake" in answer.text
