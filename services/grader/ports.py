"""What the grader's handlers need from outside."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol
from uuid import UUID

import asyncpg

from contracts.problems import ProblemPublished
from services.grader.domain import Dialect, Judgement, Problem, StoredVerdict, Submission


@dataclass(frozen=True)
class Received:
    """A submission on record: ``attempt`` counts this user's on this problem from 1, in order of arrival."""

    id: UUID
    attempt: int


@dataclass(frozen=True)
class Answer:
    """A distinct answer that learners sent, and its verdict in force, if it has one."""

    key: bytes
    sql: str
    dialect: Dialect
    verdict: StoredVerdict | None


class Judge(Protocol):
    async def judge(self, problem: Problem, sql: str, dialect: Dialect) -> Judgement:
        """Decide whether ``sql`` answers ``problem``.

        Raises:
            PermanentError: this answer cannot be judged here (its message is fit for the learner).
            TransientError: no sandbox or no data now.
        """
        ...


class Wording(Protocol):
    async def word(self, problem: Problem, sql: str, judgement: Judgement, job_id: UUID) -> Judgement:
        """The same judgement, its hint or its explanation of an error perhaps in better words; says whose they are.

        Raises:
            asyncpg.PostgresError, OSError: the quota's ledger cannot be reached.
        """
        ...


@dataclass(frozen=True)
class GoogleSqlRows:
    """``types``: DuckDB's names; ``rows``: JSON-able values, in the form of ``Dataset.to_json``."""

    columns: list[str]
    types: list[str]
    rows: list[list[Any]]


class GoogleSql(Protocol):
    """An engine that runs GoogleSQL. ``name``: as verdicts record it. ``emulated``: it is not BigQuery itself."""

    @property
    def name(self) -> str: ...

    @property
    def emulated(self) -> bool: ...

    async def run(self, sql: str, max_rows: int) -> GoogleSqlRows:
        """Run one statement that brings its own rows, after a dry run, within the caps it was built with.

        Raises:
            TaskFailed: "database", the statement's own error.
            LimitExceeded: too slow, or more than ``max_rows`` rows.
            PermanentError: it would read stored data, cost too much, or return what cannot be compared.
            TransientError: the engine is busy or out of reach.
        """
        ...


class Problems(Protocol):
    async def keep(self, connection: asyncpg.Connection, message: ProblemPublished) -> None:
        """Add the problem, or replace it and its data sets unless what is kept is newer."""
        ...

    async def find(self, problem_id: UUID) -> Problem | None: ...


class Submissions(Protocol):
    """Methods that take a connection join its transaction."""

    async def receive(self, submission: Submission, job_id: UUID, key: bytes) -> Received:
        """Record the submission of ``job_id`` once; asking again gives the same answer."""
        ...

    async def verdict(self, problem_id: UUID, key: bytes) -> StoredVerdict | None:
        """The one in force for answers with this key."""
        ...

    async def store(
        self, connection: asyncpg.Connection, submission: Submission, key: bytes, judgement: Judgement
    ) -> int:
        """Put a verdict into force, replacing an equal answer's; its id."""
        ...

    async def settle(
        self, connection: asyncpg.Connection, submission_id: UUID, verdict_id: int, graded_at: datetime
    ) -> None: ...

    async def answers(self, problem_id: UUID) -> Sequence[Answer]:
        """Every distinct answer to the problem, oldest first."""
        ...

    async def supersede(self, problem_id: UUID, answer: Answer, judgement: Judgement) -> int:
        """Put a new verdict into force for all submissions of ``answer``, keeping the old as history.

        Returns the number of submissions it now stands for.
        """
        ...
