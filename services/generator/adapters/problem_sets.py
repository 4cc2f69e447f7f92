"""Problem sets and problems in Postgres."""

from __future__ import annotations

import json
import uuid
from dataclasses import replace
from uuid import UUID

import asyncpg

from contracts.problems import GradingDataSet, LocaleHints, LocaleText, Provenance
from services.generator.domain import (
    DAILY_SET,
    Chunk,
    GenerationOrder,
    NewProblem,
    ProblemSet,
    add_counts,
)
from services.generator.ports import StoredProblem
from services.kernel.database.unit_of_work import Database
from services.kernel.errors import TransientError
from services.kernel.jobs.worker import HEARTBEAT_TIMEOUT_SECONDS

_NAMESPACE = uuid.UUID("5b1f1d3a-6a3c-4c7e-9a49-7d1f0b6a2c10")
_UNIQUE_DAYS = 90

_OWN = "SELECT * FROM problem_sets WHERE job_id = $1"
_FIND = "SELECT * FROM problem_sets WHERE problem_date = $1 AND data_type = $2 AND set_index = $3 FOR UPDATE"
_CREATE = """
INSERT INTO problem_sets (problem_date, data_type, set_index, job_id, wanted, seed)
VALUES ($1, $2, $3, $4, $5, $6)
ON CONFLICT DO NOTHING RETURNING *
"""
_NEXT_INDEX = "SELECT coalesce(max(set_index), 0) + 1 FROM problem_sets WHERE problem_date = $1 AND data_type = $2"
_TAKE_OVER = """
UPDATE problem_sets SET job_id = $4
WHERE problem_date = $1 AND data_type = $2 AND set_index = $3 RETURNING *
"""
_IS_ALIVE = """
SELECT EXISTS (SELECT FROM job_runs WHERE job_id = $1 AND state = 'running'
               AND heartbeat_at > now() - make_interval(secs => $2))
"""
_ADVANCE = """
UPDATE problem_sets SET chunks = chunks + 1, dropped = $6
WHERE problem_date = $1 AND data_type = $2 AND set_index = $3 AND job_id = $4 AND chunks = $5
  AND completed_at IS NULL
RETURNING chunks
"""
_ADD = """
INSERT INTO problems (id, problem_date, data_type, set_index, position, difficulty, title, description, initial_sql,
                      expected_answer, hints, texts, tags, ddl, reference_sql, normalised_sql, ordered, datasets,
                      mutants, provenance, job_id)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21)
ON CONFLICT DO NOTHING RETURNING id
"""
_LIST = """
SELECT * FROM problems WHERE problem_date = $1 AND data_type = $2 AND set_index = $3 ORDER BY position
"""
_COUNT = "SELECT count(*) FROM problems WHERE problem_date = $1 AND data_type = $2 AND set_index = $3"
_KNOWN = """
SELECT DISTINCT normalised_sql FROM problems
WHERE data_type = $1 AND created_at > now() - make_interval(days => $2)
"""
_COMPLETE = """
UPDATE problem_sets SET completed_at = now()
WHERE problem_date = $1 AND data_type = $2 AND set_index = $3 AND job_id = $4 AND completed_at IS NULL
RETURNING set_index
"""
_PUBLISH = """
UPDATE problems SET published_at = now() WHERE problem_date = $1 AND data_type = $2 AND set_index = $3
"""


