"""Tips of the day and the worker log in Postgres."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import date
from typing import Any

import asyncpg

from services.generator.ports import LogEntry
from services.kernel.database.unit_of_work import Database

_KEEP_TIP = "INSERT INTO daily_tips (tip_date, content, category) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING"
_TIP = "SELECT content, category FROM daily_tips WHERE tip_date = $1"
# A run's models and tokens are those of the calls made during it.
_LOG = """
INSERT INTO worker_logs (job_type, job_id, status, duration_ms, model_used, tokens_used, error_message)
SELECT $1::text, $2::uuid, $3::text, $4::integer, coalesce(calls.models, $5::text), $6::integer + calls.tokens, $7::text
FROM (SELECT string_agg(DISTINCT model_used, ', ') AS models, coalesce(sum(tokens_used), 0)::integer AS tokens
      FROM worker_logs WHERE job_id = $2 AND purpose <> ''
        AND created_at >= clock_timestamp() - make_interval(secs => $4::integer / 1000.0)) AS calls
"""
_MAX_ERROR = 4_000


class PostgresTips:
    def __init__(self, database: Database) -> None:
        self._database = database

    async def keep(
        self, connection: asyncpg.Connection, tip_date: date, content: Mapping[str, str], category: str
    ) -> None:
        await connection.execute(_KEEP_TIP, tip_date, json.dumps(dict(content), ensure_ascii=False), category)

    async def of(self, tip_date: date) -> dict[str, Any] | None:
        row = await self._database.fetchrow(_TIP, tip_date)
        return None if row is None else {"content": json.loads(row["content"]), "category": row["category"]}


class PostgresWorkerLog:
    def __init__(self, database: Database) -> None:
        self._database = database

    async def write(self, entry: LogEntry, connection: asyncpg.Connection | None = None) -> None:
        await (connection or self._database.pool).execute(
            _LOG,
            entry.job_type,
            entry.job_id,
            entry.status,
            entry.duration_ms,
            entry.model_used,
            entry.tokens_used,
            entry.error_message[:_MAX_ERROR],
        )
