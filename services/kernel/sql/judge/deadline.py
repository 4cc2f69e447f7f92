"""Limits in processor time: a busy machine slows a judgement down, it does not make it judge less."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Final, Literal, Self, TypeAlias

WALL_FACTOR: Final = 5.0
"""Seconds of wall-clock time allowed per second of processor time, for a process that has to share its core."""

PassedLimit: TypeAlias = Literal["", "cpu", "wall"]


@dataclass(frozen=True, slots=True)
class Deadline:
    """``cpu``: a value of time.process_time(); ``wall``: one of time.monotonic(). The first to come counts.

    A query computes or ends, it cannot sleep, so that only a starved process meets its ``wall``.
    """

    cpu: float
    wall: float

    @classmethod
    def after(cls, seconds: float) -> Self:
        """``seconds`` of this process's processor time from now, and WALL_FACTOR times as many on the wall clock."""
        return cls(time.process_time() + seconds, time.monotonic() + WALL_FACTOR * seconds)

    @property
    def passed(self) -> PassedLimit:
        if time.process_time() >= self.cpu:
            return "cpu"
        return "wall" if time.monotonic() >= self.wall else ""

    @property
    def remaining(self) -> float:
        """Seconds of processor time left, never below 0."""
        return max(0.0, self.cpu - time.process_time())

    def sooner(self, seconds: float) -> Deadline:
        """This one, or ``seconds`` from now where that comes first."""
        other = Deadline.after(seconds)
        return Deadline(min(self.cpu, other.cpu), min(self.wall, other.wall))

    def later(self, seconds: float) -> Deadline:
        """This one, or ``seconds`` from now where that comes last."""
        other = Deadline.after(seconds)
        return Deadline(max(self.cpu, other.cpu), max(self.wall, other.wall))
