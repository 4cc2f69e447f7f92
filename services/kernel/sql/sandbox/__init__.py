"""Runs untrusted SQL in processes that have nothing to lose: fresh, confined, limited, used once."""

from services.kernel.sql.sandbox.datasets import DatasetFiles
from services.kernel.sql.sandbox.errors import (
    LimitExceeded,
    SandboxBusy,
    SandboxUnavailable,
    TaskFailed,
    WorkerDied,
)
from services.kernel.sql.sandbox.limits import Limits
from services.kernel.sql.sandbox.pool import SandboxPool
from services.kernel.sql.sandbox.sync import SyncSandbox

__all__ = [
    "DatasetFiles",
    "LimitExceeded",
    "Limits",
    "SandboxBusy",
    "SandboxPool",
    "SandboxUnavailable",
    "SyncSandbox",
    "TaskFailed",
    "WorkerDied",
]
