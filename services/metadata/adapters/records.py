"""Hints, learners' feedback and announcements in Postgres."""

from __future__ import annotations

import uuid
from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime
from typing import Literal

from contracts.metadata import MetadataRefreshed
from services.kernel.database.unit_of_work import Database
from services.metadata.domain.events import Hint
from services.metadata.domain.examples import Votes
from services.metadata.domain.tables import TableId
from services.metadata.ports import DueHint

Verdict = Literal["worked", "wrong", "unclear"]

_ADD = """
INSERT INTO table_hints (table_id, kind, reason, due_at)
SELECT t, k, r, now() + make_interval(secs => $4)
FROM unnest($1::text[], $2::text[], $3::text[]) AS said(t, k, r) ORDER BY t
ON CONFLICT (table_id) DO UPDATE
SET seen = table_hints.seen + 1, kind = EXCLUDED.kind, reason = EXCLUDED.reason, last_at = now()
"""
_TAKE = """
UPDATE table_hints SET lease_token = $3, leased_until = now() + make_interval(secs => $2), attempts = attempts + 1
WHERE table_id IN (
    SELECT table_id FROM table_hints
    WHERE due_at <= now() AND (leased_until IS NULL OR leased_until < now())
    ORDER BY due_at LIMIT $1 FOR UPDATE SKIP LOCKED
)
RETURNING table_id, seen, attempts, lease_token
"""
_SETTLE = "DELETE FROM table_hints WHERE table_id = $1 AND lease_token = $2 AND seen = $3"
_AGAIN = """
UPDATE table_hints SET due_at = now() + make_interval(secs => $2), lease_token = NULL, leased_until = NULL, attempts = 0
WHERE table_id = $1 AND lease_token = $3
"""
_POSTPONE = """
UPDATE table_hints SET due_at = now() + make_interval(secs => $2), lease_token = NULL, leased_until = NULL,
    last_error = $3
WHERE table_id = $1 AND lease_token = $4
"""
_NEXT = "SELECT min(greatest(due_at, coalesce(leased_until, due_at))) FROM table_hints"

_VOTES = """
SELECT example_id, verdict, count(*) AS votes FROM example_feedback WHERE table_id = $1 GROUP BY example_id, verdict
"""
_CORRECTIONS = """
SELECT example_id, corrected_sql FROM example_feedback
WHERE table_id = $1 AND corrected_sql <> '' ORDER BY given_at DESC LIMIT 100
"""
_GIVE = """
INSERT INTO example_feedback (table_id, example_id, user_id, verdict, corrected_sql, comment)
VALUES ($1, $2, $3, $4, $5, $6)
ON CONFLICT (table_id, example_id, user_id) DO UPDATE
SET verdict = EXCLUDED.verdict, corrected_sql = EXCLUDED.corrected_sql, comment = EXCLUDED.comment, given_at = now()
"""


class PostgresHints:
    def __init__(self, database: Database) -> None:
        self._database = database

    async def add(self, hints: Sequence[Hint], window_seconds: float) -> None:
        latest = {str(hint.table): hint for hint in hints}
        if latest:
            await self._database.execute(
                _ADD,
                list(latest),
                [hint.kind.value for hint in latest.values()],
                [hint.reason for hint in latest.values()],
                window_seconds,
            )

    async def take(self, limit: int, lease_seconds: float) -> list[DueHint]:
        rows = await self._database.fetch(_TAKE, limit, lease_seconds, uuid.uuid4())
        return [
            DueHint(TableId.parse(row["table_id"]), row["seen"], row["attempts"], row["lease_token"]) for row in rows
        ]

    async def settle(self, done: Sequence[DueHint], window_seconds: float) -> None:
        async with self._database.transaction() as unit:
            for hint in sorted(done, key=lambda hint: hint.table):
                if await unit.connection.execute(_SETTLE, str(hint.table), hint.token, hint.seen) == "DELETE 0":
                    await unit.connection.execute(_AGAIN, str(hint.table), window_seconds, hint.token)

    async def postpone(self, failed: DueHint, delay_seconds: float, reason: str) -> None:
        await self._database.execute(_POSTPONE, str(failed.table), delay_seconds, reason[:2_000], failed.token)

    async def next_due(self) -> datetime | None:
        return await self._database.pool.fetchval(_NEXT)  # type: ignore[no-any-return]


class PostgresFeedback:
    """One voice per person and example: saying it again replaces what one said before."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def give(
        self,
        table: TableId,
        example_id: str,
        user_id: str,
        verdict: Verdict,
        *,
        corrected_sql: str = "",
        comment: str = "",
    ) -> None:
        await self._database.execute(_GIVE, str(table), example_id, user_id, verdict, corrected_sql, comment)

    async def votes(self, table: TableId) -> dict[str, Votes]:
        counts: dict[str, dict[str, int]] = defaultdict(dict)
        for row in await self._database.fetch(_VOTES, str(table)):
            counts[row["example_id"]][row["verdict"]] = row["votes"]
        corrections: dict[str, list[str]] = defaultdict(list)
        if counts:
            for row in await self._database.fetch(_CORRECTIONS, str(table)):
                corrections[row["example_id"]].append(row["corrected_sql"])
        return {
            example: Votes(
                given.get("worked", 0), given.get("wrong", 0), given.get("unclear", 0), tuple(corrections[example])
            )
            for example, given in counts.items()
        }


class OutboxAnnouncer:
    def __init__(self, database: Database) -> None:
        self._database = database

    async def announce(self, message: MetadataRefreshed, message_id: str) -> None:
        async with self._database.transaction() as unit:
            unit.emit(message, message_id=message_id)
