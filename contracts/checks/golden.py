"""The golden examples: a realistic message of every revision, which must stay readable for ever."""

import io
import json
from typing import Any

import fastavro
import jsonschema_rs
from pydantic import ValidationError

from contracts.checks.finding import Finding
from contracts.exports.catalog import Catalog, Golden, read_golden, read_json, revisions
from contracts.message import Message

_RESTORE = "old messages must stay readable: undo the change of the model, or make it a new VERSION"
_REWRITE = "correct the example, or the schema if it is the one that is wrong"


def check_golden(catalog: Catalog) -> list[Finding]:
    """Missing files are reported by ``check_published``; here is what the present ones say."""
    found = []
    for message in catalog.messages:
        for revision in revisions(message):
            found += _check_revision(catalog, message, revision)
    return found


def _check_revision(catalog: Catalog, message: type[Message], revision: int) -> list[Finding]:
    path = catalog.golden(message, revision)
    if not path.exists():
        return []
    try:
        golden = read_golden(path)
    except ValueError as error:
        return [Finding(str(error), catalog.where(path), _REWRITE)]
    return [
        Finding(what, catalog.where(path), remedy)
        for what, remedy in [
            *_decoding(message, golden),
            *_avro(catalog, message, revision, golden),
            *_json_schema(catalog, message, revision, golden),
        ]
    ]


def _decoding(message: type[Message], golden: Golden) -> list[tuple[str, str]]:
    try:
        decoded = message.from_bytes(golden.data_bytes)
    except ValidationError as error:
        fields = "; ".join(f"{'.'.join(map(str, item['loc']))}: {item['msg']}" for item in error.errors())
        return [(f"{message.__name__} no longer decodes it ({fields})", _RESTORE)]
    wanted = {
        "ce-type": message.event_type(),
        "ce-subject": decoded.subject,
        "ce-specversion": "1.0",
        "content-type": "application/json",
        **decoded.filter_attributes(),
    }
    wrong = {name: value for name, value in wanted.items() if golden.attributes.get(name) != value}
    return [
        (f"attribute {name} is {golden.attributes.get(name)!r}, the data says {value!r}", _REWRITE)
        for name, value in wrong.items()
    ]


def _avro(catalog: Catalog, message: type[Message], revision: int, golden: Golden) -> list[tuple[str, str]]:
    path = catalog.avro(message, revision)
    if not path.exists():
        return []
    problem = avro_problem(read_json(path), golden.data)
    return [(f"does not match {catalog.where(path)}: {problem}", _REWRITE)] if problem else []


def avro_problem(schema: dict[str, Any], data: dict[str, Any]) -> str:
    """Why ``data`` is not the Avro JSON encoding of a value of ``schema``; empty when it is.

    fastavro fills absent fields from their defaults and drops unknown ones. Pub/Sub refuses
    the first, and the second hides a typing error, so what was read must equal what was written.
    """
    try:
        read = next(fastavro.json_reader(io.StringIO(json.dumps(data)), fastavro.parse_schema(schema)))
    except (ValueError, TypeError, KeyError, AttributeError, StopIteration) as error:
        return f"{type(error).__name__}: {error}"
    return "" if read == data else _difference(read, data)


def _difference(read: Any, data: dict[str, Any]) -> str:
    if set(read) != set(data):
        return f"fields {sorted(set(read) ^ set(data))} are in only one of the example and the schema"
    changed = [name for name in data if read[name] != data[name]]
    return f"fields {changed} are not what the schema describes"


def _json_schema(catalog: Catalog, message: type[Message], revision: int, golden: Golden) -> list[tuple[str, str]]:
    path = catalog.json_schema(message, revision)
    if not path.exists():
        return []
    validator = jsonschema_rs.Draft202012Validator(read_json(path), validate_formats=True)
    return [
        (f"{'.'.join(map(str, error.instance_path)) or 'data'}: {error.message} ({catalog.where(path)})", _REWRITE)
        for error in validator.iter_errors(golden.data)
    ]
