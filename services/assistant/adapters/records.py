"""Classifiers and corrections in Postgres."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from services.assistant.triage.model import TriageModel
from services.assistant.triage.taxonomy import Example, Taxonomy
from services.kernel.database.unit_of_work import Database

KEPT = 5
"""Classifiers kept per taxonomy."""

_NEWEST = "SELECT id, version, artefact, digest FROM classifiers WHERE taxonomy = $1 ORDER BY id DESC LIMIT $2"
_STORE = """
INSERT INTO classifiers (taxonomy, version, digest, artefact, examples) VALUES ($1, $2, $3, $4, $5) RETURNING id
"""
_PRUNE = """
DELETE FROM classifiers WHERE taxonomy = $1 AND id NOT IN (
    SELECT id FROM classifiers WHERE taxonomy = $1 ORDER BY id DESC LIMIT $2)
"""
_CORRECT = """
INSERT INTO corrections (taxonomy, text_hash, text, category, priority, corrected_by) VALUES ($1, $2, $3, $4, $5, $6)
ON CONFLICT (taxonomy, text_hash) DO UPDATE
SET category = EXCLUDED.category, priority = EXCLUDED.priority, corrected_by = EXCLUDED.corrected_by,
    corrected_at = now()
WHERE (corrections.category, corrections.priority) <> (EXCLUDED.category, EXCLUDED.priority)
RETURNING id
"""
_CORRECTIONS = "SELECT text, category, priority FROM corrections WHERE taxonomy = $1 ORDER BY id"


class PostgresClassifiers:
    def __init__(self, database: Database) -> None:
        self._database = database

    async def newest(self, taxonomy: str) -> Sequence[tuple[int, str, bytes, str]]:
        rows = await self._database.fetch(_NEWEST, taxonomy, KEPT)
        return [(row["id"], row["version"], row["artefact"], row["digest"]) for row in rows]

    async def add(self, taxonomy: str, model: TriageModel, artefact: bytes, examples: int) -> int:
        digest = hashlib.sha256(artefact).hexdigest()
        async with self._database.transaction() as unit:
            row: int = await unit.connection.fetchval(_STORE, taxonomy, model.version, digest, artefact, examples)
            await unit.connection.execute(_PRUNE, taxonomy, KEPT)
        return row


class PostgresCorrections:
    """The last word on a text counts."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def add(self, taxonomy: Taxonomy, example: Example, corrected_by: str) -> bool:
        key = hashlib.sha256(example.text.strip().encode()).digest()
        row = await self._database.fetchrow(
            _CORRECT, taxonomy.name, key, example.text, example.category, example.priority, corrected_by
        )
        return row is not None

    async def all(self, taxonomy: str) -> Sequence[Example]:
        return [Example(**dict(row)) for row in await self._database.fetch(_CORRECTIONS, taxonomy)]
