"""What webhooks get, as Standard Webhooks advise: ``{type, timestamp, data}``. Pure."""

import json
import uuid
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from services.notifier.ports import Stored
from services.notifier.views import view

DIGEST = "digest"
_IDS = uuid.UUID("2b0a6c1e-4d7f-5f0b-9c35-7e8a1f6d2c94")


def single(stored: Stored, *, administrator: bool) -> bytes:
    """``data`` is the notification."""
    data = view(stored, administrator=administrator)
    return _body(data.type, data.timestamp, data.model_dump(mode="json"))


def digest(shown: Sequence[Stored], total: int, *, administrator: bool) -> bytes:
    """``data``: ``total`` and ``notifications``, its first ones; the API lists the rest."""
    views = [view(stored, administrator=administrator) for stored in shown]
    data = {"total": total, "notifications": [one.model_dump(mode="json") for one in views]}
    return _body(DIGEST, views[-1].timestamp, data)


def digest_id(identity: str) -> str:
    """The ``webhook-id`` of a digest."""
    return str(uuid.uuid5(_IDS, identity))


def _body(type_: str, timestamp: datetime, data: dict[str, Any]) -> bytes:
    body = {"type": type_, "timestamp": timestamp.isoformat(), "data": data}
    return json.dumps(body, ensure_ascii=False).encode()