class PostgresProblemSets:
    def __init__(self, database: Database) -> None:
        self._database = database

    async def claim(self, order: GenerationOrder, job_id: UUID) -> ProblemSet | UUID:
        async with self._database.transaction() as unit:
            own = await unit.connection.fetchrow(_OWN, job_id)
            if own is not None:
                return _set_of(own)
            if order.daily:
                return await self._claim_daily(unit.connection, order, job_id)
            return await self._create_next(unit.connection, order, job_id)

    async def _claim_daily(
        self, connection: asyncpg.Connection, order: GenerationOrder, job_id: UUID
    ) -> ProblemSet | UUID:
        created = await self._create(connection, order, DAILY_SET, job_id)
        if created is not None:
            return _set_of(created)
        row = await connection.fetchrow(_FIND, order.problem_date, order.data_type, DAILY_SET)
        owner: UUID = row["job_id"]
        if row["completed_at"] is not None:
            return _set_of(row)
        if await connection.fetchval(_IS_ALIVE, owner, HEARTBEAT_TIMEOUT_SECONDS):
            return owner
        return _set_of(await connection.fetchrow(_TAKE_OVER, order.problem_date, order.data_type, DAILY_SET, job_id))

    async def _create_next(self, connection: asyncpg.Connection, order: GenerationOrder, job_id: UUID) -> ProblemSet:
        while True:
            index = await connection.fetchval(_NEXT_INDEX, order.problem_date, order.data_type)
            created = await self._create(connection, order, index, job_id)
            if created is not None:  # else another job took that number in the meantime
                return _set_of(created)

    @staticmethod
    async def _create(
        connection: asyncpg.Connection, order: GenerationOrder, index: int, job_id: UUID
    ) -> asyncpg.Record | None:
        return await connection.fetchrow(
            _CREATE, order.problem_date, order.data_type, index, job_id, order.count, order.seed
        )

    async def known_sql(self, data_type: str) -> frozenset[str]:
        rows = await self._database.fetch(_KNOWN, data_type, _UNIQUE_DAYS)
        return frozenset(row["normalised_sql"] for row in rows)

    async def add(self, place: ProblemSet, job_id: UUID, base: GradingDataSet, chunk: Chunk) -> ProblemSet:
        key = (place.problem_date, place.data_type, place.set_index)
        async with self._database.transaction() as unit:
            position = await unit.connection.fetchval(_COUNT, *key)
            duplicates = 0
            for problem in chunk.problems:
                added = await self._insert(unit.connection, place, job_id, position, problem, base)
                position += added
                duplicates += not added
            dropped = add_counts(place.dropped, chunk.dropped)
            if duplicates:
                dropped = add_counts(dropped, {"duplicate_title": duplicates})
            advanced = await unit.connection.fetchval(_ADVANCE, *key, job_id, place.chunks, json.dumps(dropped))
            if advanced is None:
                raise _taken_over(place)
        return replace(place, chunks=advanced, dropped=dropped)

    async def _insert(
        self,
        connection: asyncpg.Connection,
        place: ProblemSet,
        job_id: UUID,
        position: int,
        problem: NewProblem,
        base: GradingDataSet,
    ) -> bool:
        # The same problem of the same set has the same id, so that a second publication is recognised as one.
        problem_id = uuid.uuid5(
            _NAMESPACE, f"{place.problem_date}:{place.data_type}:{place.set_index}:{problem.normalised_sql}"
        )
        datasets = [set_.model_dump() for set_ in (base, *problem.small_sets)]
        added = await connection.fetchval(
            _ADD,
            problem_id,
            place.problem_date,
            place.data_type,
            place.set_index,
            position,
            problem.difficulty,
            problem.name,
            problem.description.ko or problem.description.en,
            problem.initial_sql,
            json.dumps(problem.expected_answer, ensure_ascii=False),
            problem.hints.model_dump_json(),
            json.dumps({"title": problem.title.model_dump(), "description": problem.description.model_dump()}),
            list(problem.tags),
            json.dumps(problem.ddl),
            problem.reference_sql,
            problem.normalised_sql,
            problem.ordered,
            json.dumps(datasets),
            json.dumps(dict(problem.mutants)),
            problem.provenance.model_dump_json(),
            job_id,
        )
        return added is not None

    async def problems(self, place: ProblemSet) -> list[StoredProblem]:
        rows = await self._database.fetch(_LIST, place.problem_date, place.data_type, place.set_index)
        return [_problem_of(row) for row in rows]

    async def publish(self, connection: asyncpg.Connection, place: ProblemSet, job_id: UUID) -> None:
        key = (place.problem_date, place.data_type, place.set_index)
        if await connection.fetchval(_COMPLETE, *key, job_id) is None:
            raise _taken_over(place)
        await connection.execute(_PUBLISH, *key)


def _taken_over(place: ProblemSet) -> TransientError:
    return TransientError(
        f"set {place.set_index} of {place.data_type} on {place.problem_date} was taken over by another job",
        code="set_taken_over",
    )


def _set_of(row: asyncpg.Record) -> ProblemSet:
    return ProblemSet(
        problem_date=row["problem_date"],
        data_type=row["data_type"],
        set_index=row["set_index"],
        wanted=row["wanted"],
        seed=row["seed"],
        chunks=row["chunks"],
        dropped=json.loads(row["dropped"]),
        completed=row["completed_at"] is not None,
    )


def _problem_of(row: asyncpg.Record) -> StoredProblem:
    texts = json.loads(row["texts"])
    base, *small = [GradingDataSet.model_validate(entry) for entry in json.loads(row["datasets"])]
    problem = NewProblem(
        difficulty=row["difficulty"],
        title=LocaleText.model_validate(texts["title"]),
        description=LocaleText.model_validate(texts["description"]),
        initial_sql=row["initial_sql"],
        expected_answer=json.loads(row["expected_answer"]),
        hints=LocaleHints.model_validate_json(row["hints"]),
        tags=tuple(row["tags"]),
        ddl=tuple(json.loads(row["ddl"])),
        reference_sql=row["reference_sql"],
        normalised_sql=row["normalised_sql"],
        ordered=row["ordered"],
        small_sets=tuple(small),
        mutants=json.loads(row["mutants"]),
        provenance=Provenance.model_validate_json(row["provenance"]),
    )
    return StoredProblem(row["id"], problem, (base, *small))
