"""Where model-made queries run: the verifier's checks and the comparison with a reader's query, in the sandbox."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any, Final

from services.generator.models import agreement
from services.generator.verify import sandboxed
from services.generator.verify.check import Candidate, Rejected, Verified
from services.kernel.sql.dataset import Dataset
from services.kernel.sql.sandbox.errors import LimitExceeded, TaskFailed, WorkerDied
from services.kernel.sql.sandbox.limits import Limits
from services.kernel.sql.sandbox.pool import SandboxPool
from services.kernel.sql.schema import Schema

_TASKS: Final[Mapping[str, str]] = {**sandboxed.TASKS, "agree": agreement.TASK}
_LIMITS: Final = Limits(wall_seconds=20.0, cpu_seconds=15)


class ProvingGround:
    """Holds one base data set for many checks; see ``opened``."""

    def __init__(self, pool: SandboxPool, verification: sandboxed.SandboxedVerification) -> None:
        self._pool = pool
        self._verification = verification

    async def verify(self, candidate: Candidate) -> Verified | Rejected:
        """By the same rules as any problem. Raises the sandbox's error when it cannot run anything at all."""
        outcome: Any
        try:
            outcome = await self._pool.call("verify", self._verification.payload(candidate), _LIMITS)
        except (LimitExceeded, WorkerDied) as error:
            outcome = error
        return self._verification.read(outcome)

    async def disagreement(self, reference: str, verified: Verified, solution: str, *, ordered: bool) -> str:
        """How ``solution`` differs from ``reference`` on the base data set or a small one; empty when nowhere."""
        payload = {
            "schema": self._verification.schema_json,
            "stored": sandboxed.BASE,
            "small": [small.to_json() for small in verified.small],
            "reference": reference,
            "solution": solution,
            "ordered": ordered,
        }
        try:
            outcome = await self._pool.call("agree", payload, _LIMITS)
        except (LimitExceeded, WorkerDied, TaskFailed) as error:
            return f"the reader's query cannot be run: {error}\nIt was: {solution}"
        return str(outcome["finding"])


@asynccontextmanager
async def opened(schema: Schema, base: Dataset, workers: int = 1) -> AsyncIterator[ProvingGround]:
    """A sandbox with the base data set stored twice, the second time with its rows shuffled."""
    verification = sandboxed.SandboxedVerification(schema, base)
    async with SandboxPool(workers, tasks=_TASKS) as pool:
        for name, files in verification.stored():
            await pool.store(name, files)
        yield ProvingGround(pool, verification)
