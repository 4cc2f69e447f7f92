"""Every item as the service serves it, ready in memory: refreshed when the projection or the model changes."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from services.insights.adapters.models import Model, Models
from services.insights.model.corrections import Correction, corrected
from services.insights.model.knowledge import Knowledge
from services.insights.model.score import Coming, terms
from services.insights.model.state import Item, LearnerState
from services.insights.model.strengths import skill_easiness
from services.insights.model.table import ItemTable
from services.kernel.database.pool import OUTAGE
from services.kernel.database.unit_of_work import Database
from services.kernel.errors import TransientError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_logger = logging.getLogger(__name__)

REFRESH_SECONDS = 2.0
SAMPLE = 30
OVERLAP_SECONDS = 60.0
"""A transaction's rows become visible after the time they carry: look back further than any transaction lasts."""
_CHANGED = "SELECT id, subject, title, skills, model_id, gap, information, changed_at FROM items WHERE changed_at >= $1"


@dataclass(frozen=True, slots=True)
class Entry:
    id: str
    subject: str
    title: str
    skills: tuple[str, ...]
    model_id: int
    correction: Correction


@dataclass(frozen=True, slots=True)
class Catalogue:
    """``version`` grows with every change. ``table`` is in the order of ``entries``; ``subjects``: positions in it.
    ``samples``: per subject at most 30 items that stand for all of it, evenly spread over their easiness; ``ordinary``:
    the score that a learner of whom nothing is known is expected to reach on them."""

    version: int
    model: Model
    entries: Sequence[Entry]
    subjects: dict[str, NDArray[np.intp]]
    table: ItemTable
    samples: dict[str, ItemTable]
    ordinary: dict[str, float]
    easiness: dict[str, float]


def build(version: int, model: Model, entries: Sequence[Entry]) -> Catalogue:
    items: list[Item] = []
    subjects: dict[str, list[int]] = {}
    for row, entry in enumerate(entries):
        fitted = model.knowledge.bank.get(entry.id, entry.skills)
        items.append(corrected(fitted, entry.correction if entry.model_id == model.id else None))
        subjects.setdefault(entry.subject, []).append(row)
    import numpy as np

    linear = model.knowledge.linear
    samples = {subject: ItemTable.of(_spread(items, rows), linear) for subject, rows in subjects.items()}
    ordinary = {subject: _ordinary(model.knowledge, sample) for subject, sample in samples.items()}
    easiness = skill_easiness(model.knowledge.bank)
    positions = {subject: np.array(rows, dtype=np.intp) for subject, rows in subjects.items()}
    table = ItemTable.of(items, linear)
    return Catalogue(version, model, entries, positions, table, samples, ordinary, easiness)


def _ordinary(knowledge: Knowledge, sample: ItemTable) -> float:
    matrix = sample.matrix(LearnerState())
    skill_sets = [item.skills for item in sample.items]
    chances = knowledge.of_matrix(matrix, sample.slopes, skill_sets)
    return knowledge.score_rule.mean(terms(Coming(matrix, chances)))


def _spread(items: Sequence[Item], rows: Sequence[int]) -> list[Item]:
    """The middles of ``SAMPLE`` equal parts of the items, ordered by easiness."""
    ranked = sorted((items[row] for row in rows), key=lambda item: (item.easiness, item.id))
    size = min(SAMPLE, len(ranked))
    return [ranked[int((part + 0.5) * len(ranked) / size)] for part in range(size)]


class Catalogues:
    """The catalogue in use; ``run`` keeps it fresh in the background."""

    def __init__(self, database: Database, models: Models) -> None:
        self._database = database
        self._models = models
        self._entries: dict[str, Entry] = {}
        self._seen = datetime(1970, 1, 1, tzinfo=UTC)
        self._current: Catalogue | None = None
        self._refreshing = asyncio.Lock()

    async def current(self) -> Catalogue:
        """The first call reads everything; later ones answer from memory."""
        if self._current is None:
            await self.refresh()
        assert self._current is not None  # noqa: S101 - refresh sets it
        return self._current

    async def refresh(self) -> None:
        """Raises asyncpg.PostgresError, OSError, TransientError: as the database and object storage say."""
        async with self._refreshing:
            model = await self._models.refresh()
            rows = await self._database.fetch(_CHANGED, self._seen)
            changed = False
            for row in rows:
                entry = Entry(
                    *(row["id"], row["subject"], json.loads(row["title"]).get("en", ""), tuple(row["skills"])),
                    model_id=row["model_id"],
                    correction=Correction(row["gap"], row["information"]),
                )
                changed = changed or self._entries.get(entry.id) != entry
                self._entries[entry.id] = entry
            if rows:
                newest = max(row["changed_at"] for row in rows).timestamp() - OVERLAP_SECONDS
                self._seen = max(self._seen, datetime.fromtimestamp(max(newest, 0.0), UTC))
            before = self._current
            if before is None or changed or before.model.id != model.id:
                version = before.version + 1 if before else 1
                entries = [self._entries[name] for name in sorted(self._entries)]
                self._current = await asyncio.to_thread(build, version, model, entries)

    async def run(self) -> None:
        while True:
            await asyncio.sleep(REFRESH_SECONDS)
            try:
                await self.refresh()
            except (*OUTAGE, TransientError) as error:
                _logger.warning("the catalogue stays as it is: %s", error, extra={"action": "catalogue.stale"})
