"""What is remembered of every call to a model: a row in the service's ``worker_logs``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal, Protocol
from uuid import UUID

from services.kernel.database.unit_of_work import Database

OFFLINE: Final = "offline"

_INSERT = """
INSERT INTO worker_logs (job_type, job_id, status, model_used, tokens_used, duration_ms, error_message,
                         purpose, finish_reason, served_model)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
"""
_MAX_ERROR = 4_000


@dataclass(frozen=True, slots=True)
class Caller:
    """On whose behalf a model is asked; ``job_id`` is None outside a job."""

    job_type: str
    job_id: UUID | None = None


@dataclass(frozen=True, slots=True)
class CallRecord:
    """``model_used``: the model asked, or "offline" for the answer that took its place."""

    caller: Caller
    status: Literal["succeeded", "failed"]
    purpose: str
    model_used: str
    served_model: str = ""
    tokens_used: int = 0
    duration_ms: int = 0
    finish_reason: str = ""
    error_message: str = ""


class CallLog(Protocol):
    async def write(self, record: CallRecord) -> None: ...


class PostgresCallLog:
    def __init__(self, database: Database) -> None:
        self._database = database

    async def write(self, record: CallRecord) -> None:
        await self._database.execute(
            _INSERT,
            record.caller.job_type,
            record.caller.job_id,
            record.status,
            record.model_used,
            record.tokens_used,
            record.duration_ms,
            record.error_message[:_MAX_ERROR],
            record.purpose,
            record.finish_reason,
            record.served_model,
        )
