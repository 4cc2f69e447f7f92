"""Judges pairs of queries from a JSON-lines file, each in a sandboxed process of its own.

    python -m scripts.judge_pairs --in pairs.jsonl --out verdicts.jsonl [--budget-ms 2000] [--workers 1] [--seed 0]

In, a line: {"id", "ddl": [CREATE TABLE, DuckDB], "reference_sql", "candidate_sql", "order_sensitive"}; other fields are
ignored. Out, a line, in the order of the input: {"id", "verdict": "equivalent" | "different" | "unsupported" |
"refused", "reason", "counterexample": {table: [{column: value}]} | null, "ms"}.
``refused``: the answer is not one read-only query, or the sandbox stopped it. ``unsupported``: the pair cannot be
judged, because DuckDB cannot run a query or the schema cannot be read. ``--budget-ms`` is processor time, so that a
busy machine does not accept for want of it; on the wall clock a pair may take up to five times as long. ``ms``:
wall-clock time of the whole task in the sandbox.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

# Run as a file, this folder is first on the path, with a `services` and a `contracts` of its own.
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from services.kernel.errors import QueryCraftError
from services.kernel.sql.compare import ComparisonPolicy
from services.kernel.sql.dataset import JsonRows
from services.kernel.sql.judge import JudgeRequest
from services.kernel.sql.judge.deadline import WALL_FACTOR
from services.kernel.sql.sandbox import LimitExceeded, Limits, SyncSandbox, TaskFailed, WorkerDied
from services.kernel.sql.schema import Schema

DEFAULT_BUDGET_MS = 2000
# The judge keeps to its budget by itself, give or take what it always tries; past this the sandbox ends it.
_GRACE_SECONDS = 2.0


def request_of(pair: Mapping[str, Any], budget_ms: int, seed: int) -> JudgeRequest:
    """The request for one line of the input; raises InvalidSchema, or KeyError for a missing field."""
    policy = ComparisonPolicy(ordered=bool(pair.get("order_sensitive")))
    schema = Schema.from_ddl(pair["ddl"])
    return JudgeRequest(
        schema, pair["reference_sql"], pair["candidate_sql"], policy, seed=seed, budget_ms=budget_ms, explain=False
    )


def judge_pairs(
    pairs: Iterable[Mapping[str, Any]], *, budget_ms: int = DEFAULT_BUDGET_MS, workers: int = 1, seed: int = 0
) -> Iterator[dict[str, Any]]:
    """Verdicts in the order of ``pairs``: the documented fields, and ``details`` (the sandbox's whole answer)."""
    seconds = budget_ms / 1000 + _GRACE_SECONDS
    limits = Limits(wall_seconds=WALL_FACTOR * seconds, cpu_seconds=math.ceil(seconds))
    waiting: deque[_Waiting] = deque()

    def payloads() -> Iterator[dict[str, Any]]:
        for pair in pairs:
            identifier = str(pair.get("id", ""))
            try:
                request = request_of(pair, budget_ms, seed)
            except (QueryCraftError, KeyError) as error:
                waiting.append(_Waiting(identifier, None, f"{type(error).__name__}: {error}"))
            else:
                waiting.append(_Waiting(identifier, request.schema))
                yield request.to_json()

    with SyncSandbox(workers) as sandbox:
        for outcome in sandbox.map("judge", payloads(), limits):
            yield from _unreadable(waiting)
            head = waiting.popleft()
            yield {"id": head.identifier, **_verdict(outcome, head.schema, limits)}
        yield from _unreadable(waiting)


@dataclass(frozen=True)
class _Waiting:
    """A pair whose verdict is still to come; without ``schema`` it could not be read, for ``reason``."""

    identifier: str
    schema: Schema | None
    reason: str = ""


def _unreadable(waiting: deque[_Waiting]) -> Iterator[dict[str, Any]]:
    """Verdicts for the pairs at the head of the line that never reached the sandbox."""
    while waiting and waiting[0].schema is None:
        head = waiting.popleft()
        yield {"id": head.identifier, **_line("unsupported", f"unreadable_pair: {head.reason}", None, 0.0, {})}


def _verdict(outcome: Any, schema: Schema | None, limits: Limits) -> dict[str, Any]:
    if isinstance(outcome, LimitExceeded | WorkerDied):
        return _line("refused", f"stopped: {outcome}", None, limits.wall_seconds * 1000, {})
    if isinstance(outcome, TaskFailed):
        verdict = "refused" if outcome.code == "refused" else "unsupported"
        return _line(verdict, f"{outcome.code}: {outcome}", None, 0.0, outcome.details)
    if isinstance(outcome, QueryCraftError):
        raise outcome
    example = outcome["counterexample"]
    tables = _complete(example["tables"], schema) if example and schema else None
    reason = ": ".join(part for part in (outcome["reason"], outcome["detail"]) if part)
    return _line(outcome["outcome"], reason, tables, outcome["elapsed_ms"], outcome)


def _complete(tables: JsonRows, schema: Schema) -> JsonRows:
    """Every table and every column of ``schema``, in its order: what an instance leaves out is NULL."""
    return {
        table.name: [{c.name: row.get(c.name) for c in table.columns} for row in tables.get(table.name, ())]
        for table in schema.tables
    }


def _line(verdict: str, reason: str, tables: JsonRows | None, ms: float, details: Any) -> dict[str, Any]:
    return {"verdict": verdict, "reason": reason, "counterexample": tables, "ms": round(ms, 2), "details": details}


def read_pairs(lines: TextIO) -> Iterator[dict[str, Any]]:
    for number, line in enumerate(lines, start=1):
        if line.strip():
            try:
                yield json.loads(line)
            except json.JSONDecodeError as error:
                raise SystemExit(f"line {number} of the input is not JSON: {error}") from error


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description="Judges pairs of queries (see the module's text).")
    parser.add_argument("--in", dest="source", type=Path, required=True)
    parser.add_argument("--out", dest="target", type=Path, required=True)
    parser.add_argument("--budget-ms", type=int, default=DEFAULT_BUDGET_MS)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--seed", type=int, default=0)
    return parser


def main(arguments: list[str] | None = None) -> int:
    options = _parser().parse_args(arguments)
    if options.budget_ms <= 0 or options.workers <= 0:
        sys.exit("--budget-ms and --workers must be positive")
    with options.source.open(encoding="utf-8") as source, options.target.open("w", encoding="utf-8") as target:
        pairs = read_pairs(source)
        for verdict in judge_pairs(pairs, budget_ms=options.budget_ms, workers=options.workers, seed=options.seed):
            verdict.pop("details")
            target.write(json.dumps(verdict, ensure_ascii=False) + "\n")
            target.flush()
    return 0


if __name__ == "__main__":
    sys.exit(main())
