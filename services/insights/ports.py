"""What the insights handlers pass around."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

import asyncpg

from contracts.problems import ProblemPublished


@dataclass(frozen=True, slots=True)
class Interaction:
    """One graded answer of a known learner. ``position`` orders answers of the same instant."""

    id: str
    learner: str
    item: str
    subject: str
    difficulty: str
    skills: tuple[str, ...]
    correct: bool
    at: datetime
    position: int = 0


class Projection(Protocol):
    async def keep_item(self, connection: asyncpg.Connection, message: ProblemPublished) -> None:
        """Add the problem, or replace it unless what is kept is newer."""
        ...

    async def take_in(self, connection: asyncpg.Connection, interactions: Sequence[Interaction]) -> None:
        """Add graded answers once each, and bring their learners and items up to date.

        The outcome depends on the set of answers alone, never on the order of arrival.
        """
        ...
