"""How well and how fast the judge tells answers apart, on labelled pairs, beside simple judges' figures.

    python -m scripts.bench.judging --in pairs.jsonl [--limit N] [--budget-ms 2000] [--workers 1] [--verdicts FILE]

The pairs (input of ``scripts.judge_pairs`` with a ``label``) are third-party material kept elsewhere; without them the
bench says so and measures nothing. Every counterexample is checked once more, here, on an engine of its own.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from itertools import islice
from pathlib import Path
from statistics import median
from typing import Any

import duckdb

from scripts.judge_pairs import DEFAULT_BUDGET_MS, judge_pairs, read_pairs
from services.kernel.sql.compare import ComparisonPolicy, compare
from services.kernel.sql.dataset import Dataset
from services.kernel.sql.results import ResultSet
from services.kernel.sql.schema import Schema

DEFAULT_PAIRS = Path("../shared/data/judging/dev.jsonl")
# Simple judges on pairs from the same sources (2 cores, DuckDB 2.0): false accepts, false rejects, seconds a pair.
BASELINES = {
    "one random data set, sparse": (0.505, 0.003, 0.03),
    "one data set of 20 rows a table": (0.226, 0.009, 0.03),
    "same canonical syntax tree": (0.0, 0.863, 0.02),
    "10 random data sets, values from the queries": (0.142, 0.013, 0.03),
    "100 random data sets": (0.062, 0.014, 0.22),
}
GOALS = {"false_accepts": 0.01, "false_rejects": 0.003, "unsupported": 0.01, "ms_p50": 60, "ms_p95": 2000, "rows": 4}


def run(
    pairs_path: Path,
    limit: int | None = None,
    *,
    budget_ms: int = DEFAULT_BUDGET_MS,
    workers: int = 1,
    chosen: Callable[[dict[str, Any]], bool] = lambda pair: True,
    record: Callable[[dict[str, Any]], None] = lambda verdict: None,
) -> dict[str, Any]:
    """Figures over the first ``limit`` pairs that are ``chosen``; ``record`` sees each verdict.

    Returns {"available": False, "reason"} when the file is not there. Rates are shares of the pairs of that label.
    """
    if not pairs_path.is_file():
        return {"available": False, "reason": f"the labelled pairs are not at {pairs_path}"}
    with pairs_path.open(encoding="utf-8") as lines:
        pairs = list(islice((pair for pair in read_pairs(lines) if chosen(pair)), limit))
    tally = _Tally()
    verdicts = judge_pairs(pairs, budget_ms=budget_ms, workers=workers)
    for pair, verdict in zip(pairs, verdicts, strict=True):
        record(verdict)
        tally.add(pair, verdict)
    return {"available": True, "budget_ms": budget_ms, "workers": workers, **tally.figures(), "baselines": BASELINES}


class _Tally:
    def __init__(self) -> None:
        self._labels = {"equivalent": 0, "different": 0}
        self._ms: list[float] = []
        self._cpu_ms: list[float] = []
        self._rows: list[int] = []
        self._false: dict[str, list[str]] = {"accepts": [], "rejects": [], "unsupported": [], "counterexamples": []}

    def add(self, pair: dict[str, Any], verdict: dict[str, Any]) -> None:
        self._labels[pair["label"]] += 1
        self._ms.append(verdict["ms"])
        self._cpu_ms.append(verdict["details"].get("cpu_ms", verdict["ms"]))
        judged = verdict["verdict"]
        if judged in {"unsupported", "refused"}:
            self._false["unsupported"].append(pair["id"])
        elif judged != pair["label"]:
            self._false["accepts" if judged == "equivalent" else "rejects"].append(pair["id"])
        example = verdict["counterexample"]
        if example is not None:
            self._rows.append(sum(len(rows) for rows in example.values()))
            if not holds(pair, example):
                self._false["counterexamples"].append(pair["id"])

    def figures(self) -> dict[str, Any]:
        wrong = {name: len(identifiers) for name, identifiers in self._false.items()}
        return {
            "pairs": len(self._ms),
            "labels": self._labels,
            "false_accepts": _share(wrong["accepts"], self._labels["different"]),
            "false_rejects": _share(wrong["rejects"], self._labels["equivalent"]),
            "unsupported": _share(wrong["unsupported"], len(self._ms)),
            "untrue_counterexamples": self._false["counterexamples"],
            "ms_p50": _quantile(self._ms, 0.50),
            "ms_p95": _quantile(self._ms, 0.95),
            "cpu_ms_p50": _quantile(self._cpu_ms, 0.50),
            "cpu_ms_p95": _quantile(self._cpu_ms, 0.95),
            "counterexample_rows_median": median(self._rows) if self._rows else None,
            "wrong": self._false,
        }


def holds(pair: dict[str, Any], tables: dict[str, list[dict[str, Any]]]) -> bool:
    """Whether both results differ on ``tables``, loaded under every constraint of the pair's own DDL.

    Compared without knowledge of ties, so only where the two bags, or the columns, or the given order differ.
    """
    schema = Schema.from_ddl(pair["ddl"])
    connection = duckdb.connect(":memory:", config={"threads": 1})
    try:
        Dataset.from_json(tables, schema).load(connection, schema)
        expected = ResultSet.fetch(connection, pair["reference_sql"])
        actual = ResultSet.fetch(connection, pair["candidate_sql"])
    except duckdb.Error:
        return False
    finally:
        connection.close()
    return compare(expected, actual, ComparisonPolicy(ordered=bool(pair.get("order_sensitive")))) is not None


def _share(part: int, whole: int) -> float:
    return round(part / whole, 5) if whole else 0.0


def _quantile(values: Sequence[float], share: float) -> float | None:
    ordered = sorted(values)
    return round(ordered[min(len(ordered) - 1, int(share * len(ordered)))], 1) if ordered else None


def _print(figures: dict[str, Any]) -> None:
    if not figures["available"]:
        print(f"judging: not measured: {figures['reason']}")
        return
    print(f"judging: {figures['pairs']} pairs {figures['labels']}, budget {figures['budget_ms']} ms")
    print(f"{'judge':46} {'false accepts':>14} {'false rejects':>14} {'s per pair':>11}")
    for name, (accepts, rejects, seconds) in BASELINES.items():
        print(f"{name:46} {accepts:14.1%} {rejects:14.1%} {seconds:11.2f}")
    spent = (figures["ms_p50"] or 0.0) / 1000
    print(f"{'this judge':46} {figures['false_accepts']:14.1%} {figures['false_rejects']:14.1%} {spent:11.2f}")
    print(f"unsupported {figures['unsupported']:.1%}, ms p50 {figures['ms_p50']}, p95 {figures['ms_p95']}")
    print(f"of processor time, ms p50 {figures['cpu_ms_p50']}, p95 {figures['cpu_ms_p95']}")
    print(f"rows in a counterexample (median) {figures['counterexample_rows_median']}")
    print(f"counterexamples that do not hold: {figures['untrue_counterexamples']}")
    for name, identifiers in figures["wrong"].items():
        for identifier in identifiers:
            print(f"  {name}: {identifier}")


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Measures the judge on labelled pairs (see the module's text).")
    parser.add_argument("--in", dest="source", type=Path, default=DEFAULT_PAIRS)
    parser.add_argument("--limit", type=int)
    parser.add_argument("--budget-ms", type=int, default=DEFAULT_BUDGET_MS)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--verdicts", type=Path, help="also write every verdict, as JSON lines")
    options = parser.parse_args(arguments)
    verdicts: list[dict[str, Any]] = []
    figures = run(
        options.source,
        options.limit,
        budget_ms=options.budget_ms,
        workers=options.workers,
        record=verdicts.append,
    )
    if options.verdicts is not None:
        options.verdicts.write_text("".join(json.dumps(v, ensure_ascii=False) + "\n" for v in verdicts))
    _print(figures)
    return 0


if __name__ == "__main__":
    sys.exit(main())
