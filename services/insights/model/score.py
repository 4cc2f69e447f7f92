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

    import numpy as np
    from numpy.typing import NDArray

Z80 = 1.2815515655446004
"""Of the standard normal distribution's central 80 %."""
LEAST_CASES = 40
MOST_CASES = 2_000
FOLDS = 5
SHRINKAGE = 0.011
"""L1 penalty on what the fitted weights differ from the defaults by, over the root of the number of cases."""


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
    """Weights by median regression, shrunk towards the defaults, then the factor that makes 80 % intervals cover 80 %
    of cases that the weights did not see (conformal prediction: V. Vovk, Cross-conformal predictors, 2015).

    What is promised is a small mean error, so that is what is minimised: R. Koenker and G. Bassett, Regression
    quantiles (1978). With fewer than 40 cases there is nothing to learn: the defaults stand.
    """
    import numpy as np

    known = list(cases)
    known = known[:: math.ceil(len(known) / MOST_CASES) or 1]
    if len(known) < LEAST_CASES:
        return ScoreRule()
    x = np.array([terms(case.coming, case.state) for case in known])
    observed = np.array([case.observed for case in known])
    # How far a rule is off on the cases that shaped it says too little of how far it will be off on others.
    fold = np.arange(len(known)) % FOLDS
    others = [_fitted_mean(x[fold != held], observed[fold != held]) for held in range(FOLDS)]
    needed = sorted(_needed(case, others[number % FOLDS]) for number, case in enumerate(known))
    # Of n others, so many must lie within for the next one to do so in 80 % of cases.
    rank = min(math.ceil(0.8 * (len(needed) + 1)), len(needed))
    return replace(_fitted_mean(x, observed), factor=max(0.5, needed[rank - 1]))


def _fitted_mean(x: NDArray[np.float64], observed: NDArray[np.float64]) -> ScoreRule:
    """The rule's mean, with a factor of one."""
    import numpy as np
    from sklearn.linear_model import QuantileRegressor

    plain = ScoreRule(1.0)
    default = np.array([plain.chance, plain.belief, plain.peers, plain.peer])
    penalty = SHRINKAGE / math.sqrt(len(x))
    step = QuantileRegressor(quantile=0.5, alpha=penalty, solver="highs").fit(x, observed - x @ default)
    chance, belief, peers, peer = (default + step.coef_).tolist()
    return ScoreRule(1.0, float(step.intercept_), chance, belief, peers=peers, peer=peer)


def _needed(case: Case, rule: ScoreRule) -> float:
    """The factor from which on the interval of ``rule`` holds what was observed."""
    interval = score(case.coming, case.state, rule)
    half = 0.5 / len(case.coming.chances)
    return max(0.0, abs(case.observed - interval.mean) - half) / (Z80 * interval.deviation)
