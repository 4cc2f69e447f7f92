"""Submissions, verdicts and counterexamples in Postgres."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID, uuid4

import asyncpg

from services.grader.domain import Judgement, StoredVerdict, Submission, storable
from services.grader.ports import Answer, Received
from services.kernel.database.unit_of_work import Database

_RECEIVED = "SELECT id, attempt FROM submissions WHERE job_id = $1"
# The counter's row lock makes one learner's simultaneous attempts count one after the other.
_COUNT = """
INSERT INTO attempts (problem_id, user_id, made) VALUES ($1, $2, 1)
ON CONFLICT (problem_id, user_id) DO UPDATE SET made = attempts.made + 1 RETURNING made
"""
_RECEIVE = """
INSERT INTO submissions (id, job_id, problem_id, user_id, sql, dialect, answer_key, attempt)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
"""
_VERDICT_COLUMNS = """
verdicts.id, answer, verdict, score, mistake_kind, mistake_clause, feedback, duration_ms, data_set, difference
"""
_IN_FORCE = f"""
SELECT {_VERDICT_COLUMNS} FROM verdicts LEFT JOIN counterexamples ON verdict_id = verdicts.id
WHERE problem_id = $1 AND answer_key = $2 AND superseded_at IS NULL
"""
_LOCK = "SELECT pg_advisory_xact_lock(hashtextextended($1, 0))"
_RETIRE = """
UPDATE verdicts SET superseded_at = now() WHERE problem_id = $1 AND answer_key = $2 AND superseded_at IS NULL
RETURNING id
"""
_STORE = """
INSERT INTO verdicts (problem_id, answer_key, answer, dialect, verdict, score, mistake_kind, mistake_clause, feedback,
                      duration_ms, supersedes)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11) RETURNING id
"""
_STORE_COUNTEREXAMPLE = """
INSERT INTO counterexamples (verdict_id, data_set, row_count, difference) VALUES ($1, $2, $3, $4)
"""
_SETTLE = "UPDATE submissions SET verdict_id = $2, graded_at = $3 WHERE id = $1"
_ANSWERS = f"""
SELECT sent.answer_key, sent.sql, sent.dialect, {_VERDICT_COLUMNS}
FROM (SELECT DISTINCT ON (answer_key) answer_key, sql, dialect, submitted_at FROM submissions
      WHERE problem_id = $1 ORDER BY answer_key, submitted_at) AS sent
LEFT JOIN verdicts ON verdicts.problem_id = $1 AND verdicts.answer_key = sent.answer_key
    AND verdicts.superseded_at IS NULL
LEFT JOIN counterexamples ON verdict_id = verdicts.id
ORDER BY sent.submitted_at
"""
_POINT = """
UPDATE submissions SET verdict_id = $3 WHERE problem_id = $1 AND answer_key = $2
RETURNING id
"""


class PostgresSubmissions:
    def __init__(self, database: Database) -> None:
        self._database = database

    async def receive(self, submission: Submission, job_id: UUID, key: bytes) -> Received:
        async with self._database.transaction() as unit:
            known = await unit.connection.fetchrow(_RECEIVED, job_id)
            if known is not None:
                return Received(known["id"], known["attempt"])
            made = 1
            if submission.user:  # anonymous learners cannot be told apart: each is at a first attempt
                made = await unit.connection.fetchval(_COUNT, submission.problem_id, submission.user)
            received = Received(uuid4(), made)
            await unit.connection.execute(
                _RECEIVE,
                received.id,
                job_id,
                submission.problem_id,
                submission.user,
                submission.sql,
                submission.dialect,
                key,
                made,
            )
            return received

    async def verdict(self, problem_id: UUID, key: bytes) -> StoredVerdict | None:
        row = await self._database.fetchrow(_IN_FORCE, problem_id, key)
        return None if row is None else _verdict_of(row)

    async def store(
        self, connection: asyncpg.Connection, submission: Submission, key: bytes, judgement: Judgement
    ) -> int:
        answer = Answer(key, submission.sql, submission.dialect, None)
        return await self._put_into_force(connection, submission.problem_id, answer, judgement)

    async def settle(
        self, connection: asyncpg.Connection, submission_id: UUID, verdict_id: int, graded_at: datetime
    ) -> None:
        await connection.execute(_SETTLE, submission_id, verdict_id, graded_at)

    async def answers(self, problem_id: UUID) -> Sequence[Answer]:
        rows = await self._database.fetch(_ANSWERS, problem_id)
        return [
            Answer(row["answer_key"], row["sql"], row["dialect"], None if row["id"] is None else _verdict_of(row))
            for row in rows
        ]

    async def supersede(self, problem_id: UUID, answer: Answer, judgement: Judgement) -> int:
        async with self._database.transaction() as unit:
            verdict_id = await self._put_into_force(unit.connection, problem_id, answer, judgement)
            return len(await unit.connection.fetch(_POINT, problem_id, answer.key, verdict_id))

    @staticmethod
    async def _put_into_force(
        connection: asyncpg.Connection, problem_id: UUID, answer: Answer, judgement: Judgement
    ) -> int:
        # Two learners may send one answer at once: one verdict after the other, the last one stays in force.
        await connection.execute(_LOCK, f"verdict:{problem_id}:{answer.key.hex()}")
        superseded = await connection.fetchval(_RETIRE, problem_id, answer.key)
        verdict_id: int = await connection.fetchval(
            _STORE,
            problem_id,
            answer.key,
            answer.sql,
            answer.dialect,
            judgement.verdict,
            judgement.score,
            judgement.mistake_kind,
            judgement.mistake_clause,
            _json(judgement.feedback),
            judgement.duration_ms,
            superseded,
        )
        found = judgement.counterexample
        if found is not None:
            data_set = found["data_set"]
            row_count = sum(len(rows) for rows in data_set.values())
            difference = {name: value for name, value in found.items() if name != "data_set"}
            await connection.execute(_STORE_COUNTEREXAMPLE, verdict_id, _json(data_set), row_count, _json(difference))
        return verdict_id


def _verdict_of(row: asyncpg.Record) -> StoredVerdict:
    counterexample = None
    if row["data_set"] is not None:
        counterexample = {"data_set": json.loads(row["data_set"]), **json.loads(row["difference"])}
    judgement = Judgement(
        verdict=row["verdict"],
        score=row["score"],
        feedback=json.loads(row["feedback"]),
        duration_ms=row["duration_ms"],
        mistake_kind=row["mistake_kind"],
        mistake_clause=row["mistake_clause"],
        counterexample=counterexample,
    )
    return StoredVerdict(row["id"], row["answer"], judgement)


def _json(value: Any) -> str:
    return json.dumps(storable(value), ensure_ascii=False)
