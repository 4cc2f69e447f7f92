"""What the generator's handlers need from outside."""

from __future__ import annotations

import math
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING, Any, Protocol
from uuid import UUID

import asyncpg

from contracts.problems import GradingDataSet
from services.generator.domain import BaseSet, Chunk, GenerationOrder, NewProblem, ProblemSet

if TYPE_CHECKING:
    from services.generator.datasets.profiles import Profile
    from services.kernel.sql.schema import Schema


@dataclass(frozen=True)
class Composing:
    """Step ``name`` has begun; ``fraction`` of the problems wanted, 0..1, are behind it."""

    name: str
    fraction: float


@dataclass(frozen=True)
class Material:
    """A company's table to make problems of: its shape, and what its columns look like."""

    schema: Schema
    profile: Profile


class CompanyTables(Protocol):
    async def material(self, table_id: str) -> Material:
        """Raises JobFailedError: nobody knows the table, or it is unsuitable. TransientError: the cache is away."""
        ...


@dataclass(frozen=True)
class Start:
    """Where to begin: ``chunks`` of the set exist already, with problems of these ``titles``. None of ``known``
    (normalised SQL) may come again. ``deadline``: monotonic seconds by which all must be made.
    ``material``: the company's table that ``order`` names, if any."""

    order: GenerationOrder
    seed: int
    wanted: int
    chunks: int
    titles: Collection[str]
    known: Collection[str]
    job_id: UUID | None = None
    deadline: float = math.inf
    material: Material | None = None

    @property
    def made(self) -> int:
        return len(self.titles)


@dataclass(frozen=True)
class Fallback:
    """Models did not make the last ``problems`` of a set, for ``reason``; from here on they are made offline."""

    problems: int
    reason: str


Made = Composing | BaseSet | Chunk | Fallback


class Composer(Protocol):
    def compose(self, start: Start) -> AbstractAsyncContextManager[AsyncIterator[Made]]:
        """Make problems off the event loop; the base set comes once, before any chunk.

        Leaving the context ends the work at once, finished or not. Iteration raises:
            PermanentError: these problems cannot be made.
            TransientError: whatever made them died.
        """
        ...


@dataclass(frozen=True)
class StoredProblem:
    id: UUID
    problem: NewProblem
    datasets: tuple[GradingDataSet, ...]


class ProblemSets(Protocol):
    """The generator's own memory. Methods that take a connection join its transaction."""

    async def claim(self, order: GenerationOrder, job_id: UUID) -> ProblemSet | UUID:
        """The set this job fills, or the id of the live job that is filling it."""
        ...

    async def known_sql(self, data_type: str) -> frozenset[str]:
        """Normalised reference SQL of the last 90 days."""
        ...

    async def add(self, place: ProblemSet, job_id: UUID, base: GradingDataSet, chunk: Chunk) -> ProblemSet:
        """Keep a chunk as drafts; problems whose title the set has already are dropped and counted.

        Raises:
            TransientError: another job took the set over.
        """
        ...

    async def problems(self, place: ProblemSet) -> list[StoredProblem]:
        """Drafts or published, in the order in which they were made."""
        ...

    async def publish(self, connection: asyncpg.Connection, place: ProblemSet, job_id: UUID) -> None:
        """Mark the set and its drafts as published.

        Raises:
            TransientError: another job took the set over.
        """
        ...


@dataclass(frozen=True)
class WrittenTip:
    """``content``: {ko, en}. ``source``: 'model' or 'offline'; ``fallback``: why no model wrote it, or empty."""

    content: Mapping[str, str]
    category: str
    source: str = "offline"
    fallback: str = ""


TipWriter = Callable[[date, UUID, float], Awaitable[WrittenTip]]
"""(day, job id, deadline in monotonic seconds) -> the tip of that day."""


class Tips(Protocol):
    async def keep(
        self, connection: asyncpg.Connection, tip_date: date, content: Mapping[str, str], category: str
    ) -> None:
        """Keep the day's tip unless the day has one."""
        ...

    async def of(self, tip_date: date) -> dict[str, Any] | None:
        """``{content: {ko, en}, category}`` of the day, or None."""
        ...


@dataclass(frozen=True)
class LogEntry:
    """One run of one job. ``model_used``: 'offline' when no model was asked."""

    job_type: str
    job_id: UUID
    status: str
    duration_ms: int
    model_used: str = "offline"
    tokens_used: int = 0
    error_message: str = ""


class WorkerLog(Protocol):
    async def write(self, entry: LogEntry, connection: asyncpg.Connection | None = None) -> None:
        """Add a row, on ``connection``'s transaction when there is one."""
        ...
