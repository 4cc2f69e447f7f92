"""When a learner works: answers per hour of the day and sessions, kept as answers arrive in order of time."""

from __future__ import annotations

import json
from dataclasses import astuple, dataclass, field
from datetime import datetime
from functools import lru_cache
from zoneinfo import ZoneInfo

SESSION_GAP_SECONDS = 30 * 60
"""A longer pause begins a new session. Source: the common convention of web and learning analytics."""
LAST_ANSWER_SECONDS = 60.0
"""What the last answer of a session is taken to have cost: its own work leaves no later trace."""


@dataclass(slots=True)
class Activity:
    """``minutes``: total length of all sessions. ``slot_sessions``: sessions begun in each quarter of the day."""

    hours: list[int] = field(default_factory=lambda: [0] * 24)
    sessions: int = 0
    minutes: float = 0.0
    slot_sessions: list[int] = field(default_factory=lambda: [0] * 4)
    at: float = 0.0

    def add(self, at: float, zone: str) -> None:
        """Count an answer at ``at`` (seconds since the epoch), which is not before the one added last."""
        hour = datetime.fromtimestamp(at, _zone(zone)).hour
        self.hours[hour] += 1
        pause = at - self.at
        if self.sessions == 0 or pause > SESSION_GAP_SECONDS:
            self.sessions += 1
            self.slot_sessions[hour // 6] += 1
            self.minutes += LAST_ANSWER_SECONDS / 60
        else:
            self.minutes += pause / 60
        self.at = at

    def to_json(self) -> str:
        return json.dumps(astuple(self), separators=(",", ":"))

    @classmethod
    def from_json(cls, text: str) -> Activity:
        return cls(*json.loads(text))


@lru_cache(maxsize=16)
def _zone(name: str) -> ZoneInfo:
    return ZoneInfo(name)
