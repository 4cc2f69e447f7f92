"""How well the local classifier of triage does on labelled texts; needs no database and no model.

    python -m scripts.evaluate_triage --train FILE --test FILE --out FILE.json [--taxonomy NAME] [--folds N]
    python -m scripts.evaluate_triage --shipped --out FILE.json

Files are CSV with the columns text, category (several joined by "|") and, optionally, priority and split. The keywords
and examples of the shipped taxonomy with the same categories are used, unless ``--taxonomy`` names another one or
"none". ``--shipped`` evaluates the project's own labelled requests, and the agreement of their two labellings.
``--folds N`` cross-validates within the training file instead of reading a test file.

Figures: ``category`` is the share of right categories, or, where texts have several, the share of right yes-or-no
decisions over all texts and categories (``category_any``: the first one given is among the right ones);
``priority`` the share of right priorities; ``ece`` the expected calibration error in 10 bins of equal width
(Guo et al. 2017) of the first answer's confidence, and ``ece_if_calibrated`` what a perfectly calibrated classifier
with the same confidences would score on so many texts, for few texts never fill a bin evenly; ``agreement`` per cent
agreement and Cohen's kappa.
"""

import argparse
import csv
import json
import math
import random
import sys
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

# Run as a file, this folder is first on the path, with a `services` and a `contracts` of its own.
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from contracts.problems import LocaleText
from services.assistant.triage.heads import Guess
from services.assistant.triage.model import TriageModel
from services.assistant.triage.requests import Local
from services.assistant.triage.taxonomy import SHIPPED, Example, Label, Split, Taxonomy, load, load_all, read_examples
from services.assistant.triage.training import train

BINS = 10
SEED = 20_261_121
SIMULATIONS = 1_000
OWN = "building_maintenance"
APART: tuple[Split, ...] = ("development", "fresh")
"""Requests in files of their own, of splits of these names, which are never trained on."""


