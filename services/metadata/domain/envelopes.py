"""How a change event arrives: CloudEvents in binary or structured mode, a Pub/Sub push, or a bare log entry. Pure."""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from services.metadata.domain.events import EventRefused

Transport = Literal["cloudevent", "pubsub", "direct"]

AUDIT_EVENT = "google.cloud.audit.log.v1.written"
PUBSUB_EVENT = "google.cloud.pubsub.topic.v1.messagePublished"
STRUCTURED = "application/cloudevents+json"


@dataclass(frozen=True)
class Arrival:
    """``id`` and ``source`` identify the event however often it is delivered. ``transport``: who would deliver it
    again unless answered 2xx."""

    transport: Transport
    id: str
    source: str
    attempt: int = 1


def arrival_of(headers: Mapping[str, str], body: bytes) -> Arrival:
    """Works on anything, so that what is malformed can be named and kept. ``headers``: lower-case names."""
    digest = hashlib.sha256(body).hexdigest()
    if "ce-id" in headers or headers.get("content-type", "").startswith(STRUCTURED):
        event = {} if "ce-id" in headers else _object_or_empty(body)
        identity = headers.get("ce-id") or str(event.get("id") or digest)
        return Arrival("cloudevent", identity, headers.get("ce-source") or str(event.get("source") or "unknown"))
    push = _object_or_empty(body)
    message = push.get("message")
    if isinstance(message, dict):
        attempt = push.get("deliveryAttempt")
        return Arrival(
            "pubsub",
            str(message.get("messageId") or message.get("message_id") or digest),
            str(push.get("subscription") or "unknown"),
            attempt if isinstance(attempt, int) and attempt > 0 else 1,
        )
    if headers.get("x-goog-pubsub-message-id"):
        source = headers.get("x-goog-pubsub-subscription-name", "unknown")
        return Arrival("pubsub", headers["x-goog-pubsub-message-id"], source)
    return Arrival("direct", digest, "direct")


def log_entry(headers: Mapping[str, str], body: bytes) -> Any:
    """The log entry inside, whatever it is wrapped in.

    Raises:
        EventRefused: an envelope is broken; says which field.
    """
    if headers.get("content-type", "").startswith(STRUCTURED):
        event = _parsed(body, "body")
        if not isinstance(event, dict):
            raise EventRefused("body: a structured CloudEvent is a JSON object")
        return _cloudevent(event.get("specversion"), event.get("type"), _structured_data(event))
    if "ce-id" in headers:
        return _cloudevent(headers.get("ce-specversion"), headers.get("ce-type"), _parsed(body, "body"))
    return _unwrapped(_parsed(body, "body"))


def _structured_data(event: Mapping[str, Any]) -> Any:
    if "data_base64" in event:
        return _parsed(_decoded(event["data_base64"], "data_base64"), "data_base64")
    return event.get("data")


def _cloudevent(version: Any, kind: Any, data: Any) -> Any:
    if version != "1.0":
        raise EventRefused(f"specversion: {version!r} is not 1.0")
    if kind == PUBSUB_EVENT:
        return _unwrapped(data)
    if kind != AUDIT_EVENT:
        raise EventRefused(f"type: {str(kind)[:120]!r} is neither {AUDIT_EVENT} nor {PUBSUB_EVENT}")
    return data


def _unwrapped(value: Any) -> Any:
    """A Pub/Sub push's payload, or the value itself when it is none."""
    if not isinstance(value, dict) or "message" not in value or "protoPayload" in value:
        return value
    message = value["message"]
    if not isinstance(message, dict):
        raise EventRefused("message: must be a JSON object")
    return _parsed(_decoded(message.get("data", ""), "message.data"), "message.data")


def _decoded(text: Any, where: str) -> bytes:
    try:
        return base64.b64decode(text if isinstance(text, str) else b"\xff", validate=True)
    except (binascii.Error, ValueError) as error:
        raise EventRefused(f"{where}: not base64: {error}") from error


def _parsed(body: bytes, where: str) -> Any:
    try:
        return json.loads(body)
    except (ValueError, RecursionError) as error:
        raise EventRefused(f"{where}: not JSON: {str(error)[:200]}") from error


def _object_or_empty(body: bytes) -> dict[str, Any]:
    try:
        value = json.loads(body)
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}
