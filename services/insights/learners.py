"""A learner as the answers need it: state, activity and version, read in one row."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from typing import Generic, TypeVar

from services.insights.model.activity import Activity
from services.insights.model.codec import state_from_json
from services.insights.model.state import LearnerState
from services.kernel.database.unit_of_work import Database

_VERSION = "SELECT version FROM learners WHERE id = $1 AND last_id <> ''"
_READ = "SELECT state, activity, version FROM learners WHERE id = $1 AND last_id <> ''"
V = TypeVar("V")


@dataclass(frozen=True, slots=True)
class Learner:
    """``version`` 0 is a learner nobody has heard of: states are blank."""

    id: str
    version: int
    state: LearnerState
    activity: Activity


class Cache(Generic[V]):
    """The values asked for most recently, at most ``size``."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._values: OrderedDict[object, V] = OrderedDict()

    def get(self, key: object) -> V | None:
        value = self._values.get(key)
        if value is not None:
            self._values.move_to_end(key)
        return value

    def put(self, key: object, value: V) -> None:
        self._values[key] = value
        self._values.move_to_end(key)
        if len(self._values) > self._size:
            self._values.popitem(last=False)


class Learners:
    def __init__(self, database: Database) -> None:
        self._database = database

    async def version(self, name: str) -> int:
        """0 for a learner nobody has heard of. Cheap: it is what caches are checked against."""
        return int(await self._database.pool.fetchval(_VERSION, name) or 0)

    async def read(self, name: str) -> Learner:
        row = await self._database.fetchrow(_READ, name)
        if row is None:
            return Learner(name, 0, LearnerState(), Activity())
        return Learner(name, row["version"], state_from_json(row["state"]), Activity.from_json(row["activity"]))
