"""The score to expect over several answers, and its interval."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from services.insights.model.knowledge import ScoreRule
from services.insights.model.state import ABILITY_DRIFT, LearnerState

if TYPE_CHECKING:
    from collections.abc import Iterable

Z80 = 1.2815515655446004
"""Of the standard normal distribution's central 80 %."""
LEAST_CASES = 40
RIDGE = 1.0


@dataclass(frozen=True, slots=True)
class Score:
    """Share of correct answers, 0..1, with an 80 % interval."""

    mean: float
    low: float
    high: float
    deviation: float


@dataclass(frozen=True, slots=True)
class Case:
    """A held-out learner: chances and beliefs for coming items, the state before them, the share that came right."""

    chances: Sequence[float]
    beliefs: Sequence[float]
    state: LearnerState
    observed: float


def score(
    chances: Sequence[float], beliefs: Sequence[float], state: LearnerState, rule: ScoreRule, answers: int | None = None
) -> Score:
    """The mean of ``answers`` answers (default: one per chance).

    The variance adds that of the answers themselves to that of the ability they share (delta method): naive
    binomial intervals leave the second out and are too narrow.

    Raises:
        ValueError: no chances.
    """
    if not chances:
        raise ValueError("a score needs at least one item")
    size = len(chances)
    count = answers or size
    slope = sum(p * (1 - p) for p in chances) / size
    ability = state.variance + ABILITY_DRIFT * count
    deviation = rule.factor * math.sqrt(slope / count + slope * slope * ability)
    mean = min(max(rule.mean(sum(chances) / size, sum(beliefs) / size), 0.0), 1.0)
    return Score(mean, max(0.0, mean - Z80 * deviation), min(1.0, mean + Z80 * deviation), deviation)


def covers(interval: Score, observed: float, answers: int) -> bool:
    """Whether the interval holds a share of ``answers``: a share stands for half a step around it."""
    half = 0.5 / answers
    return interval.low - half <= observed <= interval.high + half


def fitted_rule(cases: Iterable[Case]) -> ScoreRule:
    """Weights by ridge regression towards the defaults, then the factor that makes 80 % intervals cover 80 %.

    With fewer than 40 cases there is nothing to learn: the defaults stand.
    """
    import numpy as np

    known = list(cases)
    default = ScoreRule()
    if len(known) < LEAST_CASES:
        return default
    x = np.array([[1.0, np.mean(case.chances), np.mean(case.beliefs)] for case in known])
    prior = np.array([default.intercept, default.chance, default.belief])
    gap = np.array([case.observed for case in known]) - x @ prior
    step = np.linalg.solve(x.T @ x + RIDGE * np.eye(3), x.T @ gap)
    weights = [float(weight) for weight in prior + step]
    plain = ScoreRule(1.0, *weights)
    needed = []
    for case in known:
        interval = score(case.chances, case.beliefs, case.state, plain)
        half = 0.5 / len(case.chances)
        needed.append(max(0.0, abs(case.observed - interval.mean) - half) / (Z80 * interval.deviation))
    needed.sort()
    return ScoreRule(max(0.5, needed[math.ceil(0.8 * len(needed)) - 1]), *weights)
