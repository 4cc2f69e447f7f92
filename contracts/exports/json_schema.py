"""Message models as JSON Schema 2020-12, seen by a reader: a field with a default may be absent."""

from pydantic.json_schema import GenerateJsonSchema

from contracts.exports.catalog import Json
from contracts.message import Message


def json_schema(message: type[Message]) -> Json:
    """The JSON Schema of the current revision of ``message``."""
    schema = message.model_json_schema(mode="validation")
    return {
        "$schema": GenerateJsonSchema.schema_dialect,
        "$id": f"urn:querycraft:schema:{message.topic()}:r{message.REVISION}",
        **schema,
    }
