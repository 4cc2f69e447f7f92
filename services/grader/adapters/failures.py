"""Whose fault it is that an answer has no verdict: the answer's own (that is one), the problem's, or the machine's."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache
from typing import TYPE_CHECKING, Final

from services.grader.codes import BROKEN_PROBLEM, INTERRUPTED, NEEDS_BIGQUERY, UNKNOWN_DATA_SET, UNSUPPORTED
from services.grader.domain import Dialect, Judgement, Problem
from services.grader.feedback import judgement_of_error
from services.kernel.errors import PermanentError, TransientError
from services.kernel.sql.diagnose import explain
from services.kernel.sql.sandbox.errors import LimitExceeded, TaskFailed, WorkerDied

if TYPE_CHECKING:
    from services.kernel.sql.schema import Schema

UNSUPPORTED_CONSTRUCT: Final = "unsupported_construct"
"""Code of the refusal of GoogleSQL that DuckDB could answer differently from BigQuery."""

_ANSWERS_FAULT: Final = frozenset({"refused", "database"})


def judgement_of_failure(
    error: LimitExceeded | WorkerDied | TaskFailed, problem: Problem, sql: str, dialect: Dialect, duration_ms: int
) -> Judgement:
    """The verdict on an answer that was refused, failed to run, or went over a limit.

    Raises PermanentError or TransientError for what is not the answer's fault; neither names the reference nor anything
    quoted from it.
    """
    if isinstance(error, LimitExceeded) and error.kind == "wall":
        raise TransientError("the grader is overloaded; the answer is tried again", code="busy")
    if isinstance(error, TaskFailed) and error.code not in _ANSWERS_FAULT:
        raise _not_the_answers_fault(error, problem)
    explanation = explain(error, sql, schema_of(problem.ddl))
    if dialect != "duckdb" and isinstance(error, TaskFailed) and error.code == "database":
        # The engine's place is one in the translation, which the learner never saw.
        explanation = replace(explanation, position=None)
    return judgement_of_error(explanation, sql, duration_ms)


@lru_cache(maxsize=64)
def schema_of(ddl: tuple[str, ...]) -> Schema:
    from services.kernel.sql.schema import Schema

    return Schema.from_ddl(ddl)


def _not_the_answers_fault(error: TaskFailed, problem: Problem) -> PermanentError | TransientError:
    if error.code in (INTERRUPTED, UNKNOWN_DATA_SET):
        return TransientError(str(error), code=error.code)
    if error.code == NEEDS_BIGQUERY:
        return PermanentError(
            f"dialect: {error}; this grader runs answers on DuckDB, so write it another way or in the duckdb dialect",
            code=UNSUPPORTED_CONSTRUCT,
        )
    if error.code in (BROKEN_PROBLEM, UNSUPPORTED):
        return PermanentError(f"problem {problem.id}: {error}", code=error.code)
    # Anything else is a bug of ours; its message could quote what the task was given.
    return PermanentError(f"problem {problem.id}: the judge failed inside its sandbox", code="judge_failed")
