"""The score to expect in a subject on a date, with its interval and the factors that add up to it. Pure."""

from __future__ import annotations

from dataclasses import dataclass, replace

from services.insights.catalogue import Catalogue
from services.insights.learners import Learner
from services.insights.model.features import FEATURES
from services.insights.model.score import Score, score
from services.insights.model.state import ABILITY_VARIANCE, LearnerState

ANSWERS = 20
"""A score stands for this many answers of the subject."""
_BELIEF = FEATURES.index("shrunk_logit")
DRIFT_A_DAY = 0.004
"""Variance that a day without practice adds to the ability's belief: as much as one answer does."""


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

    rows = catalogue.rows([subject])
    if not rows:
        return None
    state = learner.state
    idle = max(0.0, (at - state.at) / 86_400) if state.at > 0 else 0.0
    level = replace(state, fast=0.0, slow=0.0, run=0, skills={}, items={}, last_skills=())
    skilled = replace(state, fast=0.0, slow=0.0, run=0)
    steps = [
        ("subject", LearnerState(), 0.0, "과목 문제의 평균 난이도", "how hard the subject is for an average learner"),
        ("ability", level, 0.0, "전반적인 실력", "general ability"),
        ("skills", skilled, 0.0, "개념별 숙련도와 풀이 이력", "mastery of the subject's concepts and items"),
        ("trend", state, 0.0, "최근 추세", "the recent trend"),
        ("time", state, at, "목표일까지의 시간", "the time until the target date"),
    ]
    rule = catalogue.model.knowledge.score_rule
    before, factors = 0.0, []
    chances: list[float] = []
    beliefs: list[float] = []
    for name, known, when, ko, en in steps:
        matrix = catalogue.table.matrix(known, when)[rows]
        chances = catalogue.model.knowledge.of_matrix(matrix).tolist()
        beliefs = (1 / (1 + np.exp(-matrix[:, _BELIEF]))).tolist()
        mean = min(max(rule.mean(sum(chances) / len(chances), sum(beliefs) / len(beliefs)), 0.0), 1.0)
        factors.append(Factor(name, mean - before, ko, en))
        before = mean
    variance = min(ABILITY_VARIANCE, state.variance + DRIFT_A_DAY * idle)
    uncertain = replace(state, variance=max(variance, state.variance))
    return Prediction(score(chances, beliefs, uncertain, rule, ANSWERS), factors, state.answered)
