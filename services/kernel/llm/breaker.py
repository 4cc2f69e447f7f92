"""A circuit breaker per model: after failures in a row nobody asks it for a while, then one call probes it.

purgatory, the kept-up library for asyncio, lets every waiting call through at the end of the pause and tells time by
the wall clock.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from enum import StrEnum

FAILURES = 5
PAUSE_SECONDS = 30.0


class State(StrEnum):
    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half_open"


class CircuitBreaker:
    """Not shared between processes: each finds out for itself whether it can reach the provider."""

    def __init__(
        self,
        failures: int = FAILURES,
        pause: float = PAUSE_SECONDS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._threshold = failures
        self._pause = pause
        self._clock = clock
        self._failures = 0
        self._opened_at: float | None = None
        self._probing = False

    @property
    def state(self) -> State:
        if self._opened_at is None:
            return State.CLOSED
        return State.HALF_OPEN if self._clock() - self._opened_at >= self._pause else State.OPEN

    def may_pass(self) -> bool:
        """Whether a call may go out now. While half open the first asker gets it, and must report how it went."""
        state = self.state
        if state is State.HALF_OPEN and not self._probing:
            self._probing = True
            return True
        return state is State.CLOSED

    def succeeded(self) -> None:
        self._failures = 0
        self._opened_at = None
        self._probing = False

    def failed(self) -> None:
        self._failures += 1
        if self._probing or self._failures >= self._threshold:
            self._opened_at = self._clock()
        self._probing = False

    def release(self) -> None:
        """The call is over. One that said nothing of the model's health (cancelled, no quota) leaves the probe free."""
        self._probing = False
