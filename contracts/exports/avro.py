"""Message models as Avro, in the form whose JSON encoding is the plain JSON on our wire.

The Avro 1.12 JSON encoding writes a nullable value as ``{"string": ...}`` and a timestamp
as a number. Messages therefore have no unions (checked), and times stay RFC 3339 strings.
"""

from typing import Any

from pydantic_avro.to_avro.types import AvroTypeConverter

from contracts.exports.catalog import Json
from contracts.message import Message

_NAMESPACE = "querycraft"

# ``format`` would make a time a number; ``minimum`` and ``maximum`` would make an integer
# an Avro int instead of a long, so that relaxing a bound later would retype the field.
# Texts are left out so that editing a description is not a new schema revision.
_NOT_FOR_AVRO = frozenset({"format", "minimum", "maximum", "description"})


class NotPlainJson(ValueError):
    """The model needs an Avro union, whose JSON encoding is not plain JSON."""


def avro_schema(message: type[Message]) -> Json:
    """The Avro schema of the current revision of ``message``.

    Raises:
        NotPlainJson: a field is optional or a union.
    """
    schema = _simplified(message.model_json_schema(mode="serialization"))
    fields = AvroTypeConverter(schema).fields_to_avro_dicts(schema)
    record: Json = _name_and_type_first(
        {"name": _record_name(message), "type": "record", "namespace": _NAMESPACE, "fields": fields}
    )
    _refuse_unions(record, message.NAME)
    return record


def _record_name(message: type[Message]) -> str:
    """From the message's name, so that renaming a class changes no schema."""
    return "".join(part.capitalize() for part in message.NAME.replace("_", ".").split("."))


def _simplified(schema: Any) -> Any:
    if isinstance(schema, list):
        return [_simplified(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    properties = {"properties", "$defs"}
    return {
        # Under ``properties`` and ``$defs`` the keys are names of ours, which may be called "format".
        key: {name: _simplified(item) for name, item in value.items()} if key in properties else _simplified(value)
        for key, value in schema.items()
        if key not in _NOT_FOR_AVRO
    }


def _name_and_type_first(node: Any) -> Any:
    """Avro files are read by people too."""
    if isinstance(node, list):
        return [_name_and_type_first(item) for item in node]
    if not isinstance(node, dict):
        return node
    first = [key for key in ("name", "type") if key in node]
    return {key: _name_and_type_first(node[key]) for key in [*first, *(key for key in node if key not in first)]}


def _refuse_unions(node: Any, where: str) -> None:
    if isinstance(node, list):
        for item in node:
            _refuse_unions(item, where)
    elif isinstance(node, dict):
        path = f"{where}.{node['name']}" if "name" in node and "fields" not in node else where
        for kind in ("type", "items", "values"):
            if isinstance(node.get(kind), list):
                raise NotPlainJson(
                    f"{path} is a union {node[kind]}; write what is absent as an empty string, a zero or an empty list"
                )
        for key, value in node.items():
            if key != "default":
                _refuse_unions(value, path)
