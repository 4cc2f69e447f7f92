"""The task "grade", run inside a sandbox worker: one answer against one reference.

Imported by the sandbox's own process only, so what it needs is imported at the top, once, before workers fork.
"""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import duckdb

from services.grader import base_runs
from services.grader.codes import BROKEN_PROBLEM, INTERRUPTED, NEEDS_BIGQUERY, UNKNOWN_DATA_SET, UNSUPPORTED
from services.kernel.sql.compare import ComparisonPolicy
from services.kernel.sql.dataset import Dataset
from services.kernel.sql.dialects import NeedsBigQuery, to_duckdb
from services.kernel.sql.guard import Refused, check
from services.kernel.sql.judge import JudgeRequest, Verdict, judge
from services.kernel.sql.sandbox.errors import TaskFailed
from services.kernel.sql.sandbox.query import database_failure, refused
from services.kernel.sql.sandbox.rehearsal import rehearse as rehearse
from services.kernel.sql.sandbox.tasks import TaskContext
from services.kernel.sql.schema import Schema

SLOW = "slow"
_BRIEF_BUDGET_MS = 150
"""Where the base data set tells already, an example that is small from the start is all that is looked for."""


def grade(payload: dict[str, Any], context: TaskContext) -> dict[str, Any]:
    """``payload``: {schema, reference_sql, sql, dialect, ordered, base (name of a stored data set) or None,
    small: [{name, inline (a data set's JSON text)}], seed, budget_ms}. Returns ``Verdict.to_json()``.

    Raises TaskFailed: "refused" and "database" as the query task does, "needs_bigquery" (details: constructs),
    "broken_problem" and "interrupted", which are not the answer's fault; LimitExceeded.
    """
    schema = Schema.from_json(payload["schema"])
    request = JudgeRequest(
        schema=schema,
        reference_sql=payload["reference_sql"],
        candidate_sql=_runnable(payload["sql"], payload["dialect"], schema),
        policy=ComparisonPolicy(ordered=payload["ordered"]),
        datasets=tuple(
            Dataset.from_json(json.loads(small["inline"]), schema, small["name"]) for small in payload["small"]
        ),
        seed=payload["seed"],
        budget_ms=payload["budget_ms"],
    )
    base = _connection(payload["base"], context)
    return _judged(request, base, context.limits.result_rows).to_json()


def _judged(request: JudgeRequest, base: duckdb.DuckDBPyConnection | None, max_rows: int) -> Verdict:
    """The small data sets first: what they tell needs neither the base data set nor a search."""
    told = judge(replace(request, search=False)) if request.datasets else None
    if told is not None and (told.counterexample is not None or told.method == "same_tree"):
        return told
    on_base = base_runs.NO_BASE if base is None else base_runs.run(base, request, max_rows)
    brief = replace(request, budget_ms=min(request.budget_ms, _BRIEF_BUDGET_MS)) if on_base.differs else request
    if told is not None and told.outcome == "equivalent":
        verdict = _beside(told, judge(replace(brief, datasets=())))
    else:
        verdict = judge(brief)
    _check_decided(verdict)
    if base is not None and on_base.differs and verdict.outcome == "equivalent":
        shrunk = base_runs.shrunk(base, request)
        if shrunk is None:
            return base_runs.without_example(verdict)
        return shrunk if told is None else _beside(told, shrunk)
    if on_base.slow and verdict.outcome == "equivalent":
        verdict = replace(verdict, remarks=(*verdict.remarks, SLOW))
    return verdict


def _beside(told: Verdict, found: Verdict) -> Verdict:
    """What was ``found`` elsewhere, with the scores of the data sets that had ``told`` nothing: all data sets together
    are half the credit."""
    datasets = (*told.datasets, *found.datasets)
    passed = sum(score.agrees for score in told.datasets) / len(datasets)
    score = 1.0 if found.outcome == "equivalent" else round(min(0.99, found.score + passed / 2), 3)
    return replace(found, datasets=datasets, score=score)


def _runnable(sql: str, dialect: Any, schema: Schema) -> str:
    """The answer in DuckDB's dialect, once the guard has let it pass."""
    try:
        checked = check(sql, dialect, [table.name for table in schema.tables])
    except Refused as refusal:
        raise refused(refusal) from None
    routed = to_duckdb(checked, schema)
    if isinstance(routed, NeedsBigQuery):
        constructs = [reason.construct for reason in routed.reasons]
        raise TaskFailed(NEEDS_BIGQUERY, f"only BigQuery runs this as documented: {', '.join(constructs)}")
    return routed.sql


def _connection(name: str | None, context: TaskContext) -> duckdb.DuckDBPyConnection | None:
    if name is None:
        return None
    stored = context.stored.get(name)
    if stored is None:
        raise TaskFailed(UNKNOWN_DATA_SET, "the base data set is not in the sandbox")
    return stored.connection


def _check_decided(verdict: Verdict) -> None:
    """Raise what no learner is to blame for, and an answer's own errors as the query task does.

    The reference's errors carry no detail: it may quote the reference.
    """
    if verdict.reason.endswith("_fails") and verdict.detail.upper().startswith("INTERRUPT"):
        raise TaskFailed(INTERRUPTED, "the judgement ran out of time")
    if verdict.reason.startswith("reference_"):
        raise TaskFailed(BROKEN_PROBLEM, f"the reference cannot be judged against ({verdict.reason})")
    if verdict.reason == "candidate_fails":
        raise database_failure(duckdb.Error(verdict.detail))
    if verdict.outcome == "unsupported":
        raise TaskFailed(UNSUPPORTED, f"the answer cannot be judged ({verdict.reason})")
