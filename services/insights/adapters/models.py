"""The fitted models: rows in Postgres, artefacts in object storage, one in memory."""

from __future__ import annotations

import asyncio
import hashlib
import json
import logging
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import asyncpg

from services.insights.model.codec import BrokenArtefact, artefact, from_artefact
from services.insights.model.knowledge import Knowledge, untrained
from services.insights.model.population import Population
from services.kernel.database.unit_of_work import Database
from services.kernel.errors import PermanentError
from services.kernel.storage import ObjectStore

_logger = logging.getLogger(__name__)

_ACCEPTED = "SELECT id, uri, trained_until FROM models WHERE status = 'accepted' AND id < $1 ORDER BY id DESC LIMIT 1"
_NEWEST = "SELECT coalesce(max(id), 0) FROM models WHERE status = 'accepted'"
_NEVER = datetime(1970, 1, 1, tzinfo=UTC)
_NO_LIMIT = 2**62


@dataclass(frozen=True, slots=True)
class Model:
    """``id`` 0 is the untrained model that serves before the first refit."""

    id: int
    knowledge: Knowledge
    population: Population
    trained_until: datetime


UNTRAINED = Model(0, untrained(), Population(), _NEVER)


class Models:
    def __init__(self, database: Database, objects: ObjectStore) -> None:
        self._database = database
        self._objects = objects
        self._model = UNTRAINED
        self._reading = asyncio.Lock()

    @property
    def in_use(self) -> Model:
        """What this process serves with now; ``refresh`` moves on to a newer one."""
        return self._model

    async def refresh(self) -> Model:
        """The newest accepted model that can be read. A damaged one is marked broken, and the one before it serves.

        Raises:
            TransientError: object storage is out of reach and nothing newer than the model in memory can be had.
        """
        newest = await self._database.pool.fetchval(_NEWEST)
        if newest == self._model.id:
            return self._model
        async with self._reading:
            limit = _NO_LIMIT
            while True:
                row = await self._database.fetchrow(_ACCEPTED, limit)
                if row is None:
                    self._model = UNTRAINED
                elif row["id"] != self._model.id:
                    read = await self._read(row)
                    if read is None:
                        limit = row["id"]
                        continue
                    self._model = read
                return self._model

    async def _read(self, row: asyncpg.Record) -> Model | None:
        try:
            data = await self._objects.read(row["uri"])
            knowledge, population = await asyncio.to_thread(from_artefact, data)
        except (BrokenArtefact, PermanentError) as error:
            # A refusal by storage may be a matter of rights, not of this model: it stays accepted and is tried again.
            if isinstance(error, BrokenArtefact) or error.code == "object_not_found":
                await self._database.execute("UPDATE models SET status = 'broken' WHERE id = $1", row["id"])
            _logger.exception(
                "model %d cannot serve, the one before it does",
                row["id"],
                extra={"action": "model.broken", "model_id": row["id"]},
            )
            return None
        return Model(row["id"], knowledge, population, row["trained_until"])

    async def store(self, knowledge: Knowledge, population: Population) -> str:
        """Put the artefact into storage under its digest; its URI.

        Raises:
            TransientError, PermanentError: as the object store says.
        """
        data = await asyncio.to_thread(artefact, knowledge, population)
        name = f"insights/models/{hashlib.sha256(data).hexdigest()}.json"
        return await self._objects.write_once(name, data, content_type="application/json")


async def record(
    connection: asyncpg.Connection, uri: str, *, accepted: bool, trained_until: datetime, figures: dict[str, Any]
) -> int:
    """Note a refit on the caller's transaction; its id."""
    identifier: int = await connection.fetchval(
        "INSERT INTO models (uri, status, trained_until, figures) VALUES ($1, $2, $3, $4) RETURNING id",
        uri,
        "accepted" if accepted else "rejected",
        trained_until,
        json.dumps(figures),
    )
    return identifier
