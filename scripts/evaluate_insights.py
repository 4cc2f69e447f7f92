"""Fit the learner model on one file of interactions and measure it on the learners of another.

    python -m scripts.evaluate_insights --train FILE --test FILE --out FILE.json
    python -m scripts.evaluate_insights --train FILE --split 0.3 --seeds 3 --out FILE.json
    python -m scripts.evaluate_insights --train FILE --folds 5 --out FILE.json

Files are CSV (also .gz) or Parquet with the columns student, seq, item, skills, correct and optionally
timestamp. No database, no network. ``--split`` instead of ``--test`` deals the learners of the training file
into parts: that share of them trains, the rest tests, once per seed. ``--folds K`` deals them into K parts, each
predicted by a model that was fitted on the others; the figures are over all answers together. Such a model knows
(K - 1) / K of the learners, so it is a little worse than one that is fitted on all of them.
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

from services.insights.model.evaluation import Measured, measured
from services.insights.model.fit import TooLittleHistory, fit
from services.insights.model.history import History
from services.insights.model.interactions import BadRow, read_history

PARTS = ("linear", "trees", "networks")


def trial(train: History, test: History) -> tuple[Measured, dict[str, Any]]:
    """What was measured, and what is to be known of the fit. Raises TooLittleHistory."""
    began = time.perf_counter()
    knowledge = fit(train)
    seconds = time.perf_counter() - began
    return measured(knowledge, test), {
        "fit_s": round(seconds, 2),
        "train_answers": sum(map(len, train.values())),
        "train_learners": len(train),
        **{f"weight_{part}": round(own, 4) for part, own in zip(PARTS, knowledge.blend.settled[1:], strict=False)},
        "interval_factor": round(knowledge.score_rule.factor, 4),
    }


def evaluate(train: History, test: History) -> dict[str, Any]:
    """Raises TooLittleHistory, ValueError: see ``fit`` and ``Measured.figures``."""
    found, of_fit = trial(train, test)
    return {**found.figures(), **of_fit}


def evaluate_splits(history: History, share: float, seeds: int) -> dict[str, Any]:
    """The mean over ``seeds`` of every figure, and each split's own."""
    splits = []
    for seed in range(seeds):
        learners = shuffled(history, seed)
        cut = round(share * len(learners))
        splits.append(evaluate(part(history, learners[:cut]), part(history, learners[cut:])))
    return {**means(splits), "splits": splits}


def evaluate_folds(history: History, folds: int) -> dict[str, Any]:
    """Every learner is predicted once, by a model fitted on the learners of the other folds; figures are over all
    answers together, and each fold's own follow. ``train_learners``: how many a fold's model knew, on average."""
    learners = shuffled(history, 0)
    pooled: Measured | None = None
    each = []
    for number in range(folds):
        held = set(learners[number::folds])
        found, of_fit = trial(
            part(history, [name for name in learners if name not in held]), part(history, learners[number::folds])
        )
        each.append({**found.figures(), **of_fit})
        if pooled is None:
            pooled = found
        else:
            pooled.add(found)
    assert pooled is not None  # noqa: S101 - there are at least two folds
    return {**means(each), **pooled.figures(), "folds": each}


def shuffled(history: History, seed: int) -> list[str]:
    learners = sorted(history)
    random.Random(seed).shuffle(learners)
    return learners


def part(history: History, learners: Sequence[str]) -> History:
    return {name: history[name] for name in learners}


def means(figures: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Of what all of ``figures`` have: a small part may hold no learner with enough answers for some."""
    shared = [name for name in figures[0] if all(name in own for own in figures)]
    return {name: round(statistics.fmean(own[name] for own in figures), 6) for name in shared}


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--train", type=Path, required=True)
    tested = parser.add_mutually_exclusive_group(required=True)
    tested.add_argument("--test", type=Path)
    tested.add_argument("--split", type=float, help="share of the training file's learners that trains, 0..1")
    tested.add_argument("--folds", type=int, help="number of parts, at least 2")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--out", type=Path, required=True)
    chosen = parser.parse_args(arguments)
    if chosen.split is not None and not 0 < chosen.split < 1:
        parser.error("--split must lie between 0 and 1")
    if chosen.folds is not None and chosen.folds < 2:
        parser.error("--folds must be at least 2")
    try:
        train = read_history(chosen.train)
        if chosen.test is not None:
            figures = evaluate(train, read_history(chosen.test))
        elif chosen.folds is not None:
            figures = evaluate_folds(train, chosen.folds)
        else:
            figures = evaluate_splits(train, chosen.split, chosen.seeds)
    except (BadRow, TooLittleHistory, OSError) as error:
        print(error, file=sys.stderr)
        return 1
    chosen.out.parent.mkdir(parents=True, exist_ok=True)
    chosen.out.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")
    print(json.dumps({name: value for name, value in figures.items() if not isinstance(value, list)}, indent=2))
    return 0


if __name__ == "__main__":
    sys.exit(main())
