"""What a job is at the door: its states, who serves it, and what creating one needs.

queued ──> processing ──> completed | failed
  └────────────┴────────> cancelled            (nothing leaves a terminal state)
"""

import uuid
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from pydantic import JsonValue

from contracts.jobs import JobType, Priority
from contracts.manifest import WORKERS
from services.kernel.identity import ADMIN
from services.kernel.jobs.requests import CALLER_ROLES, SCHEDULE


class Status(StrEnum):
    QUEUED = "queued"
    PROCESSING = "processing"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"


TERMINAL = frozenset({Status.COMPLETED, Status.FAILED, Status.CANCELLED})
OPEN = frozenset(Status) - TERMINAL

SCHEDULE_CALLER = "schedule:"
RESERVED_METADATA = frozenset({"routing", "retryOf", SCHEDULE, "dueAt", CALLER_ROLES})
"""Metadata names the platform writes itself; a client may not."""


def worker_of(job_type: str) -> str | None:
    """The worker service that serves ``job_type``, or None when the platform has none yet."""
    return next((worker for worker, types in WORKERS.items() if job_type in types), None)


def served_types() -> list[str]:
    return sorted(job_type for types in WORKERS.values() for job_type in types)


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks. ``user_id`` None is anonymous; ``key`` names the caller for limits and fair turns."""

    user_id: str | None
    key: str
    roles: frozenset[str] = frozenset()

    @property
    def is_admin(self) -> bool:
        return ADMIN in self.roles

    @property
    def credentials(self) -> dict[str, JsonValue]:
        """What a job's metadata tells its worker of the caller's roles."""
        return {CALLER_ROLES: list[JsonValue](sorted(self.roles))} if self.roles else {}

    @property
    def idempotency_scope(self) -> str:
        """Signed-in users have keys of their own; anonymous callers share one set of keys."""
        return "anonymous" if self.user_id is None else f"user:{self.user_id}"


@dataclass(frozen=True, slots=True)
class IdempotencyClaim:
    """``answer``: the 202 body this key replays. ``wait``: seconds the first request may still be
    answering; 0 means that its answer is known now."""

    scope: str
    key: str
    fingerprint: str
    answer: str
    wait: float = 0.0


@dataclass(frozen=True, slots=True)
class NewJob:
    """A job about to be written. ``metadata`` and ``options`` are JSON text of one object each."""

    caller: Caller
    type: JobType
    worker: str
    query: str
    priority: Priority = Priority.NORMAL
    metadata: str = "{}"
    options: str = "{}"
    traceparent: str = ""
    id: uuid.UUID = field(default_factory=uuid.uuid4)
    idempotency: IdempotencyClaim | None = None


@dataclass(frozen=True, slots=True)
class Job:
    """A job as clients read it. ``result`` is JSON text."""

    id: uuid.UUID
    user_id: str | None
    type: str
    priority: str
    status: Status
    progress: int
    current_step: str | None
    result: str | None
    error: str | None
    created_at: datetime
    started_at: datetime | None
    completed_at: datetime | None

    @property
    def is_terminal(self) -> bool:
        return self.status in TERMINAL

    def is_owned_by(self, caller: Caller) -> bool:
        """Anonymous jobs belong to whoever is anonymous: they carry nothing to tell owners apart."""
        return self.user_id == caller.user_id


def may_retry(status: str) -> bool:
    """Only a failure can be tried again, as a new job; the failed one stays as it ended."""
    return status == Status.FAILED
