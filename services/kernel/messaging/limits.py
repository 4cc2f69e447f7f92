"""What Pub/Sub takes in one message. Both brokers refuse the same things, so that what works on one works on the other.

Source: https://cloud.google.com/pubsub/quotas#resource_limits and the PubsubMessage reference.
"""

from collections.abc import Mapping

from services.kernel.errors import PermanentError
from services.kernel.messaging.envelope import MAX_DATA_BYTES, Envelope

MAX_ATTRIBUTES = 100
MAX_KEY_BYTES = 256
MAX_VALUE_BYTES = 1024
MAX_ORDERING_KEY_BYTES = 1024

RESERVED_PREFIX = "goog"
_CLIENT_PARAMETERS = frozenset(("self", "topic", "data", "ordering_key", "retry", "timeout"))
"""The client takes attributes as keyword arguments beside these."""
_CLIENT_PREFIX = "googclient_"


def own_attributes(attributes: Mapping[str, str]) -> dict[str, str]:
    """Without those a Pub/Sub client wrote on an earlier hop: they describe that hop, and cannot be published."""
    return {name: value for name, value in attributes.items() if not name.startswith(_CLIENT_PREFIX)}


def refusal(envelope: Envelope) -> PermanentError | None:
    """Why this envelope can never be published, or None when it can."""
    reason = _data_reason(envelope) or _attributes_reason(envelope.attributes)
    if reason is None:
        return None
    return PermanentError(
        f"message {envelope.id!r} for {envelope.topic} cannot be published: {reason}", code="unpublishable"
    )


def _data_reason(envelope: Envelope) -> str | None:
    if len(envelope.data) > MAX_DATA_BYTES:
        return f"data of {len(envelope.data):,} bytes exceeds {MAX_DATA_BYTES:,}"
    if not envelope.data and not envelope.attributes:
        return "it has neither data nor attributes"
    return _text_reason("ordering key", envelope.ordering_key, MAX_ORDERING_KEY_BYTES)


def _attributes_reason(attributes: Mapping[str, str]) -> str | None:
    if len(attributes) > MAX_ATTRIBUTES:
        return f"{len(attributes)} attributes exceed {MAX_ATTRIBUTES}"
    for name, value in attributes.items():
        if not name:
            return "an attribute has an empty name"
        if name.startswith(RESERVED_PREFIX) and not name.startswith(_CLIENT_PREFIX):
            return f"attribute {name!r} begins with the reserved {RESERVED_PREFIX!r}"
        if name in _CLIENT_PARAMETERS:
            return f"attribute {name!r} has the name of a parameter of the Pub/Sub client"
        reason = _text_reason("attribute name", name, MAX_KEY_BYTES) or _text_reason(
            f"attribute {name!r}", value, MAX_VALUE_BYTES
        )
        if reason is not None:
            return reason
    return None


def _text_reason(what: str, text: str, limit: int) -> str | None:
    if text.isascii():
        size = len(text)
    else:
        try:
            size = len(text.encode())
        except UnicodeEncodeError:
            return f"{what} is not valid Unicode (a lone surrogate)"
    if size > limit:
        return f"{what} of {size:,} bytes exceeds {limit:,}"
    return f"{what} contains a NUL character" if "\0" in text else None
