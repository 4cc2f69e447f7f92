"""Both queries on the base data set: thousands of rows, in a sandbox worker."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from typing import Any, Final

import duckdb
import sqlglot
from sqlglot.errors import SqlglotError

from services.grader.codes import BROKEN_PROBLEM, INTERRUPTED
from services.kernel.sql.dataset import Dataset
from services.kernel.sql.judge import JudgeRequest, Verdict, judge
from services.kernel.sql.judge.deadline import Deadline
from services.kernel.sql.judge.engine import Watchdog
from services.kernel.sql.judge.pair import Pair
from services.kernel.sql.results import ResultSet
from services.kernel.sql.sandbox.errors import LimitExceeded, TaskFailed
from services.kernel.sql.sandbox.query import database_failure

_SLOW_SECONDS = 0.2
_TIMES_SLOWER = 10.0
_BASE_QUERY_SECONDS = 1.2
_BASE_ROWS_TO_MINIMISE = 20_000


@dataclass(frozen=True)
class OnBase:
    """How the two queries did on the base data set."""

    differs: bool = False
    slow: bool = False


NO_BASE: Final = OnBase()


def run(base: duckdb.DuckDBPyConnection, request: JudgeRequest, max_rows: int) -> OnBase:
    """Finds an answer's errors, slowness, and differences that small data hides.

    Raises TaskFailed: "database", the answer's own error; "broken_problem", "interrupted". LimitExceeded: the answer
    takes too long, or returns more than ``max_rows`` rows.
    """
    actual, answer_seconds = _answer(base, request.candidate_sql, max_rows)
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
    return OnBase(differs, slow)


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


def shrunk(base: duckdb.DuckDBPyConnection, request: JudgeRequest) -> Verdict | None:
    """The judge on the base data set itself: it shrinks the difference to a few rows and says where it comes from.

    None where that shows no difference, or the base data set is too large.
    """
    dataset = Dataset({name: _rows(base, name) for name in _read(request)}, "base")
    if dataset.row_count > _BASE_ROWS_TO_MINIMISE:
        return None
    verdict = judge(replace(request, datasets=(dataset,), search=False))
    return verdict if verdict.outcome == "different" else None


def without_example(verdict: Verdict) -> Verdict:
    """A base data set decides the verdict even where nothing small shows what it did."""
    return replace(verdict, outcome="different", reason="base", method="dataset", score=0.5)


def _read(request: JudgeRequest) -> list[str]:
    """The tables that either query reads, and those that rows of theirs refer to."""
    trees = [sqlglot.parse_one(sql, read="duckdb") for sql in (request.reference_sql, request.candidate_sql)]
    named = {table.name.lower() for tree in trees for table in tree.find_all(sqlglot.exp.Table)}
    read = [table.name for table in request.schema.tables if table.name.lower() in named]
    return [table.name for table in request.schema.closure(read).tables]


def _rows(base: duckdb.DuckDBPyConnection, table: str) -> list[dict[str, Any]]:
    quoted = '"' + table.replace('"', '""') + '"'
    result = ResultSet.fetch(base, f"SELECT * FROM {quoted}", _BASE_ROWS_TO_MINIMISE)
    return [dict(zip(result.columns, row, strict=True)) for row in result.rows]
