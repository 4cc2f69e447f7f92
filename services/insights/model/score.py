"""The score to expect over several answers, and its interval."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from services.insights.model.knowledge import ScoreRule
from services.insights.model.state import ABILITY_DRIFT, LearnerState

if TYPE_CHECKING:
    from collections.abc import Iterable

Z80 = 1.2815515655446004
"""Of the standard normal distribution's central 80 %."""
LEAST_CASES = 40
MOST_CASES = 2_000
SHRINKAGE = 0.0005
"""L1 penalty on what the fitted weights differ from the defaults by."""


@dataclass(frozen=True, slots=True)
class Score:
    """Share of correct answers, 0..1, with an 80 % interval."""

    mean: float
    low: float
    high: float
    deviation: float


@dataclass(frozen=True, slots=True)
class Coming:
    """Per item: the chance of success, what ability alone leads to expect, the mean ability of those who took it."""

    chances: Sequence[float]
    beliefs: Sequence[float]
    peers: Sequence[float]


@dataclass(frozen=True, slots=True)
class Case:
    """A held-out learner: what is known of coming items, the state before them, the share that came right."""

    coming: Coming
    state: LearnerState
    observed: float


def score(coming: Coming, state: LearnerState, rule: ScoreRule, answers: int | None = None) -> Score:
    """The mean of ``answers`` answers (default: one per chance).

    The variance adds that of the answers themselves to that of the ability they share (delta method): naive
    binomial intervals leave the second out and are too narrow.

    Raises:
        ValueError: no chances.
    """
    chances = coming.chances
    if not chances:
        raise ValueError("a score needs at least one item")
    size = len(chances)
    count = answers or size
    slope = sum(p * (1 - p) for p in chances) / size
    ability = state.variance + ABILITY_DRIFT * count
    deviation = rule.factor * math.sqrt(slope / count + slope * slope * ability)
    mean = rule.mean(*terms(coming, state))
    return Score(mean, max(0.0, mean - Z80 * deviation), min(1.0, mean + Z80 * deviation), deviation)


def terms(coming: Coming, state: LearnerState) -> tuple[float, float, float, float]:
    """What ``ScoreRule.mean`` weighs. A learner without answers keeps the company of the coming items."""
    size = len(coming.chances)
    peer = sum(coming.peers) / size
    peers = state.peers / state.answered if state.answered else peer
    return sum(coming.chances) / size, sum(coming.beliefs) / size, peers, peer


def covers(interval: Score, observed: float, answers: int) -> bool:
    """Whether the interval holds a share of ``answers``: a share stands for half a step around it."""
    half = 0.5 / answers
    return interval.low - half <= observed <= interval.high + half


def fitted_rule(cases: Iterable[Case]) -> ScoreRule:
    """Weights by median regression, shrunk towards the defaults, then the factor that makes 80 % intervals cover 80 %.

    What is promised is a small mean error, so that is what is minimised: R. Koenker and G. Bassett, Regression
    quantiles (1978). With fewer than 40 cases there is nothing to learn: the defaults stand.
    """
    import numpy as np
    from sklearn.linear_model import QuantileRegressor

    known = list(cases)
    known = known[:: math.ceil(len(known) / MOST_CASES) or 1]
    default = ScoreRule()
    if len(known) < LEAST_CASES:
        return default
    x = np.array([terms(case.coming, case.state) for case in known])
    gap = np.array([case.observed for case in known]) - x @ np.array(
        [default.chance, default.belief, default.peers, default.peer]
    )
    step = QuantileRegressor(quantile=0.5, alpha=SHRINKAGE, solver="highs").fit(x, gap)
    chance, belief, peers, peer = (float(weight) for weight in step.coef_)
    plain = ScoreRule(
        1.0, float(step.intercept_), default.chance + chance, default.belief + belief, peers=peers, peer=peer
    )
    needed = []
    for case in known:
        interval = score(case.coming, case.state, plain)
        half = 0.5 / len(case.coming.chances)
        needed.append(max(0.0, abs(case.observed - interval.mean) - half) / (Z80 * interval.deviation))
    needed.sort()
    return replace(plain, factor=max(0.5, needed[math.ceil(0.8 * len(needed)) - 1]))
