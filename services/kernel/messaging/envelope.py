"""CloudEvents 1.0 in binary mode, as attributes and data of a Pub/Sub message.

Source: CloudEvents 1.0.2 and its Google Cloud Pub/Sub protocol binding: context
attributes are message attributes with the prefix ``ce-``; the data is the payload.
"""

import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TypeVar

from contracts.message import Message
from services.kernel.errors import PermanentError

SPEC_VERSION = "1.0"
CONTENT_TYPE = "application/json"
MAX_DATA_BYTES = 9_000_000
"""Pub/Sub takes 10 MB a request including attributes; beyond this a message is refused at the edge."""

M = TypeVar("M", bound=Message)
_REQUIRED = ("ce-id", "ce-type", "ce-source", "ce-specversion")


class MalformedMessage(PermanentError):
    """The bytes or attributes on the wire are not a message of ours."""

    code = "malformed_message"


@dataclass(frozen=True, slots=True)
class Envelope:
    """One message on the wire: where it goes, its attributes (all strings) and its data."""

    topic: str
    attributes: Mapping[str, str]
    data: bytes
    ordering_key: str = ""

    @property
    def id(self) -> str:
        return self.attributes.get("ce-id", "")

    @property
    def type(self) -> str:
        return self.attributes.get("ce-type", "")

    @property
    def source(self) -> str:
        return self.attributes.get("ce-source", "")

    @property
    def traceparent(self) -> str:
        """W3C trace context; the Pub/Sub client writes its own under a second name."""
        return self.attributes.get("traceparent") or self.attributes.get("googclient_traceparent", "")


def seal(
    message: Message,
    source: str,
    *,
    traceparent: str = "",
    message_id: str | None = None,
    ordering_key: str = "",
) -> Envelope:
    """Wrap ``message`` for the wire.

    ``source`` is the producing service (``ce-source`` becomes ``/querycraft/<source>``).
    A caller that may emit the same fact twice passes a ``message_id`` derived from
    the fact, so that inboxes recognise the second one.

    Raises:
        PermanentError: the encoded message exceeds ``MAX_DATA_BYTES``.
    """
    data = message.to_bytes()
    if len(data) > MAX_DATA_BYTES:
        raise PermanentError(
            f"a {message.NAME} message of {len(data):,} bytes exceeds the limit of {MAX_DATA_BYTES:,}; "
            "put its large part into object storage and send the reference",
            code="message_too_large",
        )
    attributes = {
        "ce-id": message_id or str(uuid.uuid4()),
        "ce-type": message.event_type(),
        "ce-source": f"/querycraft/{source}",
        "ce-specversion": SPEC_VERSION,
        "ce-time": datetime.now(UTC).isoformat(),
        "ce-subject": message.subject,
        "content-type": CONTENT_TYPE,
        **message.filter_attributes(),
    }
    if traceparent:
        attributes["traceparent"] = traceparent
    return Envelope(topic=message.topic(), attributes=attributes, data=data, ordering_key=ordering_key)


def check(envelope: Envelope) -> None:
    """Refuse what is no CloudEvent of version 1.0.

    Raises:
        MalformedMessage: a required attribute is missing or the version is another.
    """
    missing = [name for name in _REQUIRED if not envelope.attributes.get(name)]
    if missing:
        raise MalformedMessage(f"message attributes lack {', '.join(missing)}: not a CloudEvent in binary mode")
    version = envelope.attributes["ce-specversion"]
    if version != SPEC_VERSION:
        raise MalformedMessage(f"ce-specversion is {version!r}; this platform reads {SPEC_VERSION}")


def unseal(envelope: Envelope, expected: type[M]) -> M:
    """The message inside, decoded as ``expected``.

    Raises:
        MalformedMessage: not a CloudEvent, another type or version, or undecodable data.
    """
    check(envelope)
    if envelope.type != expected.event_type():
        raise MalformedMessage(f"ce-type is {envelope.type!r}; this subscription reads {expected.event_type()!r}")
    try:
        return expected.from_bytes(envelope.data)
    except ValueError as error:
        raise MalformedMessage(f"data is not a {expected.event_type()} message: {error}") from error
