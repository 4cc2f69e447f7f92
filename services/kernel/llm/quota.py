"""Whether a model may be asked now, and when its day begins anew. Pure rules."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from typing import Final
from zoneinfo import ZoneInfo

from services.kernel.llm.catalogue import Limits

QUOTA_ZONE: Final = ZoneInfo("America/Los_Angeles")
"""Source: Gemini API rate limits, "requests per day quotas reset at midnight Pacific time"."""

WINDOW: Final = timedelta(minutes=1)
"""A sliding window: stricter than counting by calendar minutes, so right for either way the provider counts."""


@dataclass(frozen=True, slots=True)
class Standing:
    """What has been spent: in the quota day, and in the last minute (requests, tokens)."""

    day_requests: int
    minute_requests: int
    minute_tokens: int


@dataclass(frozen=True, slots=True)
class Wait:
    """Not now; ``seconds`` until it may fit."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Spent:
    """Not before ``until``; ``reason`` for a person."""

    until: datetime
    reason: str


@dataclass(frozen=True, slots=True)
class TooLarge:
    """Never: one call wants more tokens than a minute has."""

    limit: int


def quota_day(now: datetime) -> date:
    """The day whose quota a call at ``now`` (aware) spends."""
    return now.astimezone(QUOTA_ZONE).date()


def next_reset(now: datetime) -> datetime:
    """The next midnight in Los Angeles after ``now``; days there have 23 to 25 hours."""
    return datetime.combine(quota_day(now) + timedelta(days=1), time(), QUOTA_ZONE)


def fits_minute(standing: Standing, limits: Limits, tokens: int) -> bool:
    return (
        standing.minute_requests < limits.requests_per_minute
        and standing.minute_tokens + tokens <= limits.tokens_per_minute
    )


def refusal(standing: Standing, limits: Limits, tokens: int, now: datetime) -> Spent | TooLarge | None:
    """Why no waiting within the day helps, or None."""
    if tokens > limits.tokens_per_minute:
        return TooLarge(limits.tokens_per_minute)
    if standing.day_requests >= limits.requests_per_day:
        return Spent(next_reset(now), f"all {limits.requests_per_day:,} requests of the day are spent")
    return None
