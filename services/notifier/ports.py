"""What the notifier needs from the world, as small protocols."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol
from uuid import UUID

import asyncpg

from services.notifier.domain import Notification, Viewer


@dataclass(frozen=True)
class Stored:
    """A notification in its place: ``sequence`` grows in the order in which notifications became visible."""

    sequence: int
    created_at: datetime
    notification: Notification


@dataclass(frozen=True, slots=True)
class Filter:
    """Empty fields accept everything."""

    kind: str = ""
    type: str = ""
    severity: str = ""
    about: str = ""


class Record(Protocol):
    async def __call__(self, connection: asyncpg.Connection, notifications: Sequence[Notification]) -> set[UUID]:
        """Keep them on the caller's transaction, each once; the ids of those that were not there before."""
        ...


class Notifications(Protocol):
    """Reading. Every method raises what asyncpg raises when the database is out of reach."""

    async def latest(self) -> int:
        """The newest sequence, 0 when there is none."""
        ...

    async def after(self, position: int, viewer: Viewer, limit: int) -> Sequence[Stored]:
        """What ``viewer`` may see beyond ``position``, oldest first."""
        ...

    async def before(self, position: int | None, viewer: Viewer, wanted: Filter, limit: int) -> Sequence[Stored]:
        """What ``viewer`` may see and wants, newest first, older than ``position``."""
        ...

    async def one(self, notification_id: UUID, viewer: Viewer) -> Stored | None:
        """None when it does not exist or is not the viewer's to see."""
        ...
