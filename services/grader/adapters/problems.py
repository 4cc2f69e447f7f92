"""The grader's own copy of problems, in Postgres."""

from __future__ import annotations

import json
from uuid import UUID

import asyncpg

from contracts.problems import GradingDataSet, LocaleHints, LocaleText, ProblemPublished
from services.grader.domain import Problem
from services.kernel.database.unit_of_work import Database
from services.kernel.errors import PermanentError

_KEEP = """
INSERT INTO problems (id, data_type, difficulty, tags, title, hints, ddl, reference_sql, ordered, published_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
ON CONFLICT (id) DO UPDATE
SET data_type = EXCLUDED.data_type, difficulty = EXCLUDED.difficulty, tags = EXCLUDED.tags, title = EXCLUDED.title,
    hints = EXCLUDED.hints, ddl = EXCLUDED.ddl, reference_sql = EXCLUDED.reference_sql, ordered = EXCLUDED.ordered,
    published_at = EXCLUDED.published_at, updated_at = now()
WHERE problems.published_at <= EXCLUDED.published_at
RETURNING id
"""
_CLEAR = "DELETE FROM data_sets WHERE problem_id = $1"
_ADD = """
INSERT INTO data_sets (problem_id, position, name, kind, row_count, inline, uri) VALUES ($1, $2, $3, $4, $5, $6, $7)
"""
_FIND = """
SELECT problems.*, (
    SELECT json_agg(json_build_object('name', name, 'kind', kind, 'row_count', row_count, 'inline', inline::text,
                                      'uri', uri) ORDER BY position)
    FROM data_sets WHERE problem_id = problems.id
) AS data_sets
FROM problems WHERE id = $1
"""


class PostgresProblems:
    def __init__(self, database: Database) -> None:
        self._database = database

    async def keep(self, connection: asyncpg.Connection, message: ProblemPublished) -> None:
        problem_id = _uuid(message.problem_id)
        kept = await connection.fetchval(
            _KEEP,
            problem_id,
            message.data_type,
            message.difficulty,
            message.tags,
            message.title.model_dump_json(),
            message.hints.model_dump_json(),
            json.dumps(message.ddl),
            message.reference_sql,
            message.ordered,
            message.published_at,
        )
        if kept is None:
            return
        await connection.execute(_CLEAR, problem_id)
        await connection.executemany(
            _ADD,
            [
                (problem_id, position, entry.name, entry.kind, entry.row_count, entry.inline, entry.uri)
                for position, entry in enumerate(message.datasets)
            ],
        )

    async def find(self, problem_id: UUID) -> Problem | None:
        row = await self._database.fetchrow(_FIND, problem_id)
        if row is None:
            return None
        return Problem(
            id=row["id"],
            data_type=row["data_type"],
            difficulty=row["difficulty"],
            tags=tuple(row["tags"]),
            title=LocaleText.model_validate_json(row["title"]),
            hints=LocaleHints.model_validate_json(row["hints"]),
            ddl=tuple(json.loads(row["ddl"])),
            reference_sql=row["reference_sql"],
            ordered=row["ordered"],
            datasets=tuple(GradingDataSet.model_validate(entry) for entry in json.loads(row["data_sets"] or "[]")),
        )


def _uuid(text: str) -> UUID:
    try:
        return UUID(text)
    except ValueError as error:
        raise PermanentError(f"problem id {text!r} is no UUID", code="bad_problem_id") from error
