"""The projection in Postgres: what is true of learners and items follows from the set of answers alone.

Each learner's row is locked while its answers are taken in, learners and items in the order of their ids, so that
two consumers wait for each other instead of deadlocking. An answer older than the newest one taken in makes the
learner's state be computed anew from all of its answers.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

import asyncpg

from contracts.problems import ProblemPublished
from services.insights.adapters.models import Model, Models
from services.insights.handlers import skills_of
from services.insights.model.activity import Activity
from services.insights.model.codec import state_from_json, state_to_json
from services.insights.model.state import LearnerState, update
from services.insights.ports import Interaction

_KEEP_ITEM = """
INSERT INTO items (id, subject, difficulty, title, skills, published_at) VALUES ($1, $2, $3, $4, $5, $6)
ON CONFLICT (id) DO UPDATE
SET subject = EXCLUDED.subject, difficulty = EXCLUDED.difficulty, title = EXCLUDED.title, skills = EXCLUDED.skills,
    published_at = EXCLUDED.published_at, changed_at = clock_timestamp()
WHERE items.published_at IS NULL OR items.published_at <= EXCLUDED.published_at
"""
_KEEP_SKILLS = "INSERT INTO skills SELECT unnest($1::text[]) ORDER BY 1 ON CONFLICT DO NOTHING"
_SEEN_ITEMS = """
INSERT INTO items (id, subject, difficulty, title, skills)
SELECT id, subject, difficulty, '{}', ARRAY(SELECT jsonb_array_elements_text(skills))
FROM unnest($1::text[], $2::text[], $3::text[], $4::jsonb[]) AS seen(id, subject, difficulty, skills)
ORDER BY id ON CONFLICT DO NOTHING
"""
_ADD = """
INSERT INTO interactions (id, learner, item, skills, correct, at, position)
SELECT id, learner, item, ARRAY(SELECT jsonb_array_elements_text(skills)), correct, at, position
FROM unnest($1::text[], $2::text[], $3::text[], $4::jsonb[], $5::boolean[], $6::timestamptz[], $7::bigint[])
     AS arrived(id, learner, item, skills, correct, at, position)
ORDER BY id ON CONFLICT DO NOTHING
RETURNING id
"""
_LOCK_LEARNERS = """
INSERT INTO learners (id, state, activity, last_at, last_position, last_id)
SELECT id, '{}', '{}', timestamptz '0001-01-01 00:00+00', 0, ''
FROM unnest($1::text[]) AS new(id) ORDER BY id ON CONFLICT DO NOTHING
"""
_READ_LEARNERS = "SELECT * FROM learners WHERE id = ANY($1::text[]) ORDER BY id FOR UPDATE"
_ALL_ANSWERS = """
SELECT id, item, skills, correct, at, position, model_id, residual
FROM interactions WHERE learner = $1 ORDER BY at, position, id
"""
_WRITE_LEARNER = """
UPDATE learners SET model_id = $2, state = $3, activity = $4, last_at = $5, last_position = $6, last_id = $7,
       version = version + 1
WHERE id = $1
"""
_WRITE_RESIDUALS = """
UPDATE interactions SET model_id = $1, residual = taken.residual
FROM unnest($2::text[], $3::float8[]) AS taken(id, residual) WHERE interactions.id = taken.id
"""
_LOCK_ITEMS = "SELECT 1 FROM items WHERE id = ANY($1::text[]) ORDER BY id FOR UPDATE"
_CORRECT_ITEMS = """
UPDATE items SET model_id = $1, changed_at = clock_timestamp(),
       gap = CASE WHEN items.model_id = $1 THEN items.gap ELSE 0 END + moved.gap,
       information = CASE WHEN items.model_id = $1 THEN items.information ELSE 0 END + moved.information
