"""The notifications table."""

from collections.abc import Sequence
from uuid import UUID

import asyncpg

from contracts.problems import LocaleText
from services.notifier.domain import Audience, Kind, Notification, Severity, Viewer
from services.notifier.ports import Filter, Stored

COLUMNS = """sequence, id, kind, type, severity, audience, user_id, about, text_ko, text_en, error_message,
    stack_trace, project_id, trace_id, occurred_at, created_at"""
_VISIBLE = """($1 OR audience = 'everyone' OR (audience = 'user' AND user_id = $2 AND $2 <> '')
    OR (audience = 'holder' AND about = ANY($3::text[])))"""
_AFTER = f"""
SELECT {COLUMNS} FROM notifications WHERE {_VISIBLE} AND sequence > $4 ORDER BY sequence LIMIT $5
"""
_BEFORE = f"""
SELECT {COLUMNS} FROM notifications
WHERE {_VISIBLE} AND ($4::bigint IS NULL OR sequence < $4) AND ($5 = '' OR kind = $5) AND ($6 = '' OR type = $6)
  AND ($7 = '' OR severity = $7) AND ($8 = '' OR about = $8)
ORDER BY sequence DESC LIMIT $9
"""
_ONE = f"SELECT {COLUMNS} FROM notifications WHERE {_VISIBLE} AND id = $4"
_LATEST = "SELECT coalesce(max(sequence), 0) FROM notifications"
_PRUNE = "DELETE FROM notifications WHERE created_at < now() - make_interval(days => $1)"


class NotificationsTable:
    """See ``ports.Notifications``."""

    def __init__(self, pool: asyncpg.Pool) -> None:
        self._pool = pool

    async def latest(self) -> int:
        return await self._pool.fetchval(_LATEST)  # type: ignore[no-any-return]

    async def after(self, position: int, viewer: Viewer, limit: int) -> Sequence[Stored]:
        rows = await self._pool.fetch(_AFTER, *_sight(viewer), position, limit)
        return [read(row) for row in rows]

    async def before(self, position: int | None, viewer: Viewer, wanted: Filter, limit: int) -> Sequence[Stored]:
        rows = await self._pool.fetch(
            _BEFORE, *_sight(viewer), position, wanted.kind, wanted.type, wanted.severity, wanted.about, limit
        )
        return [read(row) for row in rows]

    async def one(self, notification_id: UUID, viewer: Viewer) -> Stored | None:
        row = await self._pool.fetchrow(_ONE, *_sight(viewer), notification_id)
        return None if row is None else read(row)

    async def prune(self, older_than_days: int) -> None:
        """Forget notifications that nobody may still want to replay."""
        await self._pool.execute(_PRUNE, older_than_days)


def _sight(viewer: Viewer) -> tuple[bool, str, list[str]]:
    return viewer.administrator, viewer.user_id, list(viewer.named)


def read(row: asyncpg.Record) -> Stored:
    """A row with the columns of ``COLUMNS``."""
    return Stored(
        sequence=row["sequence"],
        created_at=row["created_at"],
        notification=Notification(
            id=row["id"],
            kind=Kind(row["kind"]),
            type=row["type"],
            severity=Severity(row["severity"]),
            audience=Audience(row["audience"]),
            user_id=row["user_id"],
            about=row["about"],
            text=LocaleText(ko=row["text_ko"], en=row["text_en"]),
            error_message=row["error_message"],
            stack_trace=row["stack_trace"],
            project_id=row["project_id"],
            trace_id=row["trace_id"],
            occurred_at=row["occurred_at"],
        ),
    )
