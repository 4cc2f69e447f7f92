"""What an ``Idempotency-Key`` means: one effect and one answer per key.

Source: draft-ietf-httpapi-idempotency-key-header (missing where required 400, other payload
422, still being processed 409). Keys are remembered for 24 hours.
"""

import hashlib
import json
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum, auto

KEEP_SECONDS = 24 * 3600.0
MAX_KEY = 255


class Verdict(Enum):
    REPLAY = auto()
    OTHER_PAYLOAD = auto()
    IN_FLIGHT = auto()


@dataclass(frozen=True, slots=True)
class StoredAnswer:
    """The first request under a key. ``status`` None: it had not been answered when read;
    ``answering``: it may still be."""

    fingerprint: str
    job_id: uuid.UUID
    status: int | None
    answer: str
    answering: bool


def judge(stored: StoredAnswer, fingerprint: str) -> Verdict:
    """What a second request under the key deserves. One whose process died before it answered
    (``status`` None, no longer ``answering``) is replayed: its job exists."""
    if stored.fingerprint != fingerprint:
        return Verdict.OTHER_PAYLOAD
    if stored.status is None and stored.answering:
        return Verdict.IN_FLIGHT
    return Verdict.REPLAY


def fingerprint_of(operation: str, payload: Mapping[str, object]) -> str:
    """SHA-256 of the canonical payload: spacing and the order of names do not count."""
    canonical = json.dumps([operation, payload], sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(canonical.encode()).hexdigest()


def key_in(header: str) -> str | None:
    """The key, with or without the draft's quotes; None when it is not 1..255 visible ASCII characters."""
    key = header[1:-1] if len(header) >= 2 and header[0] == header[-1] == '"' else header
    return key if 0 < len(key) <= MAX_KEY and all("!" <= character <= "~" for character in key) else None
