"""The AsyncAPI document is valid and tells the same story as the manifest."""

from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest

from contracts.exports.asyncapi import asyncapi
from contracts.exports.catalog import declared, read_json

OFFICIAL = Path(__file__).parent / "vendor/asyncapi-3.0.0.schema.json"
CATALOG = declared()


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    return read_json(CATALOG.asyncapi)


def _problems(document: dict[str, Any]) -> list[str]:
    validator = jsonschema_rs.validator_for(read_json(OFFICIAL))
    return [f"{list(error.instance_path)}: {error.message}" for error in validator.iter_errors(document)]


def test_it_is_a_valid_asyncapi_3_document(document: dict[str, Any]) -> None:
    assert _problems(document) == []
    damaged = {**document, "operations": {"x": {"action": "shout", "channel": {"$ref": "#/channels/alerts.v1"}}}}
    assert _problems(damaged) != []


def test_every_reference_leads_somewhere(document: dict[str, Any]) -> None:
    references = set(_references(document))
    assert references
    for reference in references:
        node: Any = document
        for step in reference.removeprefix("#/").split("/"):
            assert step in node, f"{reference} leads nowhere at {step!r}"
            node = node[step]


def _references(node: Any) -> list[str]:
    if isinstance(node, list):
        return [found for item in node for found in _references(item)]
    if not isinstance(node, dict):
        return []
    own = [node["$ref"]] if isinstance(node.get("$ref"), str) else []
    return own + [found for value in node.values() for found in _references(value)]


def test_operations_are_the_manifest(document: dict[str, Any]) -> None:
    sends = {(op["tags"][0]["name"], op["channel"]["$ref"]) for op in _operations(document, "send")}
    receives = {
        (op["x-subscription"]["name"], op["x-subscription"]["filter"]) for op in _operations(document, "receive")
    }
    assert sends == {(service, f"#/channels/{topic.name}") for topic in CATALOG.topics for service in topic.producers}
    assert receives == {(sub.name, sub.filter_expression()) for sub in CATALOG.subscriptions}


def _operations(document: dict[str, Any], action: str) -> list[dict[str, Any]]:
    return [operation for operation in document["operations"].values() if operation["action"] == action]


@pytest.mark.parametrize("message", CATALOG.messages, ids=lambda message: message.NAME)
def test_each_example_satisfies_its_own_headers_and_payload(document: dict[str, Any], message: type) -> None:
    described = document["components"]["messages"][message.topic()]
    (example,) = described["examples"]
    schemas = {"components": document["components"]}
    for part, schema in (("headers", described["headers"]), ("payload", described["payload"])):
        validator = jsonschema_rs.Draft202012Validator({**schemas, **schema}, validate_formats=True)
        assert [error.message for error in validator.iter_errors(example[part])] == []
    assert described["headers"]["properties"]["ce-type"]["const"] == message.event_type()


def test_it_is_what_the_models_say_now(document: dict[str, Any]) -> None:
    assert document == asyncapi(CATALOG)
