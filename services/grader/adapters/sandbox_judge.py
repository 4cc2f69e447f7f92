"""The judge behind the sandbox: what it is given, how long it may take, and whose fault a failure is."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Mapping
from contextlib import AsyncExitStack
from dataclasses import replace
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

from services.grader.codes import BROKEN_PROBLEM, INTERRUPTED, NEEDS_BIGQUERY, UNKNOWN_DATA_SET, UNSUPPORTED
from services.grader.domain import Dialect, Judgement, Problem
from services.grader.feedback import judgement_of, judgement_of_error
from services.kernel.base_sets import BaseSets
from services.kernel.errors import PermanentError, TransientError
from services.kernel.sql.diagnose import explain
from services.kernel.sql.sandbox.errors import LimitExceeded, TaskFailed, WorkerDied
from services.kernel.sql.sandbox.limits import Limits
from services.kernel.sql.sandbox.pool import SandboxPool

if TYPE_CHECKING:
    from services.kernel.sql.schema import Schema

TASKS: Final[Mapping[str, str]] = {"grade": "services.grader.sandbox_task:grade"}

MIN_BUDGET_MS: Final = 150
"""Enough for the problem's own data sets and the most telling of those made for the pair of queries."""
_BASE_SECONDS: Final = 3
"""Processor time for both queries on the base data set, and for shrinking a difference found only there."""
_WALL_FACTOR: Final = 4
"""Wall-clock time per second of processor time: a query cannot sleep, so only a busy machine reaches it."""
_ANSWERS_FAULT: Final = frozenset({"refused", "database"})


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
        schema = _schema_of(problem.ddl)
        began = time.monotonic()
        try:
            verdict = await self._call(problem, schema, sql, dialect)
        except LimitExceeded as error:
            if error.kind == "wall":
                raise TransientError("the grader is overloaded; the answer is tried again", code="busy") from None
            return judgement_of_error(explain(error, sql, schema), sql, _elapsed(began))
        except WorkerDied as error:
            return judgement_of_error(explain(error, sql, schema), sql, _elapsed(began))
        except TaskFailed as error:
            if error.code not in _ANSWERS_FAULT:
                raise _not_the_answers_fault(error, problem) from None
            explanation = explain(error, sql, schema)
            if dialect != "duckdb" and error.code == "database":
                # The engine's place is one in the translation, which the learner never saw.
                explanation = replace(explanation, position=None)
            return judgement_of_error(explanation, sql, _elapsed(began))
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


@lru_cache(maxsize=64)
def _schema_of(ddl: tuple[str, ...]) -> Schema:
    from services.kernel.sql.schema import Schema

    return Schema.from_ddl(ddl)


def _elapsed(began: float) -> int:
    return int((time.monotonic() - began) * 1_000)


def _not_the_answers_fault(error: TaskFailed, problem: Problem) -> PermanentError | TransientError:
    if error.code in (INTERRUPTED, UNKNOWN_DATA_SET):
        return TransientError(str(error), code=error.code)
    if error.code == NEEDS_BIGQUERY:
        return PermanentError(
            f"dialect: {error}; this grader runs answers on DuckDB, so write it another way or in the duckdb dialect",
            code="unsupported_construct",
        )
    if error.code in (BROKEN_PROBLEM, UNSUPPORTED):
        return PermanentError(f"problem {problem.id}: {error}", code=error.code)
    # Anything else is a bug of ours; its message could quote what the task was given.
    return PermanentError(f"problem {problem.id}: the judge failed inside its sandbox", code="judge_failed")
