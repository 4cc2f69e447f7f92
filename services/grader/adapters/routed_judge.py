"""Sends an answer that only BigQuery runs right to an engine that does, and judges what it returns."""

from __future__ import annotations

import time
from typing import Any, Final

from services.grader.adapters.failures import UNSUPPORTED_CONSTRUCT, judgement_of_failure, schema_of
from services.grader.domain import Dialect, Judgement, Problem
from services.grader.feedback import judgement_of
from services.grader.ports import GoogleSql, Judge
from services.kernel.errors import PermanentError
from services.kernel.sql.sandbox.errors import LimitExceeded, TaskFailed, WorkerDied
from services.kernel.sql.sandbox.limits import Limits
from services.kernel.sql.sandbox.pool import SandboxPool

_LIMITS: Final = Limits(wall_seconds=20, cpu_seconds=5)
_MOST_SETS: Final = 4
"""Data sets that an answer is tried on there, the smallest first: each is a statement of its own."""


class RoutedJudge:
    """``inner`` judges everything it can; GoogleSQL that DuckDB could answer differently goes to ``engine``.

    There the problem's small data sets decide, without a search: the verdict says which they were and on what they ran.
    """

    def __init__(self, inner: Judge, pool: SandboxPool, engine: GoogleSql) -> None:
        self._inner = inner
        self._pool = pool
        self._engine = engine

    async def judge(self, problem: Problem, sql: str, dialect: Dialect) -> Judgement:
        """See ``ports.Judge``."""
        try:
            return await self._inner.judge(problem, sql, dialect)
        except PermanentError as error:
            if error.code != UNSUPPORTED_CONSTRUCT:
                raise
        began = time.monotonic()
        try:
            verdict = await self._on_engine(problem, sql)
        except (LimitExceeded, WorkerDied, TaskFailed) as error:
            return judgement_of_failure(error, problem, sql, "bigquery", _elapsed(began))
        return judgement_of(verdict, _elapsed(began))

    async def _on_engine(self, problem: Problem, sql: str) -> dict[str, Any]:
        small = sorted((entry for entry in problem.datasets if not entry.uri), key=lambda entry: entry.row_count)
        if not small:
            raise PermanentError(
                f"problem {problem.id} has no small data sets to run GoogleSQL on", code=UNSUPPORTED_CONSTRUCT
            )
        asked = {
            "schema": schema_of(problem.ddl).to_json(),
            "sql": sql,
            "emulated": self._engine.emulated,
            "small": [{"name": entry.name, "inline": entry.inline} for entry in small[:_MOST_SETS]],
        }
        statements = await self._pool.call("inline", asked, _LIMITS)
        results = [await self._engine.run(statement, _LIMITS.result_rows) for statement in statements]
        returned = [{"columns": r.columns, "types": r.types, "rows": r.rows} for r in results]
        compared = {
            **asked,
            "reference_sql": problem.reference_sql,
            "ordered": problem.ordered,
            "engine": self._engine.name,
            "seed": problem.seed,
            "results": returned,
        }
        verdict: dict[str, Any] = await self._pool.call("compare", compared, _LIMITS)
        return verdict


def _elapsed(began: float) -> int:
    return int((time.monotonic() - began) * 1_000)
