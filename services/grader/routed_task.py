"""Two tasks for an answer that only BigQuery runs right, run inside a sandbox worker before and after it ran there.

"inline" writes the statements: the answer with the rows of each data set. "compare" judges what came back: the
reference still runs on DuckDB, so the reference never leaves.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from typing import Any

import duckdb
import sqlglot

from services.grader.codes import BROKEN_PROBLEM, UNSUPPORTED
from services.kernel.sql.clauses import clause_scores
from services.kernel.sql.compare import ComparisonPolicy
from services.kernel.sql.dataset import Dataset, decode_value
from services.kernel.sql.dialects import CannotInline, emulator_gaps
from services.kernel.sql.dialects import inline as inlined
from services.kernel.sql.guard import Refused, check
from services.kernel.sql.judge import Counterexample, DatasetScore, Verdict
from services.kernel.sql.judge.pair import Pair, Run
from services.kernel.sql.locate import locate
from services.kernel.sql.results import ResultSet
from services.kernel.sql.sandbox.engine import close, connect_locked
from services.kernel.sql.sandbox.errors import TaskFailed
from services.kernel.sql.sandbox.query import refused
from services.kernel.sql.sandbox.tasks import TaskContext
from services.kernel.sql.schema import Column, Schema


def inline(payload: dict[str, Any], context: TaskContext) -> list[str]:
    """``payload``: {schema, sql, emulated, small: [{name, inline}]}. Returns one GoogleSQL statement per data set.

    Raises TaskFailed: "refused"; "unsupported" where the statement cannot be written, or the emulator runs it wrong.
    """
    schema = Schema.from_json(payload["schema"])
    try:
        query = check(payload["sql"], "bigquery", [table.name for table in schema.tables])
    except Refused as refusal:
        raise refused(refusal) from None
    gaps = emulator_gaps(query.tree, schema) if payload["emulated"] else ()
    if gaps:
        constructs = ", ".join(reason.construct for reason in gaps)
        raise TaskFailed(UNSUPPORTED, f"the BigQuery emulator does not run this as documented: {constructs}")
    try:
        return [inlined(query, schema, dataset) for dataset in _datasets(payload["small"], schema)]
    except CannotInline as error:
        raise TaskFailed(UNSUPPORTED, str(error)) from None


def compare(payload: dict[str, Any], context: TaskContext) -> dict[str, Any]:
    """``payload``: {schema, reference_sql, sql, ordered, engine, seed, small: [{name, inline}], results: for each of
    these {columns, types (DuckDB's names), rows}}. Returns ``Verdict.to_json()``, decided by these data sets alone.

    Raises TaskFailed: "broken_problem"; "unsupported" where the order of rows may be all that differs.
    """
    began = time.monotonic()
    schema = Schema.from_json(payload["schema"])
    datasets = _datasets(payload["small"], schema)
    reference = sqlglot.parse_one(payload["reference_sql"], read="duckdb")
    candidate = sqlglot.parse_one(payload["sql"], read="bigquery")
    policy = ComparisonPolicy(ordered=payload["ordered"])
    pair = Pair(payload["reference_sql"], reference, payload["sql"], candidate, policy)
    runs = [
        pair.judge_results(_expected(pair, schema, dataset), _result(returned))
        for dataset, returned in zip(datasets, payload["results"], strict=True)
    ]
    scores = clause_scores(reference, candidate)
    differing = [number for number, run in enumerate(runs) if run.difference is not None]
    found = min(differing, key=lambda number: datasets[number].row_count, default=None)
    if found is not None and not _is_certain(pair, runs[found]):
        raise TaskFailed(UNSUPPORTED, "its result may depend on the order of rows, which only repeated runs could tell")
    return Verdict(
        outcome="equivalent" if found is None else "different",
        reason="no_difference_found" if found is None else "counterexample",
        method="dataset",
        engine=payload["engine"],
        seed=payload["seed"],
        budget_ms=0,
        elapsed_ms=(time.monotonic() - began) * 1_000,
        datasets=tuple(map(_score, datasets, runs)),
        counterexample=None if found is None else _counterexample(datasets[found], runs[found]),
        mistakes=() if found is None else _mistakes(reference, candidate, runs[found]),
        clause_scores=scores,
        score=1.0 if found is None else _partial(scores, len(runs) - len(differing), len(runs)),
    ).to_json()


def _datasets(small: Sequence[Mapping[str, str]], schema: Schema) -> list[Dataset]:
    return [Dataset.from_json(json.loads(entry["inline"]), schema, entry["name"]) for entry in small]


def _expected(pair: Pair, schema: Schema, dataset: Dataset) -> ResultSet:
    connection = connect_locked()
    try:
        dataset.load(connection, schema)
        return ResultSet.fetch(connection, pair.ordered.sql)
    except duckdb.Error:
        raise TaskFailed(BROKEN_PROBLEM, "the reference does not run on the problem's data sets") from None
    finally:
        close(connection)


def _result(returned: Mapping[str, Any]) -> ResultSet:
    columns = [Column(name, kind, False) for name, kind in zip(returned["columns"], returned["types"], strict=True)]
    rows = tuple(
        tuple(decode_value(value, column) for value, column in zip(row, columns, strict=True))
        for row in returned["rows"]
    )
    return ResultSet(tuple(returned["columns"]), tuple(returned["types"]), rows)


def _is_certain(pair: Pair, run: Run) -> bool:
    if run.expected is None or run.actual is None:
        return False
    return not pair.chancy or len(run.expected.columns) != len(run.actual.columns)


def _score(dataset: Dataset, run: Run) -> DatasetScore:
    return DatasetScore(dataset.name, run.difference is None, run.difference.kind if run.difference else None)


def _counterexample(dataset: Dataset, run: Run) -> Counterexample:
    if run.expected is None or run.actual is None or run.difference is None:
        raise ValueError("a counterexample needs both results and their difference")
    return Counterexample(dataset, run.expected, run.actual, run.difference)


def _mistakes(reference: sqlglot.exp.Expr, candidate: sqlglot.exp.Expr, run: Run) -> Any:
    """By the clauses' texts alone: exchanging one would take more runs there."""
    if run.difference is None:
        return ()
    return locate(reference, candidate, run.difference, by_chance=False, agrees=lambda _: False)


def _partial(scores: Mapping[str, float], passed: int, of: int) -> float:
    """As the judge's own partial credit: half for the clauses in common, half for the data sets passed."""
    by_clause = sum(scores.values()) / len(scores) if scores else 0.0
    return round(min(0.99, (by_clause + passed / of) / 2), 3)
