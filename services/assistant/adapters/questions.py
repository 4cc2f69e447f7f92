"""Published problems' questions and base data sets, in Postgres.

The data is what analyses run on; the questions say what an analysis may not answer. Reference SQL is not kept.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

import asyncpg

from contracts.problems import ProblemPublished
from services.kernel.database.unit_of_work import Database, UnitOfWork
from services.kernel.errors import PermanentError
from services.kernel.messaging.consumer import Handler

MAX_CONSIDERED = 2_000
"""The newest known questions of a data set that an analysis looks through."""

_KEEP = """
INSERT INTO known_questions
    (problem_id, data_type, question_ko, question_en, ddl, base_uri, base_rows, base_row_count, published_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
ON CONFLICT (problem_id) DO UPDATE
SET data_type = EXCLUDED.data_type, question_ko = EXCLUDED.question_ko, question_en = EXCLUDED.question_en,
    ddl = EXCLUDED.ddl, base_uri = EXCLUDED.base_uri, base_rows = EXCLUDED.base_rows,
    base_row_count = EXCLUDED.base_row_count, published_at = EXCLUDED.published_at
WHERE known_questions.published_at <= EXCLUDED.published_at
"""
_OF = "SELECT * FROM known_questions WHERE data_type = $1 ORDER BY published_at DESC LIMIT $2"
_TYPES = "SELECT DISTINCT data_type FROM known_questions ORDER BY data_type"


@dataclass(frozen=True)
class KnownQuestion:
    """``base_rows``: {table: [row]} when the base data set came inline, else empty and ``base_uri`` names it.
    ``base_row_count``: of all its tables; None for one kept before rows were counted."""

    problem_id: UUID
    data_type: str
    ko: str
    en: str
    ddl: tuple[str, ...]
    base_uri: str
    base_rows: dict[str, list[dict[str, object]]]
    base_row_count: int | None


class PostgresQuestions:
    def __init__(self, database: Database) -> None:
        self._database = database

    async def keep(self, connection: asyncpg.Connection, message: ProblemPublished) -> None:
        """Add the problem's question, or replace it unless what is kept is newer; one without base data is left out."""
        base = next((entry for entry in message.datasets if entry.kind == "base"), None)
        if base is None:
            return
        await connection.execute(
            _KEEP,
            _uuid(message.problem_id),
            message.data_type,
            f"{message.title.ko}\n{message.description.ko}",
            f"{message.title.en}\n{message.description.en}",
            json.dumps(message.ddl),
            base.uri,
            "{}" if base.uri else base.inline,
            base.row_count,
            message.published_at,
        )

    async def of(self, data_type: str) -> Sequence[KnownQuestion]:
        """The newest first."""
        return [_question_of(row) for row in await self._database.fetch(_OF, data_type, MAX_CONSIDERED)]

    async def data_types(self) -> Sequence[str]:
        return [row["data_type"] for row in await self._database.fetch(_TYPES)]


def keeping(questions: PostgresQuestions) -> Handler:
    """Handler of ``problem-published``."""

    async def keep_question(message: ProblemPublished, unit: UnitOfWork) -> None:
        await questions.keep(unit.connection, message)

    return keep_question


def _question_of(row: asyncpg.Record) -> KnownQuestion:
    return KnownQuestion(
        row["problem_id"],
        row["data_type"],
        row["question_ko"],
        row["question_en"],
        tuple(json.loads(row["ddl"])),
        row["base_uri"],
        json.loads(row["base_rows"]),
        row["base_row_count"],
    )


def _uuid(text: str) -> UUID:
    try:
        return UUID(text)
    except ValueError as error:
        raise PermanentError(f"problem id {text!r} is no UUID", code="bad_problem_id") from error