FROM unnest($2::text[], $3::float8[], $4::float8[]) AS moved(id, gap, information) WHERE items.id = moved.id
"""

Key = tuple[datetime, int, str]


@dataclass
class _Moves:
    """What a batch changes: residuals of answers, and sums per item."""

    residuals: dict[str, float] = field(default_factory=dict)
    items: dict[str, list[float]] = field(default_factory=lambda: defaultdict(lambda: [0.0, 0.0]))

    def count(self, item: str, residual: float, sign: int) -> None:
        expected = 1 - residual if residual > 0 else -residual
        cell = self.items[item]
        cell[0] += sign * residual
        cell[1] += sign * expected * (1 - expected)


class PostgresProjection:
    """``zone``: the time zone in which hours of the day are counted."""

    def __init__(self, models: Models, zone: str) -> None:
        self._models = models
        self._zone = zone

    async def keep_item(self, connection: asyncpg.Connection, message: ProblemPublished) -> None:
        skills = skills_of(message.tags)
        title = json.dumps({"ko": message.title.ko, "en": message.title.en}, ensure_ascii=False)
        await connection.execute(_KEEP_SKILLS, list(skills))
        await connection.execute(
            _KEEP_ITEM,
            *(message.problem_id, message.data_type, message.difficulty, title, list(skills), message.published_at),
        )

    async def take_in(self, connection: asyncpg.Connection, interactions: Sequence[Interaction]) -> None:
        model = await self._models.refresh()
        fresh = await self._add(connection, interactions)
        if not fresh:
            return
        by_learner: dict[str, list[Interaction]] = defaultdict(list)
        for interaction in fresh:
            by_learner[interaction.learner].append(interaction)
        names = sorted(by_learner)
        await connection.execute(_LOCK_LEARNERS, names)
        moves = _Moves()
        for row in await connection.fetch(_READ_LEARNERS, names):
            new = sorted(by_learner[row["id"]], key=_key)
            if row["model_id"] != model.id or _key(new[0]) < (row["last_at"], row["last_position"], row["last_id"]):
                await self._replay(connection, row["id"], model, moves)
            else:
                await self._append(connection, row, new, model, moves)
        await self._settle(connection, model, moves)

    async def rebuild(self, connection: asyncpg.Connection, learner: str) -> None:
        """Compute the learner anew from its answers, under the model in use."""
        model = await self._models.refresh()
        moves = _Moves()
        if await connection.fetch(_READ_LEARNERS, [learner]):
            await self._replay(connection, learner, model, moves)
            await self._settle(connection, model, moves)

    async def _add(self, connection: asyncpg.Connection, interactions: Sequence[Interaction]) -> list[Interaction]:
        """Those never seen before, each once."""
        distinct = {interaction.id: interaction for interaction in reversed(interactions)}
        items = {entry.item: entry for entry in distinct.values()}
        await connection.execute(
            _SEEN_ITEMS,
            list(items),
            [entry.subject for entry in items.values()],
            [entry.difficulty for entry in items.values()],
            [json.dumps(entry.skills) for entry in items.values()],
        )
        await connection.execute(_KEEP_SKILLS, sorted({name for entry in items.values() for name in entry.skills}))
        entries = list(distinct.values())
        rows = await connection.fetch(
            _ADD,
            [entry.id for entry in entries],
            [entry.learner for entry in entries],
            [entry.item for entry in entries],
            [json.dumps(entry.skills) for entry in entries],
            [entry.correct for entry in entries],
            [entry.at for entry in entries],
            [entry.position for entry in entries],
        )
        return [distinct[row["id"]] for row in rows]

    async def _append(
        self,
        connection: asyncpg.Connection,
        row: asyncpg.Record,
        new: Sequence[Interaction],
        model: Model,
        moves: _Moves,
    ) -> None:
        began = row["last_id"] == ""
        state = LearnerState() if began else state_from_json(row["state"])
        activity = Activity() if began else Activity.from_json(row["activity"])
        for entry in new:
            self._step(model, state, activity, entry, moves)
        await self._write(connection, row["id"], model, state, activity, _key(new[-1]))

    async def _replay(self, connection: asyncpg.Connection, learner: str, model: Model, moves: _Moves) -> None:
        state, activity = LearnerState(), Activity()
        last: Key | None = None
        async for row in connection.cursor(_ALL_ANSWERS, learner, prefetch=2_000):
            entry = Interaction(
                *(row["id"], learner, row["item"], "", "", tuple(row["skills"]), row["correct"], row["at"]),
                position=row["position"],
            )
            if row["model_id"] == model.id and row["residual"] is not None and entry.at > model.trained_until:
                moves.count(entry.item, row["residual"], -1)
            self._step(model, state, activity, entry, moves)
            last = _key(entry)
        if last is not None:
            await self._write(connection, learner, model, state, activity, last)

    def _step(self, model: Model, state: LearnerState, activity: Activity, entry: Interaction, moves: _Moves) -> None:
        item = model.knowledge.bank.get(entry.item, entry.skills)
        at = max(entry.at.timestamp(), 0.0)
        residual = update(state, item, entry.correct, at)
        activity.add(at, self._zone)
        moves.residuals[entry.id] = residual
        if entry.at > model.trained_until:
            moves.count(entry.item, residual, +1)

    async def _write(
        self,
        connection: asyncpg.Connection,
        learner: str,
        model: Model,
        state: LearnerState,
        activity: Activity,
        last: Key,
    ) -> None:
        await connection.execute(_WRITE_LEARNER, learner, model.id, state_to_json(state), activity.to_json(), *last)

    async def _settle(self, connection: asyncpg.Connection, model: Model, moves: _Moves) -> None:
        await connection.execute(_WRITE_RESIDUALS, model.id, list(moves.residuals), list(moves.residuals.values()))
        names = sorted(moves.items)
        if names:
            await connection.execute(_LOCK_ITEMS, names)
            await connection.execute(
                _CORRECT_ITEMS,
                model.id,
                names,
                [moves.items[name][0] for name in names],
                [moves.items[name][1] for name in names],
            )


def _key(entry: Interaction) -> Key:
    return entry.at, entry.position, entry.id
