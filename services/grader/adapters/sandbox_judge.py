"""The judge behind the sandbox: what it is given, how long it may take, and whose fault a failure is."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Mapping
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Any, Final

from services.grader.adapters.failures import judgement_of_failure, schema_of
from services.grader.codes import INTERRUPTED
from services.grader.domain import Dialect, Judgement, Problem
from services.grader.feedback import judgement_of
from services.kernel.base_sets import BaseSets
from services.kernel.sql.sandbox.errors import LimitExceeded, TaskFailed, WorkerDied
from services.kernel.sql.sandbox.limits import Limits
from services.kernel.sql.sandbox.pool import SandboxPool

if TYPE_CHECKING:
    from services.kernel.sql.schema import Schema

TASKS: Final[Mapping[str, str]] = {
    "grade": "services.grader.sandbox_task:grade",
    "inline": "services.grader.routed_task:inline",
    "compare": "services.grader.routed_task:compare",
}

MIN_BUDGET_MS: Final = 150
"""Enough for the problem's own data sets and the most telling of those made for the pair of queries."""
_BASE_SECONDS: Final = 3
"""Processor time for both queries on the base data set, and for shrinking a difference found only there."""
_WALL_FACTOR: Final = 4
"""Wall-clock time per second of processor time: a query cannot sleep, so only a busy machine reaches it."""


class SandboxJudge:
    """``at_once``: judgements that run together, the others wait in line. A line shortens the search of those in it,
    so that many learners at once still get an answer in page time; each verdict records the budget it had."""

    def __init__(self, pool: SandboxPool, base_sets: BaseSets, budget_ms: int, at_once: int) -> None:
        self._pool = pool
        self._base_sets = base_sets
        self._budget_ms = budget_ms
        self._at_once = at_once
        self._slots = asyncio.Semaphore(at_once)
        self._present = 0
        seconds = _BASE_SECONDS + 2 * math.ceil(budget_ms / 1_000)
        self._limits = Limits(wall_seconds=seconds * _WALL_FACTOR, cpu_seconds=seconds)

    async def judge(self, problem: Problem, sql: str, dialect: Dialect) -> Judgement:
        """See ``ports.Judge``. Errors name neither the reference nor anything quoted from it."""
        schema = schema_of(problem.ddl)
        began = time.monotonic()
        try:
            verdict = await self._call(problem, schema, sql, dialect)
        except (LimitExceeded, WorkerDied, TaskFailed) as error:
            return judgement_of_failure(error, problem, sql, dialect, _elapsed(began))
        return judgement_of(verdict, _elapsed(began))

    async def _call(self, problem: Problem, schema: Schema, sql: str, dialect: Dialect) -> dict[str, Any]:
        self._present += 1
        try:
            async with self._slots, AsyncExitStack() as stack:
                return await self._call_in_slot(stack, problem, schema, sql, dialect)
        finally:
            self._present -= 1

    def _budget(self) -> int:
        """The whole budget when nobody waits, a share of it when there is a line."""
        share = self._budget_ms * self._at_once // max(self._at_once, self._present)
        return max(share, min(MIN_BUDGET_MS, self._budget_ms))

    async def _call_in_slot(
        self, stack: AsyncExitStack, problem: Problem, schema: Schema, sql: str, dialect: Dialect
    ) -> dict[str, Any]:
        base = next((entry.uri for entry in problem.datasets if entry.kind == "base" and entry.uri), None)
        if base is not None:
            tables = [table.name for table in schema.tables]
            base = await stack.enter_async_context(self._base_sets.using(base, tables))
        payload = {
            "schema": schema.to_json(),
            "reference_sql": problem.reference_sql,
            "sql": sql,
            "dialect": dialect,
            "ordered": problem.ordered,
            "base": base,
            "small": [{"name": entry.name, "inline": entry.inline} for entry in problem.datasets if not entry.uri],
            "seed": problem.seed,
            "budget_ms": self._budget(),
        }
        return await self._within(payload)

    async def _within(self, payload: dict[str, Any]) -> dict[str, Any]:
        """A share of the budget that did not even suffice for the problem's own data sets is made whole."""
        verdict: dict[str, Any]
        try:
            verdict = await self._pool.call("grade", payload, self._limits)
        except TaskFailed as error:
            if error.code != INTERRUPTED or payload["budget_ms"] == self._budget_ms:
                raise
            verdict = await self._pool.call("grade", {**payload, "budget_ms": self._budget_ms}, self._limits)
        return verdict


def _elapsed(began: float) -> int:
    return int((time.monotonic() - began) * 1_000)
