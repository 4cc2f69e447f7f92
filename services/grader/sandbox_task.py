"""The task "grade", run inside a sandbox worker: one answer against one reference.

Imported by the sandbox's own process only, so what it needs is imported at the top, once, before workers fork.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from typing import Any

import duckdb
import sqlglot
from sqlglot.errors import SqlglotError

from services.grader.codes import BROKEN_PROBLEM, INTERRUPTED, NEEDS_BIGQUERY, UNKNOWN_DATA_SET, UNSUPPORTED
from services.kernel.sql.compare import ComparisonPolicy
from services.kernel.sql.dataset import Dataset
from services.kernel.sql.dialects import NeedsBigQuery, to_duckdb
from services.kernel.sql.guard import Refused, check
from services.kernel.sql.judge import JudgeRequest, Verdict, judge
from services.kernel.sql.judge.deadline import Deadline
from services.kernel.sql.judge.engine import Watchdog
from services.kernel.sql.judge.pair import Pair
from services.kernel.sql.results import ResultSet
from services.kernel.sql.sandbox.errors import LimitExceeded, TaskFailed
from services.kernel.sql.sandbox.query import database_failure, refused
from services.kernel.sql.sandbox.tasks import TaskContext
from services.kernel.sql.schema import Schema

SLOW = "slow"
_SLOW_SECONDS = 0.2
_TIMES_SLOWER = 10.0
_BASE_QUERY_SECONDS = 1.5
_BASE_ROWS_TO_MINIMISE = 20_000


@dataclass(frozen=True)
class _OnBase:
    """How the two queries did on the base data set."""

    differs: bool = False
    slow: bool = False


def grade(payload: dict[str, Any], context: TaskContext) -> dict[str, Any]:
    """``payload``: {schema, reference_sql, sql, dialect, ordered, base (name of a stored data set) or None,
    small: [{name, tables}], seed, budget_ms}. Returns ``Verdict.to_json()``.

    Raises TaskFailed: "refused" and "database" as the query task does, "needs_bigquery" (details: constructs),
    "broken_problem" and "interrupted", which are not the answer's fault; LimitExceeded.
    """
    schema = Schema.from_json(payload["schema"])
    request = JudgeRequest(
        schema=schema,
        reference_sql=payload["reference_sql"],
        candidate_sql=_runnable(payload["sql"], payload["dialect"], schema),
        policy=ComparisonPolicy(ordered=payload["ordered"]),
        datasets=tuple(Dataset.from_json(small["tables"], schema, small["name"]) for small in payload["small"]),
        seed=payload["seed"],
        budget_ms=payload["budget_ms"],
    )
    base = _connection(payload["base"], context)
    on_base = _OnBase() if base is None else _run_on_base(base, request, context)
    verdict = judge(request)
    _check_decided(verdict)
    if base is not None and on_base.differs and verdict.outcome == "equivalent":
        verdict = _on_base_alone(base, request, verdict)
    if on_base.slow and verdict.outcome == "equivalent":
        verdict = replace(verdict, remarks=(*verdict.remarks, SLOW))
    return verdict.to_json()


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


def _run_on_base(base: duckdb.DuckDBPyConnection, request: JudgeRequest, context: TaskContext) -> _OnBase:
    """Both queries on thousands of rows: finds an answer's errors, slowness, and differences that small data hides."""
    actual, answer_seconds = _answer(base, request.candidate_sql, context.limits.result_rows)
    try:
        reference = sqlglot.parse_one(request.reference_sql, read="duckdb")
    except SqlglotError:
        raise TaskFailed(BROKEN_PROBLEM, "the reference cannot be parsed") from None
    candidate = sqlglot.parse_one(request.candidate_sql, read="duckdb")
    pair = Pair(request.reference_sql, reference, request.candidate_sql, candidate, request.policy)
    began = time.perf_counter()
    try:
        expected = ResultSet.fetch(base, pair.ordered.sql)
    except duckdb.Error:
        raise TaskFailed(BROKEN_PROBLEM, "the reference does not run on the base data set") from None
    reference_seconds = time.perf_counter() - began
    slow = answer_seconds > _SLOW_SECONDS and answer_seconds > _TIMES_SLOWER * reference_seconds
    # A result that depends on the order of stored rows differs by chance here; the judge tells chance from mistake.
    differs = not pair.chancy and pair.judge_results(expected, actual).difference is not None
    return _OnBase(differs, slow)


def _answer(base: duckdb.DuckDBPyConnection, sql: str, max_rows: int) -> tuple[ResultSet, float]:
    """The answer's result and its seconds. An endless one is interrupted; what ignores that meets the CPU limit."""
    began, processor = time.perf_counter(), time.process_time()
    watchdog = Watchdog(base)
    watchdog.deadline = Deadline.after(_BASE_QUERY_SECONDS)
    try:
        result = ResultSet.fetch(base, sql, max_rows)
    except duckdb.InterruptException:
        if time.process_time() - processor < _BASE_QUERY_SECONDS / 4:
            raise TaskFailed(INTERRUPTED, "the machine was too busy to run the answer") from None
        raise LimitExceeded("cpu") from None
    except duckdb.Error as error:
        raise database_failure(error) from None
    finally:
        watchdog.close()
    if result.truncated:
        raise LimitExceeded("rows")
    return result, time.perf_counter() - began


def _on_base_alone(base: duckdb.DuckDBPyConnection, request: JudgeRequest, verdict: Verdict) -> Verdict:
    """The judge on the base data set itself: it shrinks the difference to a few rows and says where it comes from.

    A base data set too large for that decides the verdict without a small example.
    """
    tables = {table.name: _rows(base, table.name) for table in request.schema.tables}
    dataset = Dataset(tables, "base")
    if dataset.row_count <= _BASE_ROWS_TO_MINIMISE:
        shrunk = judge(replace(request, datasets=(dataset,), search=False))
        if shrunk.outcome == "different":
            return replace(shrunk, datasets=(*shrunk.datasets, *verdict.datasets), instances=verdict.instances)
    return replace(verdict, outcome="different", reason="base", method="dataset", score=0.5)


def _rows(base: duckdb.DuckDBPyConnection, table: str) -> list[dict[str, Any]]:
    quoted = '"' + table.replace('"', '""') + '"'
    result = ResultSet.fetch(base, f"SELECT * FROM {quoted}", _BASE_ROWS_TO_MINIMISE)
    return [dict(zip(result.columns, row, strict=True)) for row in result.rows]


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
