"""The score to expect in a subject on a date, with its interval and the factors that add up to it. Pure."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from services.insights.catalogue import Catalogue
from services.insights.learners import Learner
from services.insights.model.features import FEATURES
from services.insights.model.score import Coming, Score, score, terms
from services.insights.model.state import ABILITY_VARIANCE

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

ANSWERS = 20
"""A score stands for this many answers of the subject."""
DRIFT_A_DAY = 0.004
"""Variance that a day without practice adds to the ability's belief: as much as one answer does."""


_STEPS = (
    ("subject", "과목 문제의 평균 난이도", "how hard the subject is for an average learner"),
    ("ability", "전반적인 실력", "general ability"),
    ("skills", "개념별 숙련도와 풀이 이력", "mastery of the subject's concepts and items"),
    ("trend", "최근 추세", "the recent trend"),
    ("time", "목표일까지의 시간", "the time until the target date"),
)
"""From the model that knows least to the one that knows all."""


@dataclass(frozen=True, slots=True)
class Factor:
    """``effect``: share of correct answers that it adds. All effects sum to the predicted score."""

    name: str
    effect: float
    ko: str
    en: str


@dataclass(frozen=True, slots=True)
class Prediction:
    score: Score
    factors: list[Factor]
    answered: int


def predict(catalogue: Catalogue, learner: Learner, subject: str, at: float) -> Prediction | None:
    """None: the subject has no items. ``at``: seconds since the epoch, not before the learner's latest answer.

    The factors are the differences between models that know more and more: an average learner, one of this
    ability, with these skills, with this recent form, at that date. So they add up exactly.
    """
    import numpy as np

    table = catalogue.samples.get(subject)
    if table is None:
        return None
    state = learner.state
    idle = max(0.0, (at - state.at) / 86_400) if state.at > 0 else 0.0
    level = replace(state, fast=0.0, slow=0.0, run=0, context=0.0, recent=[], skills={}, items={}, last_skills=())
    then = table.matrix(state, at)
    now = _without(then, "pause", "pause_known")
    steady = _without(now, "residual_fast", "residual_slow", "run", "context", "carried", "carried_weight")
    known = [table.matrix(level), steady, now, then]
    slopes = np.tile(table.slopes, (len(known), 1))
    skill_sets = [item.skills for item in table.items] * len(known)
    knowledge = catalogue.model.knowledge
    chances = np.split(knowledge.of_matrix(np.vstack(known), slopes, skill_sets), len(known))
    coming = [Coming(matrix, chance) for matrix, chance in zip(known, chances, strict=True)]
    rule = knowledge.score_rule
    means = [catalogue.ordinary[subject], *(rule.mean(terms(each)) for each in coming)]
    factors = [
        Factor(name, mean - before, ko, en)
        for (name, ko, en), mean, before in zip(_STEPS, means, [0.0, *means], strict=False)
    ]
    variance = min(ABILITY_VARIANCE, state.variance + DRIFT_A_DAY * idle)
    result = score(coming[-1], max(variance, state.variance), rule, ANSWERS)
    return Prediction(result, factors, state.answered)


def _without(matrix: NDArray[np.float64], *names: str) -> NDArray[np.float64]:
    """A copy in which the features ``names`` are zero."""
    changed = matrix.copy()
    changed[:, [FEATURES.index(name) for name in names]] = 0.0
    return changed
