"""Whatever a model accepts, its topic's schema accepts: no message is refused only when it is published."""

import json
from datetime import timedelta, timezone
from typing import Any

import jsonschema_rs
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from contracts.checks.golden import avro_problem
from contracts.exports.avro import avro_schema
from contracts.exports.catalog import declared
from contracts.exports.json_schema import json_schema
from contracts.jobs import JobFailed
from contracts.message import Message

_LEAVES = st.none() | st.booleans() | st.integers() | st.text()
_JSON = st.recursive(_LEAVES, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner))
# Whole minutes, as RFC 3339 writes them; named zones had offsets with seconds long ago.
_OFFSETS = st.integers(-14 * 60, 14 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes)))


def _values(node: dict[str, Any], definitions: dict[str, Any]) -> st.SearchStrategy[Any]:
    """Values that a message's JSON Schema describes; fields with defaults are sometimes absent."""
    if "$ref" in node:
        return _values(definitions[node["$ref"].removeprefix("#/$defs/")], definitions)
    match node["type"]:
        case "object":
            fields = {name: _values(field, definitions) for name, field in node["properties"].items()}
            required = {name: fields.pop(name) for name in node.get("required", ())}
            return st.fixed_dictionaries(required, optional=fields)
        case "array":
            return st.lists(_values(node["items"], definitions), max_size=3)
        case "integer":
            return st.integers(node["minimum"], node["maximum"])
        case "number":
            return st.floats(node["minimum"], node["maximum"])
        case "boolean":
            return st.booleans()
    if node.get("format") == "date-time":
        return st.datetimes(timezones=_OFFSETS).map(lambda moment: moment.isoformat(timespec="microseconds"))
    return _JSON.map(json.dumps) if node.get("contentMediaType") else st.text()


@pytest.mark.parametrize("message", declared().messages, ids=lambda message: message.NAME)
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_every_valid_message_has_the_exported_forms(message: type[Message], data: st.DataObject) -> None:
    schema = json_schema(message)
    made = message.model_validate(data.draw(_values(schema, schema.get("$defs", {}))))
    written = json.loads(made.to_bytes())
    assert message.from_bytes(made.to_bytes()) == made
    assert avro_problem(avro_schema(message), written) == ""
    validator = jsonschema_rs.Draft202012Validator(schema, validate_formats=True)
    assert [error.message for error in validator.iter_errors(written)] == []


@pytest.mark.parametrize("fence", [2**63, -1])
def test_a_number_that_the_topic_would_refuse_is_refused_where_it_is_made(fence: int) -> None:
    valid = dict.fromkeys(("job_id", "job_type", "error_code", "error_message"), "x")
    with pytest.raises(ValidationError, match="fence"):
        JobFailed.model_validate({**valid, "finished_at": "2026-11-21T00:00:00Z", "fence": fence})
