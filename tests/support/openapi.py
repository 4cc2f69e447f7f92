"""A service against its own document: generated requests find no 5xx and no undocumented answer."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

import httpx
import schemathesis
from hypothesis import HealthCheck, given, settings
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.core.failures import Failure
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


@dataclass
class Answers:
    """To generated requests. ``statuses``: how many of each. ``objections``: what the checks had against an answer,
    with the plainest request that shows it."""

    statuses: Counter[int] = field(default_factory=Counter)
    objections: list[str] = field(default_factory=list)


def answers_to_generated(
    schema: schemathesis.schemas.BaseSchema, method: str, path: str, headers: dict[str, str], examples: int = 40
) -> Answers:
    """To requests that fit the document and requests that do not, each answer held against ``CHECKS``.

    Raises:
        requests.RequestException: the service did not answer.
    """
    operation = schema[path][method]
    answers = Answers()

    @given(case=operation.as_strategy(GenerationMode.POSITIVE) | operation.as_strategy(GenerationMode.NEGATIVE))
    @settings(max_examples=examples, deadline=None, suppress_health_check=list(HealthCheck), database=None)
    def ask(case: schemathesis.Case) -> None:
        answer = case.call(headers=headers)
        answers.statuses[answer.status_code] += 1
        case.validate_response(answer, checks=CHECKS, headers=headers)

    try:
        ask()
    except* Failure as failures:
        answers.objections += [str(failure) for failure in _flat(failures)]
    return answers


def _flat(error: BaseException) -> Iterator[BaseException]:
    if isinstance(error, BaseExceptionGroup):
        for inner in error.exceptions:
            yield from _flat(inner)
    else:
        yield error
