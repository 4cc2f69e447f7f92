"""Fit the learner model on one file of interactions and measure it on the learners of another.

    python -m scripts.evaluate_insights --train FILE --test FILE --out FILE.json
    python -m scripts.evaluate_insights --train FILE --split 0.3 --seeds 3 --out FILE.json

Files are CSV (also .gz) or Parquet with the columns student, seq, item, skills, correct and optionally
timestamp. No database, no network. ``--split`` instead of ``--test`` deals the learners of the training file
into parts: that share of them trains, the rest tests, once per seed.
"""

import argparse
import json
import random
import statistics
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

# Run as a file, this folder is first on the path, with a `services` and a `contracts` of its own.
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from services.insights.model.evaluation import report
from services.insights.model.fit import TooLittleHistory, fit
from services.insights.model.history import History
from services.insights.model.interactions import BadRow, read_history


def evaluate(train: History, test: History) -> dict[str, Any]:
    """Raises TooLittleHistory, ValueError: see ``fit`` and ``report``."""
    began = time.perf_counter()
    knowledge = fit(train)
    seconds = time.perf_counter() - began
    return {
        **report(knowledge, test),
        "fit_s": round(seconds, 2),
        "train_answers": sum(map(len, train.values())),
        "train_learners": len(train),
        "tree_share": knowledge.tree_share,
        "interval_factor": round(knowledge.score_rule.factor, 4),
    }


def evaluate_splits(history: History, share: float, seeds: int) -> dict[str, Any]:
    """The mean over ``seeds`` of every figure, and each split's own."""
    splits = []
    for seed in range(seeds):
        learners = sorted(history)
        random.Random(seed).shuffle(learners)
        cut = round(share * len(learners))
        splits.append(
            evaluate({name: history[name] for name in learners[:cut]}, {name: history[name] for name in learners[cut:]})
        )
    return {
        **{name: round(statistics.fmean(split[name] for split in splits), 6) for name in splits[0]},
        "splits": splits,
    }


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--train", type=Path, required=True)
    tested = parser.add_mutually_exclusive_group(required=True)
    tested.add_argument("--test", type=Path)
    tested.add_argument("--split", type=float, help="share of the training file's learners that trains, 0..1")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--out", type=Path, required=True)
    chosen = parser.parse_args(arguments)
    if chosen.split is not None and not 0 < chosen.split < 1:
        parser.error("--split must lie between 0 and 1")
    try:
        train = read_history(chosen.train)
        if chosen.test is not None:
            figures = evaluate(train, read_history(chosen.test))
        else:
            figures = evaluate_splits(train, chosen.split, chosen.seeds)
    except (BadRow, TooLittleHistory, OSError) as error:
        print(error, file=sys.stderr)
        return 1
    chosen.out.parent.mkdir(parents=True, exist_ok=True)
    chosen.out.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")
    print(json.dumps({name: value for name, value in figures.items() if name != "splits"}, indent=2))
    return 0


if __name__ == "__main__":
    sys.exit(main())
