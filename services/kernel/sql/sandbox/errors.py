"""How a call to the sandbox can end other than with a result.

QueryCraftError
├── PermanentError
│   ├── LimitExceeded       the task hit a limit; ``kind`` says which
│   ├── WorkerDied          the task crashed its process; the same input would crash the next one
│   └── TaskFailed          the task raised; ``code``, ``details`` are the task's own
└── TransientError
    ├── SandboxBusy         the waiting line is full
    └── SandboxUnavailable  the pool is closed, or its process was lost under the call
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Literal, get_args

from services.kernel.errors import BusyError, PermanentError, TransientError

LimitKind = Literal["wall", "cpu", "memory", "rows", "bytes"]
LIMIT_KINDS: Final = frozenset(get_args(LimitKind))


class LimitExceeded(PermanentError):
    """A limit stopped the task: ``kind`` is wall or cpu time, memory, or the result's rows or bytes."""

    code = "limit_exceeded"

    def __init__(self, kind: LimitKind, message: str = "") -> None:
        super().__init__(message or f"the task exceeded its {kind} limit")
        self.kind: LimitKind = kind


class WorkerDied(PermanentError):
    """The worker process ended without an answer. ``status``: exit code, or minus the signal that ended it."""

    code = "worker_died"

    def __init__(self, message: str, *, status: int | None = None) -> None:
        super().__init__(message)
        self.status = status


class TaskFailed(PermanentError):
    """A task's own refusal or error. ``details`` is JSON-able and depends on ``code``."""

    def __init__(self, code: str, message: str, details: Mapping[str, object] | None = None) -> None:
        super().__init__(message, code=code)
        self.details: dict[str, object] = dict(details or {})


class SandboxBusy(BusyError):
    """As many calls wait as the pool allows; ``retry_after`` is a guess in seconds from the calls ahead."""

    code = "sandbox_busy"


class SandboxUnavailable(TransientError):
    code = "sandbox_unavailable"
