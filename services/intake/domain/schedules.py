"""Cron: when a schedule is due, and which job comes of it."""

import uuid
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

_JOB_IDS = uuid.UUID("8f1c1a2e-6f0a-5d53-9f2b-6d2b6f3f2a10")
"""Name space of the ids below; any fixed value does."""


@dataclass(frozen=True, slots=True)
class Schedule:
    """``options`` and ``metadata``: JSON text of an object. ``next_due_at`` None: not worked out yet."""

    name: str
    cron: str
    timezone: str
    type: str
    query: str
    priority: str = "normal"
    options: str = "{}"
    metadata: str = "{}"
    enabled: bool = True
    next_due_at: datetime | None = None


def next_due(cron: str, timezone: str, after: datetime) -> datetime:
    """The first due time after ``after``, in UTC.

    Raises:
        ValueError: no such cron expression or time zone, or one that never comes due.
    """
    return _stepped(cron, timezone, after, "get_next")


def latest_due(schedule: Schedule, now: datetime) -> datetime:
    """The latest due time not after ``now``. Times missed while every clock was down are made up
    for once, by the latest of them.

    Raises:
        ValueError: see ``next_due``.
    """
    latest = _stepped(schedule.cron, schedule.timezone, now + timedelta(microseconds=1), "get_prev")
    return latest if schedule.next_due_at is None else max(latest, schedule.next_due_at)


def _stepped(cron: str, timezone: str, start: datetime, step: Literal["get_next", "get_prev"]) -> datetime:
    from croniter import CroniterError, croniter  # loaded by the clock and by changes only

    try:
        zone = ZoneInfo(timezone)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise ValueError(f"no time zone {timezone!r}") from error
    try:
        due: datetime = getattr(croniter(cron, start.astimezone(zone)), step)(datetime)
    except (CroniterError, KeyError, OverflowError) as error:
        raise ValueError(f"{cron!r} is no cron expression that ever comes due") from error
    return due.astimezone(UTC)


def job_id_of(schedule_name: str, due_at: datetime) -> uuid.UUID:
    """The same for every message about the same due time, whoever published it: to the minute, as cron counts."""
    minute = due_at.astimezone(UTC).replace(second=0, microsecond=0)
    return uuid.uuid5(_JOB_IDS, f"{schedule_name}@{minute.isoformat()}")
