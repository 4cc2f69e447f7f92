"""Where model-made queries run: the verifier's checks and the comparison with a reader's query, in the sandbox."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any, Final

from services.generator.models import agreement
from services.generator.verify.check import Candidate, DropReason, MutantScore, Rejected, Verified
from services.generator.verify.engine import bare_table
from services.generator.verify.instances import sample
from services.kernel.sql.dataset import Dataset
from services.kernel.sql.results import ResultSet
from services.kernel.sql.sandbox.datasets import DatasetFiles
from services.kernel.sql.sandbox.errors import LimitExceeded, TaskFailed, WorkerDied
from services.kernel.sql.sandbox.limits import Limits
from services.kernel.sql.sandbox.pool import SandboxPool
from services.kernel.sql.schema import Schema

_TASKS: Final[Mapping[str, str]] = {
    "verify": "services.generator.verify.verifiers:run_verify",
    "agree": agreement.TASK,
}
_LIMITS: Final = Limits(wall_seconds=20.0, cpu_seconds=15)
_BASE, _SHUFFLED = "base", "shuffled"
_ORDER_SEED: Final = 7


class ProvingGround:
    """Holds one base data set for many checks; see ``opened``."""

    def __init__(self, pool: SandboxPool, schema: Schema, base: Dataset) -> None:
        self._pool = pool
        self._schema = schema
        self._common = {
            "schema": schema.to_json(),
            "samples": sample(base).to_json(),
            "stored": [_BASE, _SHUFFLED],
        }

    async def verify(self, candidate: Candidate) -> Verified | Rejected:
        """By the same rules as any problem. Raises the sandbox's error when it cannot run anything at all."""
        query = {"sql": candidate.sql, "ordered": candidate.ordered, "seed": candidate.seed}
        try:
            outcome = await self._pool.call("verify", {**self._common, **query}, _LIMITS)
        except (LimitExceeded, WorkerDied) as error:
            return Rejected(DropReason.OVER_BUDGET, str(error))
        if "reason" in outcome:
            return Rejected(DropReason(outcome["reason"]), outcome["detail"])
        return self._verified(outcome)

    async def disagreement(self, reference: str, verified: Verified, solution: str, *, ordered: bool) -> str:
        """How ``solution`` differs from ``reference`` on the base data set or a small one; empty when nowhere."""
        payload = {
            "schema": self._common["schema"],
            "stored": _BASE,
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

    def _verified(self, outcome: Any) -> Verified:
        expected, score = outcome["expected"], outcome["score"]
        return Verified(
            ResultSet(
                tuple(expected["columns"]), tuple(expected["types"]), tuple(tuple(row) for row in expected["rows"])
            ),
            tuple(Dataset.from_json(small["rows"], self._schema, small["name"]) for small in outcome["small"]),
            MutantScore(**{**score, "survived": tuple(score["survived"])}),
        )


@asynccontextmanager
async def opened(schema: Schema, base: Dataset, workers: int = 1) -> AsyncIterator[ProvingGround]:
    """A sandbox with the base data set stored twice, the second time with its rows shuffled."""
    ddl = [bare_table(table) for table in schema.tables]
    rows = {table: list(found) for table, found in base.to_json().items()}
    order = random.Random(_ORDER_SEED)
    shuffled = {table: order.sample(found, len(found)) for table, found in rows.items()}
    async with SandboxPool(workers, tasks=_TASKS) as pool:
        for name, content in ((_BASE, rows), (_SHUFFLED, shuffled)):
            await pool.store(name, DatasetFiles.rows(ddl, content))  # type: ignore[arg-type]
        yield ProvingGround(pool, schema, base)
