"""The whole projection computed anew from the graded answers, a learner at a time, while the service runs."""

from __future__ import annotations

from services.insights.adapters.projection import PostgresProjection
from services.kernel.database.unit_of_work import Database

PAGE = 500
_FOLLOWED = """
INSERT INTO learners (id, state, activity, last_at, last_position, last_id)
SELECT learner, '{}', '{}', timestamptz '0001-01-01 00:00+00', 0, ''
FROM (SELECT DISTINCT learner FROM interactions) AS followed ORDER BY 1 ON CONFLICT DO NOTHING
"""
_FORGET = "UPDATE items SET gap = 0, information = 0, changed_at = clock_timestamp() WHERE information <> 0"
_UNTAKEN = "UPDATE interactions SET residual = NULL, model_id = NULL WHERE residual IS NOT NULL"
_NEXT = "SELECT id FROM learners WHERE id > $1 ORDER BY id LIMIT $2"
_STALE = "SELECT id FROM learners WHERE id > $1 AND model_id <> $3 ORDER BY id LIMIT $2"


async def rebuild_all(database: Database, projection: PostgresProjection) -> int:
    """From nothing: states and corrections are forgotten first. Returns the number of learners.

    Answers that arrive meanwhile are taken in by whoever comes second; the outcome is the same.
    """
    async with database.transaction() as unit:
        await unit.connection.execute("SELECT 1 FROM learners ORDER BY id FOR UPDATE")
        await unit.connection.execute(_FOLLOWED)
        await unit.connection.execute(_UNTAKEN)
        await unit.connection.execute(_FORGET)
    return await _each(database, projection, _NEXT)


async def rebuild_stale(database: Database, projection: PostgresProjection, model_id: int) -> int:
    """Those whose state another model than ``model_id`` has computed."""
    return await _each(database, projection, _STALE, model_id)


async def _each(database: Database, projection: PostgresProjection, page: str, *arguments: object) -> int:
    done, last = 0, ""
    while True:
        rows = await database.fetch(page, last, PAGE, *arguments)
        if not rows:
            return done
        for row in rows:
            async with database.transaction() as unit:
                await projection.rebuild(unit.connection, row["id"])
        done += len(rows)
        last = rows[-1]["id"]