@dataclass
class Tally:
    """What was answered to texts whose labels are known."""

    guesses: list[tuple[Example, Local]] = field(default_factory=list)
    milliseconds: list[float] = field(default_factory=list)
    cpu_milliseconds: list[float] = field(default_factory=list)
    """Of this thread: what an answer costs on a machine that has nothing else to do."""

    def add(self, model: TriageModel, examples: Sequence[Example]) -> None:
        for example in examples:
            began, worked = time.perf_counter(), time.thread_time()
            local = Local.of(model, example.text)
            self.milliseconds.append((time.perf_counter() - began) * 1_000)
            self.cpu_milliseconds.append((time.thread_time() - worked) * 1_000)
            self.guesses.append((example, local))

    def report(self, taxonomy: Taxonomy, *, priorities: bool) -> dict[str, Any]:
        right = [_right(taxonomy, example, local.category) for example, local in self.guesses]
        first = [local.category.labels[0] in example.categories for example, local in self.guesses]
        ranked = sorted(self.milliseconds)
        report: dict[str, Any] = {
            "texts": len(self.guesses),
            "category": _share(right),
            "category_any": _share(first),
            **_calibration("category", [g.category.confidence for _, g in self.guesses], first),
            "p50_ms": round(ranked[len(ranked) // 2], 3),
            "p95_ms": round(ranked[int(0.95 * len(ranked))], 3),
            "p95_cpu_ms": round(sorted(self.cpu_milliseconds)[int(0.95 * len(ranked))], 3),
        }
        if priorities:
            hits = [local.priority.labels[0] == example.priority for example, local in self.guesses]
            report["priority"] = _share(hits)
            report |= _calibration("priority", [g.priority.confidence for _, g in self.guesses], hits)
            report |= self._routing(taxonomy)
        report["wrong"] = Counter(
            f"{example.category} taken for {local.category.labels[0]}"
            for (example, local), hit in zip(self.guesses, first, strict=True)
            if not hit
        ).most_common(10)
        return report

    def _routing(self, taxonomy: Taxonomy) -> dict[str, Any]:
        """How much goes to a model, and what one that is always right there would leave."""
        sure = [(example, local) for example, local in self.guesses if local.sure]
        unsure = len(self.guesses) - len(sure)
        lifted = [_right(taxonomy, e, o.category) if o.sure else 1.0 for e, o in self.guesses]
        priority = [o.priority.labels[0] == e.priority if o.sure else True for e, o in self.guesses]
        return {
            "asked_of_a_model": round(unsure / len(self.guesses), 4),
            "category_of_the_sure": _share([_right(taxonomy, e, o.category) for e, o in sure]),
            "priority_of_the_sure": _share([o.priority.labels[0] == e.priority for e, o in sure]),
            "with_a_model_that_is_right": {"category": _share(lifted), "priority": _share(priority)},
        }


def _right(taxonomy: Taxonomy, example: Example, guess: Guess) -> float:
    if not taxonomy.multiple:
        return float(guess.labels[0] == example.category)
    names = taxonomy.category_names
    return sum((name in guess.labels) == (name in example.categories) for name in names) / len(names)


def _share(values: Sequence[float]) -> float:
    return round(sum(values) / len(values), 4) if values else math.nan


def _calibration(what: str, confidences: Sequence[float], right: Sequence[bool]) -> dict[str, float]:
    """The expected calibration error, and what it would be on average if every answer were right with exactly the
    probability that is its confidence (simulated ``SIMULATIONS`` times)."""
    draws = np.random.default_rng(SEED).random((SIMULATIONS, len(confidences))) < np.asarray(confidences)
    expected = float(np.mean([_calibration_error(confidences, draw) for draw in draws]))
    return {
        f"{what}_ece": round(_calibration_error(confidences, np.asarray(right)), 4),
        f"{what}_ece_if_calibrated": round(expected, 4),
    }


def _calibration_error(confidences: Sequence[float], right: NDArray[np.bool_]) -> float:
    """Mean distance of confidence and accuracy over bins, weighted by their size."""
    bins = np.minimum(BINS - 1, (np.asarray(confidences) * BINS).astype(int))
    gaps = np.bincount(bins, np.asarray(confidences) - right, minlength=BINS)
    return float(np.abs(gaps).sum() / len(bins))


def taxonomy_for(name: str | None, examples: Sequence[Example]) -> Taxonomy:
    """The shipped taxonomy that ``examples`` fit, or one made of their labels alone; its examples are ``examples`` and
    its own written ones."""
    categories = sorted({category for example in examples for category in example.categories})
    priorities = sorted({example.priority for example in examples})
    for taxonomy in load_all((SHIPPED,)).values():
        fits = set(categories) == set(taxonomy.category_names) and set(priorities) <= set(taxonomy.priority_names)
        if name == taxonomy.name or (name is None and fits):
            own = () if taxonomy.requests else taxonomy.examples
            return taxonomy.model_copy(update={"examples": (*own, *examples)})
    return Taxonomy(
        name="unnamed",
        title=LocaleText(ko="", en=""),
        multiple=any(len(example.categories) > 1 for example in examples),
        categories=tuple(_label(category) for category in categories),
        priorities=tuple(_label(priority) for priority in priorities),
        examples=tuple(examples),
    )


def _label(name: str) -> Label:
    return Label(name=name, title=LocaleText(ko=name, en=name))


def evaluate(taxonomy: Taxonomy, test: Sequence[Example], *, priorities: bool) -> dict[str, Any]:
    """Train on the taxonomy's examples, answer ``test``."""
    began = time.perf_counter()
    model = train(taxonomy)
    seconds = time.perf_counter() - began
    tally = Tally()
    tally.add(model, test)
    return {
        "trained_on": len(taxonomy.examples),
        "training_seconds": round(seconds, 2),
        **tally.report(taxonomy, priorities=priorities),
    }


def cross_validate(name: str | None, examples: Sequence[Example], folds: int, *, priorities: bool) -> dict[str, Any]:
    """Every text answered by a classifier that has not seen it."""
    shuffled = list(examples)
    random.Random(SEED).shuffle(shuffled)
    tally = Tally()
    taxonomy = taxonomy_for(name, examples)
    for number in range(folds):
        rest = [example for i, example in enumerate(shuffled) if i % folds != number]
        fold = taxonomy_for(name, rest)
        tally.add(train(taxonomy.model_copy(update={"examples": fold.examples})), shuffled[number::folds])
    return {"folds": folds, "trained_on": len(rest), **tally.report(taxonomy, priorities=priorities)}


def agreement(*paths: Path) -> dict[str, Any]:
    """Of the two labellings in the files: shares of equal labels, Cohen's kappa, and every disagreement. Rows that were
    labelled once only do not count."""
    rows = [
        row
        for path in paths
        for row in csv.DictReader(path.read_text(encoding="utf-8").splitlines())
        if row["second_category"]
    ]
    report: dict[str, Any] = {"texts": len(rows)}
    for what in ("category", "priority"):
        pairs = [(row[f"first_{what}"], row[f"second_{what}"]) for row in rows]
        report[what] = {
            "equal": round(sum(a == b for a, b in pairs) / len(pairs), 4),
            "kappa": round(_kappa(pairs), 4),
        }
    report["disagreements"] = [
        {key: row[key] for key in row if key not in ("id", "split")}
        for row in rows
        if (row["first_category"], row["first_priority"]) != (row["second_category"], row["second_priority"])
    ]
    return report


def _kappa(pairs: Sequence[tuple[str, str]]) -> float:
    """Source: Cohen 1960, A coefficient of agreement for nominal scales."""
    size = len(pairs)
    first, second = Counter(a for a, _ in pairs), Counter(b for _, b in pairs)
    chance = sum(first[label] * second[label] for label in first) / size**2
    observed = sum(a == b for a, b in pairs) / size
    return (observed - chance) / (1 - chance) if chance < 1 else 1.0


def shipped() -> dict[str, Any]:
    """The project's own requests, apart: the half kept for testing (the keywords' author knew it), ``development`` (its
    errors were looked at), and ``fresh`` (written last, by other kinds of writers in mind, and not tuned on)."""
    taxonomy = load(SHIPPED / f"{OWN}.yaml")
    requests = SHIPPED / taxonomy.requests
    report = evaluate(taxonomy, read_examples(requests, "test"), priorities=True)
    model = train(taxonomy)
    files = {split: SHIPPED / f"{OWN}_{split}.csv" for split in APART}
    for split, path in files.items():
        tally = Tally()
        tally.add(model, read_examples(path, split))
        report[split] = tally.report(taxonomy, priorities=True)
    lift = model.answer("엘리베이터가 멈췄어요")
    report["lift_at_a_standstill"] = "/".join(guess.labels[0] for guess in lift)
    return {**report, "agreement": agreement(requests, *files.values())}


def main() -> None:
    parser = argparse.ArgumentParser(description="Evaluate the local classifier of triage.")
    parser.add_argument("--train", type=Path)
    parser.add_argument("--test", type=Path)
    parser.add_argument("--shipped", action="store_true")
    parser.add_argument("--folds", type=int, default=0)
    parser.add_argument("--taxonomy")
    parser.add_argument("--out", type=Path, required=True)
    arguments = parser.parse_args()
    report = shipped() if arguments.shipped else _of_files(parser, arguments)
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    arguments.out.write_text(json.dumps(report, ensure_ascii=False, indent=2) + "\n", encoding="utf-8")
    print(json.dumps({key: value for key, value in report.items() if key not in ("wrong", "agreement")}))


def _of_files(parser: argparse.ArgumentParser, arguments: argparse.Namespace) -> dict[str, Any]:
    if arguments.train is None or (arguments.test is None) == (arguments.folds < 2):
        parser.error("name --train and --test, or --train and --folds of 2 or more, or --shipped")
    examples = read_examples(arguments.train)
    priorities = len({example.priority for example in examples}) > 1
    if arguments.folds:
        return cross_validate(arguments.taxonomy, examples, arguments.folds, priorities=priorities)
    with arguments.test.open(encoding="utf-8-sig") as file:
        split: Split = "test" if "split" in (csv.DictReader(file).fieldnames or ()) else "train"
    test = read_examples(arguments.test, split)
    return evaluate(taxonomy_for(arguments.taxonomy, examples), test, priorities=priorities)


if __name__ == "__main__":
    main()
