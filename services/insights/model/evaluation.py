"""How good a fitted model is on learners it never saw: predictions before every answer, then the update."""

from __future__ import annotations

import math
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from services.insights.model.corrections import Correction, corrected
from services.insights.model.history import Answer, History
from services.insights.model.knowledge import Knowledge
from services.insights.model.score import covers, score
from services.insights.model.state import Item, LearnerState, belief, expected, update
from services.insights.model.strengths import skill_easiness, strengths

FIRST = 5
BINS = 10
AFTER, NEXT = 10, 20
BAND = (0.65, 0.75)
LEAST_LATER = 3
"""Later answers that make a skill's observed success count as its truth."""


@dataclass
class Predictions:
    """One entry per answer, in the order of the test file."""

    chance: list[float] = field(default_factory=list)
    frozen: list[float] = field(default_factory=list)
    outcome: list[int] = field(default_factory=list)
    position: list[int] = field(default_factory=list)
    predict_ms: list[float] = field(default_factory=list)
    update_ms: list[float] = field(default_factory=list)


def predictions(knowledge: Knowledge, history: History) -> Predictions:
    """``chance`` follows the service: an item's easiness takes in the answers graded so far, other test learners'
    included, never a later one. ``frozen`` leaves items as the training left them."""
    found = Predictions()
    corrections: dict[str, Correction] = {}
    for answers in history.values():
        state = LearnerState()
        for position, answer in enumerate(answers):
            fitted = knowledge.bank.get(answer.item, answer.skills)
            found.frozen.append(knowledge.probability(state, fitted, answer.at))
            began = time.perf_counter()
            item = corrected(fitted, corrections.get(answer.item))
            chance = knowledge.probability(state, item, answer.at)
            predicted = time.perf_counter()
            residual = answer.correct - expected(*belief(state, fitted))
            corrections.setdefault(answer.item, Correction()).add(residual)
            update(state, fitted, answer.correct, answer.at)
            found.update_ms.append((time.perf_counter() - predicted) * 1000)
            found.predict_ms.append((predicted - began) * 1000)
            found.chance.append(chance)
            found.outcome.append(int(answer.correct))
            found.position.append(position)
    return found


def report(knowledge: Knowledge, history: History) -> dict[str, Any]:
    """Every figure. Raises ValueError: ``history`` has fewer than two outcomes."""
    found = predictions(knowledge, history)
    first = [i for i, position in enumerate(found.position) if position < FIRST]
    figures: dict[str, Any] = {
        "answers": len(found.outcome),
        "learners": len(history),
        **quality(found.chance, found.outcome),
        "auc_first5": auc([found.chance[i] for i in first], [found.outcome[i] for i in first]),
        "update_ms_p95": percentile(found.update_ms, 0.95),
        "predict_ms_p95": percentile(found.predict_ms, 0.95),
        **{f"{name}_items_frozen": value for name, value in quality(found.frozen, found.outcome).items()},
        **band(found),
        **score_figures(knowledge, history.values()),
        **weakest_third(knowledge, history.values()),
    }
    return {name: round(value, 6) if isinstance(value, float) else value for name, value in figures.items()}


def quality(chances: Sequence[float], outcomes: Sequence[int]) -> dict[str, float]:
    return {"auc": auc(chances, outcomes), "log_loss": log_loss(chances, outcomes), "ece": ece(chances, outcomes)}


def auc(chances: Sequence[float], outcomes: Sequence[int]) -> float:
    from sklearn.metrics import roc_auc_score

    return float(roc_auc_score(outcomes, chances))


def log_loss(chances: Sequence[float], outcomes: Sequence[int]) -> float:
    return -sum(math.log(p if y else 1 - p) for p, y in zip(chances, outcomes, strict=True)) / len(outcomes)


def ece(chances: Sequence[float], outcomes: Sequence[int]) -> float:
    """Expected calibration error over 10 bins of equal width.

    Source: C. Guo et al., On calibration of modern neural networks (2017)."""
    sums = [[0.0, 0.0] for _ in range(BINS)]
    for chance, outcome in zip(chances, outcomes, strict=True):
        cell = sums[min(int(chance * BINS), BINS - 1)]
        cell[0] += chance
        cell[1] += outcome
    return sum(abs(predicted - observed) for predicted, observed in sums) / len(outcomes)


