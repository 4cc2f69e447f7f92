"""When to try again, and what an answer means. Pure."""

import random
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

WAITS = (5.0, 300.0, 1_800.0, 7_200.0, 18_000.0, 36_000.0, 36_000.0)
"""Seconds after the first, second, ... failure: eight attempts within about 28 hours, as the Standard
Webhooks specification advises."""
JITTER = 0.1
MAX_RETRY_AFTER = 36_000.0
GONE = 410


@dataclass(frozen=True, slots=True)
class Delivered:
    status: int


@dataclass(frozen=True, slots=True)
class Postponed:
    """``wait``: seconds until the next attempt."""

    wait: float
    status: int | None
    reason: str


@dataclass(frozen=True, slots=True)
class Failed:
    """Given up. ``disable``: the receiver wants nothing any more."""

    status: int | None
    reason: str
    disable: bool = False


Outcome = Delivered | Postponed | Failed


def judge(status: int, attempt: int, retry_after: str | None, now: datetime) -> Outcome:
    """``attempt`` counts from 1; ``retry_after`` is the header of that name."""
    if 200 <= status < 300:
        return Delivered(status)
    if status == GONE:
        return Failed(status, "the receiver answered 410: it wants no more of this", disable=True)
    reason = f"the receiver answered {status}"
    if 300 <= status < 400:
        reason += "; redirects are not followed"
    return postpone(attempt, reason, status=status, at_least=_seconds(retry_after, now))


def postpone(attempt: int, reason: str, *, status: int | None = None, at_least: float = 0.0) -> Outcome:
    """Try again later, or give up after the last attempt."""
    if attempt > len(WAITS):
        return Failed(status, f"after {attempt} attempts: {reason}")
    wait = max(WAITS[attempt - 1], min(at_least, MAX_RETRY_AFTER))
    return Postponed(wait * random.uniform(1.0, 1.0 + JITTER), status, reason)


def _seconds(retry_after: str | None, now: datetime) -> float:
    """RFC 9110, section 10.2.3: a number of seconds or a date; anything else says nothing."""
    if retry_after is None:
        return 0.0
    if retry_after.isascii() and retry_after.isdigit():
        return float(retry_after[:9])
    try:
        moment = parsedate_to_datetime(retry_after)
    except ValueError:
        return 0.0
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return max(0.0, (moment - now).total_seconds())
