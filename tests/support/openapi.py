"""A service against its own document: generated requests find no 5xx and no undocumented answer."""

import httpx
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

CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    negative_data_rejection,
]


def document(url: str) -> schemathesis.schemas.BaseSchema:
    """The document of the service at ``url``, without its security: who may ask is tested by itself."""
    content = httpx.get(f"{url}/openapi.json").json()
    content.get("components", {}).pop("securitySchemes", None)
    for operations in content["paths"].values():
        for operation in operations.values():
            operation.pop("security", None)
    schema = schemathesis.openapi.from_dict(content)
    schema.config.update(base_url=url)
    return schema


def operations(schema: schemathesis.schemas.BaseSchema) -> set[tuple[str, str]]:
    """Method and path of every operation."""
    return {(found.ok().method.upper(), found.ok().path) for found in schema.get_all_operations()}


def send_generated(
    schema: schemathesis.schemas.BaseSchema, method: str, path: str, headers: dict[str, str], examples: int = 40
) -> None:
    """Requests that fit the document and requests that do not, each answer checked."""
    operation = schema[path][method]

    @given(case=operation.as_strategy(GenerationMode.POSITIVE) | operation.as_strategy(GenerationMode.NEGATIVE))
    @settings(max_examples=examples, deadline=None, suppress_health_check=list(HealthCheck), database=None)
    def requests(case: schemathesis.Case) -> None:
        case.call_and_validate(checks=CHECKS, headers=headers)

    requests()
