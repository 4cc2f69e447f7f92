"""How good a fitted model is on learners it never saw: predictions before every answer, then the update."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from services.insights.model.corrections import Correction, corrected
from services.insights.model.forecasts import Scores, Weakest, scores, weakest_third
from services.insights.model.history import Answer, History
from services.insights.model.knowledge import Knowledge
from services.insights.model.state import LearnerState, belief, expected, update

FIRST = 5
BINS = 10
BAND = (0.65, 0.75)


@dataclass(slots=True)
class Predictions:
    """One entry per answer, by learner in the order of the history."""

    chance: list[float]
    frozen: list[float]
    outcome: list[int]
    position: list[int]
    predict_ms: list[float] = field(default_factory=list)
    update_ms: list[float] = field(default_factory=list)

    def add(self, other: Predictions) -> None:
        self.chance += other.chance
        self.frozen += other.frozen
        self.outcome += other.outcome
        self.position += other.position
        self.predict_ms += other.predict_ms
        self.update_ms += other.update_ms


def predictions(knowledge: Knowledge, history: History) -> Predictions:
    """``chance`` follows the service: an item's easiness takes in the answers graded so far, other test learners'
    included, never a later one. ``frozen`` leaves items as the training left them.

    Answers come in order of time; where not all of them tell theirs, one learner comes after the other.
    """
    outcome = [int(answer.correct) for answers in history.values() for answer in answers]
    position = [number for answers in history.values() for number in range(len(answers))]
    found = Predictions([0.0] * len(outcome), [0.0] * len(outcome), outcome, position)
    corrections: dict[str, Correction] = {}
    states = {learner: LearnerState() for learner in history}
    for place, learner, answer in _in_time(history):
        state = states[learner]
        fitted = knowledge.bank.get(answer.item, answer.skills)
        found.frozen[place] = knowledge.probability(state, fitted, answer.at)
        began = time.perf_counter()
        item = corrected(fitted, corrections.get(answer.item))
        found.chance[place] = knowledge.probability(state, item, answer.at)
        predicted = time.perf_counter()
        residual = answer.correct - expected(*belief(state, fitted))
        corrections.setdefault(answer.item, Correction()).add(residual)
        update(state, fitted, answer.correct, answer.at)
        found.update_ms.append((time.perf_counter() - predicted) * 1000)
        found.predict_ms.append((predicted - began) * 1000)
    return found


def _in_time(history: History) -> list[tuple[int, str, Answer]]:
    """Place in the history, learner and answer. A learner's own answers keep their order whatever their times."""
    events: list[tuple[float, int, str, Answer]] = []
    dated = all(answer.at > 0 for answers in history.values() for answer in answers)
    for learner, answers in history.items():
        latest = 0.0
        for answer in answers:
            latest = max(latest, answer.at) if dated else 0.0
            events.append((latest, len(events), learner, answer))
    events.sort(key=lambda event: event[:2])
    return [(place, learner, answer) for _, place, learner, answer in events]


@dataclass(slots=True)
class Measured:
    """What was seen of one fitted model on learners it never saw, or of several, each on its own learners."""

    learners: int
    predictions: Predictions
    scores: Scores
    weakest: Weakest

    def add(self, other: Measured) -> None:
        self.learners += other.learners
        self.predictions.add(other.predictions)
        self.scores.add(other.scores)
        self.weakest.add(other.weakest)

    def figures(self) -> dict[str, Any]:
        """Every figure over all answers at once. Raises ValueError: there are fewer than two outcomes."""
        found = self.predictions
        first = [i for i, position in enumerate(found.position) if position < FIRST]
        figures: dict[str, Any] = {
            "answers": len(found.outcome),
            "learners": self.learners,
            **quality(found.chance, found.outcome),
            "auc_first5": auc([found.chance[i] for i in first], [found.outcome[i] for i in first]),
            "update_ms_p95": percentile(found.update_ms, 0.95),
            "predict_ms_p95": percentile(found.predict_ms, 0.95),
            **{f"{name}_items_frozen": value for name, value in quality(found.frozen, found.outcome).items()},
            **band(found),
            **self.scores.figures(),
            **self.weakest.figures(),
        }
        return {name: round(value, 6) if isinstance(value, float) else value for name, value in figures.items()}


def measured(knowledge: Knowledge, history: History) -> Measured:
    return Measured(
        len(history),
        predictions(knowledge, history),
        scores(knowledge, history.values()),
        weakest_third(knowledge, history.values()),
    )


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


def percentile(values: Sequence[float], share: float) -> float:
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]
