"""The AsyncAPI 3.0 document: every channel, who sends and who receives, and an example of each message.

Sources: the AsyncAPI 3.0.0 specification, its googlepubsub bindings 0.2.0, and the
CloudEvents 1.0.2 context attributes as Pub/Sub attributes.
"""

from pydantic.json_schema import models_json_schema

from contracts.exports.catalog import Catalog, Json, read_golden
from contracts.manifest import Subscription, Topic
from contracts.message import Message

_BINDING_VERSION = "0.2.0"


def asyncapi(catalog: Catalog) -> Json:
    """Deterministic: the same catalog and golden examples give the same document.

    Raises FileNotFoundError when a current golden example is missing.
    """
    references, definitions = models_json_schema(
        [(message, "validation") for message in catalog.messages], ref_template="#/components/schemas/{model}"
    )
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "QueryCraft",
            "version": "1.0.0",
            "description": "CloudEvents 1.0 in binary mode over Google Cloud Pub/Sub. Delivery is at least once: "
            "readers deduplicate by `ce-source` and `ce-id`.",
        },
        "defaultContentType": "application/json",
        "servers": {"pubsub": {"host": "pubsub.googleapis.com", "protocol": "googlepubsub"}},
        "channels": {topic.name: _channel(topic) for topic in catalog.topics},
        "operations": {**_sends(catalog.topics), **_receives(catalog.subscriptions)},
        "components": {
            "messages": {
                message.topic(): {**_message(catalog, message), "payload": references[message, "validation"]}
                for message in catalog.messages
            },
            "schemas": definitions["$defs"],
        },
    }


def _channel(topic: Topic) -> Json:
    return {
        "address": topic.name,
        "description": f"Owned by {topic.owner}, which alone may change its schema.",
        "messages": {topic.name: {"$ref": f"#/components/messages/{topic.name}"}},
        "bindings": {
            "googlepubsub": {
                "schemaSettings": {"encoding": "json", "name": topic.name},
                "bindingVersion": _BINDING_VERSION,
            }
        },
    }


def _sends(topics: tuple[Topic, ...]) -> dict[str, Json]:
    return {
        f"{producer}.sends.{topic.name}": _operation("send", topic.name, producer)
        for topic in topics
        for producer in topic.producers
    }


def _receives(subscriptions: tuple[Subscription, ...]) -> dict[str, Json]:
    operations = {}
    for subscription in subscriptions:
        operation = _operation("receive", subscription.topic, subscription.consumer)
        operation["x-subscription"] = {"name": subscription.name, "filter": subscription.filter_expression()}
        operations[f"{subscription.consumer}.receives.{subscription.topic}"] = operation
    return operations


def _operation(action: str, channel: str, service: str) -> Json:
    return {
        "action": action,
        "channel": {"$ref": f"#/channels/{channel}"},
        "tags": [{"name": service}],
        "messages": [{"$ref": f"#/channels/{channel}/messages/{channel}"}],
    }


def _message(catalog: Catalog, message: type[Message]) -> Json:
    golden = read_golden(catalog.golden(message, message.REVISION))
    summary = (message.__doc__ or "").strip().split("\n\n")[0]
    return {
        "name": message.event_type(),
        "title": message.NAME,
        **({"description": " ".join(summary.split())} if summary else {}),
        "contentType": "application/json",
        "headers": _headers(message),
        "examples": [{"name": f"revision-{message.REVISION}", "headers": golden.attributes, "payload": golden.data}],
    }


def _headers(message: type[Message]) -> Json:
    properties: Json = {
        "ce-id": {"type": "string", "description": "Unique within ce-source."},
        "ce-type": {"type": "string", "const": message.event_type()},
        "ce-source": {"type": "string", "description": "/querycraft/<service>"},
        "ce-specversion": {"type": "string", "const": "1.0"},
        "ce-time": {"type": "string", "format": "date-time"},
        "ce-subject": {"type": "string", "description": f"The message's {message.SUBJECT}."},
        "content-type": {"type": "string", "const": "application/json"},
        "traceparent": {"type": "string", "description": "W3C trace context."},
        **{name: {"type": "string", "description": f"The message's {name}."} for name in message.FILTERABLE},
    }
    return {
        "type": "object",
        "required": [name for name in properties if name != "traceparent"],
        "properties": properties,
    }
