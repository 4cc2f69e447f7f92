"""How many offline problems a minute pass verification, and how many candidates it takes.

    python -m scripts.bench.generation [--count 150] [--seed 20] [--workers 2]

Prints one JSON object: per data type and together the published problems a minute including verification, the share
of candidates published, why the others were dropped, distinct concept tags, duplicates by normalised SQL and by answer.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections import Counter
from functools import partial
from typing import Any

from services.generator.datasets import DATA_TYPES
from services.generator.offline.generate import GenerationRequest, GenerationResult, generate, normalised
from services.generator.verify.verifiers import SandboxVerifier


def measure(count: int, seed: int, workers: int) -> dict[str, Any]:
    """`count` problems for each data type, one data type after the other."""
    verifier = partial(SandboxVerifier, workers=workers)
    by_type, results, seconds = {}, [], 0.0
    for data_type in DATA_TYPES:
        started = time.perf_counter()
        result = generate(GenerationRequest(data_type, count, seed), verifier=verifier)
        elapsed = time.perf_counter() - started
        by_type[data_type] = _summary([result], elapsed)
        results.append(result)
        seconds += elapsed
    return {"workers": workers, "seed": seed, "by_data_type": by_type, "together": _summary(results, seconds)}


def _summary(results: list[GenerationResult], seconds: float) -> dict[str, Any]:
    problems = [problem for result in results for problem in result.problems]
    candidates = sum(result.candidates for result in results)
    dropped: Counter[str] = sum((result.dropped for result in results), Counter())
    answers = {json.dumps(sorted(map(str, p.expected_answer["rows"]))) for p in problems}
    return {
        "published": len(problems),
        "seconds": round(seconds, 1),
        "per_minute": round(len(problems) / seconds * 60, 1),
        "published_share": round(len(problems) / candidates, 3),
        "dropped": dict(dropped.most_common()),
        "tags": len({tag for p in problems for tag in p.tags}),
        "levels": dict(Counter(p.difficulty for p in problems)),
        "duplicates_by_sql": len(problems) - len({normalised(p.reference_sql) for p in problems}),
        "duplicates_by_answer": len(problems) - len(answers),
        "mutants_median": statistics.median(p.mutants.made for p in problems),
        "kill_rate": round(statistics.fmean(p.mutants.kill_rate for p in problems), 4),
        "small_datasets_median": statistics.median(len(p.datasets) - 1 for p in problems),
        "small_rows_median": statistics.median(d.row_count for p in problems for d in p.datasets[1:]),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure offline generation.")
    parser.add_argument("--count", type=int, default=150, help="problems per data type")
    parser.add_argument("--seed", type=int, default=20)
    parser.add_argument("--workers", type=int, default=2)
    options = parser.parse_args()
    print(json.dumps(measure(options.count, options.seed, options.workers), indent=2))


if __name__ == "__main__":
    main()