def band(found: Predictions) -> dict[str, Any]:
    """What becomes of answers that would have been recommended: those predicted in ``BAND``."""
    inside = [i for i, chance in enumerate(found.chance) if BAND[0] <= chance <= BAND[1]]
    if not inside:
        return {"recommended_answers": 0}
    predicted = sum(found.chance[i] for i in inside) / len(inside)
    observed = sum(found.outcome[i] for i in inside) / len(inside)
    return {
        "recommended_answers": len(inside),
        "recommended_predicted": predicted,
        "recommended_observed": observed,
        "recommended_gap": abs(predicted - observed),
    }


def score_figures(knowledge: Knowledge, histories: Iterable[Sequence[Answer]]) -> dict[str, Any]:
    """After 10 answers, the score on the next 20 (whose items are known, their outcomes are not)."""
    errors, covered, widths = [], 0, []
    for answers in histories:
        if len(answers) < AFTER + NEXT:
            continue
        state = state_after(knowledge, answers[:AFTER])
        coming = answers[AFTER : AFTER + NEXT]
        items = [_item(knowledge, answer) for answer in coming]
        chances = [knowledge.probability(state, item, answer.at) for item, answer in zip(items, coming, strict=True)]
        beliefs = [expected(*belief(state, item)) for item in items]
        interval = score(chances, beliefs, state, knowledge.score_rule)
        observed = sum(answer.correct for answer in coming) / NEXT
        errors.append(abs(interval.mean - observed))
        covered += covers(interval, observed, NEXT)
        widths.append(interval.high - interval.low)
    if not errors:
        return {"score_learners": 0}
    size = len(errors)
    return {
        "score_learners": size,
        "score_error": sum(errors) / size,
        "interval_coverage": covered / size,
        "interval_width": sum(widths) / size,
    }


def weakest_third(knowledge: Knowledge, histories: Iterable[Sequence[Answer]]) -> dict[str, Any]:
    """Of the skills named weakest after half of the answers, the share that are among the weakest later.

    Skills with at least 3 later answers count; a learner needs three of them. The truth is the third with the
    lowest observed success in the second half (ties by the skill's usual success do not enter: by name).
    ``raw_accuracy`` ranks by the first half's plain success instead; ``chance`` is what drawing lots would find.
    """
    easiness = skill_easiness(knowledge.bank)
    hits = dict.fromkeys(("model", "raw"), 0)
    named, lots, learners = 0, 0.0, 0
    for answers in histories:
        half = len(answers) // 2
        later = {
            skill: rate for skill, (rate, count) in _success_by_skill(answers[half:]).items() if count >= LEAST_LATER
        }
        third = len(later) // 3
        if third < 1:
            continue
        state = state_after(knowledge, answers[:half])
        earlier = _success_by_skill(answers[:half])
        truth = set(sorted(later, key=lambda skill: (later[skill], skill))[:third])
        model = [entry.skill for entry in strengths(state, later, easiness, knowledge.bank.base)][:third]
        raw = sorted(later, key=lambda skill: (earlier.get(skill, (0.5, 0))[0], skill))[:third]
        hits["model"] += len(truth & set(model))
        hits["raw"] += len(truth & set(raw))
        named += third
        lots += third * third / len(later)
        learners += 1
    if not named:
        return {"weakest_learners": 0}
    return {
        "weakest_learners": learners,
        "weakest_third_precision": hits["model"] / named,
        "weakest_third_raw_accuracy": hits["raw"] / named,
        "weakest_third_chance": lots / named,
    }


def state_after(knowledge: Knowledge, answers: Sequence[Answer]) -> LearnerState:
    state = LearnerState()
    for answer in answers:
        update(state, _item(knowledge, answer), answer.correct, answer.at)
    return state


def percentile(values: Sequence[float], share: float) -> float:
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def _item(knowledge: Knowledge, answer: Answer) -> Item:
    return knowledge.bank.get(answer.item, answer.skills)


def _success_by_skill(answers: Sequence[Answer]) -> dict[str, tuple[float, int]]:
    sums: dict[str, list[int]] = {}
    for answer in answers:
        for skill in answer.skills:
            cell = sums.setdefault(skill, [0, 0])
            cell[0] += answer.correct
            cell[1] += 1
    return {skill: (right / count, count) for skill, (right, count) in sums.items()}
