"""The judge as a sandbox task: guards both queries, then judges them."""

from __future__ import annotations

from typing import Any

from services.kernel.sql.guard import Refused, check
from services.kernel.sql.judge.judging import judge
from services.kernel.sql.judge.request import JudgeRequest, complete_rows
from services.kernel.sql.sandbox.tasks import Json, TaskContext

TASK_NAME = "judge"
TASK_PATH = "services.kernel.sql.judge.task:run_judge"


def run_judge(payload: Json, context: TaskContext) -> Json:
    """``payload``: JudgeRequest.to_json(). Returns Verdict.to_json(), its counterexample's tables complete.

    A candidate that the guard refuses is ``{"outcome": "refused", "reason": code, "detail": message, "position"}``; a
    refused reference is unsupported: it is the problem's fault, not the learner's.
    """
    request = JudgeRequest.from_json(payload)
    tables = [table.name for table in request.schema.tables]
    try:
        check(request.candidate_sql, "duckdb", tables)
    except Refused as refused:
        return {"outcome": "refused", **_refusal(refused)}
    try:
        check(request.reference_sql, "duckdb", tables)
    except Refused as refused:
        return {"outcome": "unsupported", **_refusal(refused), "reason": "reference_refused"}
    verdict = judge(request)
    result = verdict.to_json()
    if verdict.counterexample is not None:
        result["counterexample"]["tables"] = complete_rows(verdict.counterexample.dataset, request.schema)
    return result


def _refusal(refused: Refused) -> dict[str, Any]:
    place = refused.position
    return {
        "reason": refused.code,
        "detail": str(refused),
        "position": None if place is None else {"line": place.line, "column": place.column, "length": place.length},
    }
