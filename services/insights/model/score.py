"""The score to expect over several answers, and its interval."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from services.insights.model.features import FEATURES
from services.insights.model.state import ABILITY_DRIFT

if TYPE_CHECKING:
    from collections.abc import Iterable

    import numpy as np
    from numpy.typing import NDArray

Z80 = 1.2815515655446004
"""Of the standard normal distribution's central 80 %."""
LEVEL = 0.8
LEAST_CASES = 40
MOST_CASES = 2_000
FOLDS = 5
RIDGE = 8.0
"""Penalty on the weights of standardised terms, in cases."""
AVERAGED = (
    "ability",
    "residual_fast",
    "residual_slow",
    "logit",
    "skill_ability",
    "skill_variance",
    "skill_residual",
    "skill_residual_slow",
    "skill_correct",
    "skill_wrong",
    "skill_new",
    "easiness",
    "peer",
    "peers",
)
"""The features whose means over the coming items correct a score."""
TERMS = (*AVERAGED, "chance", "calm", "belief")
"""And the means of the chances of success, of those with their logits shrunk by ``CALM``, and of what ability alone
leads to expect."""
CALM = 0.6
CLIP = 4.0
"""Deviations from the usual beyond which a term says no more."""
_COLUMNS = [FEATURES.index(name) for name in AVERAGED]
_BELIEF = FEATURES.index("shrunk_logit")


@dataclass(slots=True)
class ScoreRule:
    """From chances on single items to a score over several: half of what the chances say, half of what the belief
    says, + intercept + the sum of ``TERMS``, standardised by ``center`` and ``scale``, times ``weights``.
    Recent form helps with the next answer and misleads about the next twenty; the weights, fitted on held-out
    learners, say how much. ``factor`` widens or narrows the deviation so that 80 % intervals cover 80 % of them."""

    factor: float = 1.1
    intercept: float = 0.0
    center: list[float] = field(default_factory=lambda: [0.0] * len(TERMS))
    scale: list[float] = field(default_factory=lambda: [0.0] * len(TERMS))
    weights: list[float] = field(default_factory=lambda: [0.0] * len(TERMS))

    def mean(self, terms: Sequence[float]) -> float:
        total = _plain(terms) + self.intercept
        for term, center, scale, weight in zip(terms, self.center, self.scale, self.weights, strict=True):
            total += weight * min(max((term - center) * scale, -CLIP), CLIP)
        return min(max(total, 0.0), 1.0)


def _plain(terms: Sequence[float]) -> float:
    return 0.5 * terms[TERMS.index("chance")] + 0.5 * terms[TERMS.index("belief")]


@dataclass(frozen=True, slots=True)
class Score:
    """Share of correct answers, 0..1, with an 80 % interval."""

    mean: float
    low: float
    high: float
    deviation: float


@dataclass(frozen=True, slots=True)
class Coming:
    """One row per item: its ``FEATURES``, and the chance of success."""

    matrix: NDArray[np.float64]
    chances: NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Case:
    """A held-out learner: what is known of coming items, ``variance`` of the ability then, the share that came
    right."""

    coming: Coming
    variance: float
    observed: float


def score(coming: Coming, variance: float, rule: ScoreRule, answers: int | None = None) -> Score:
    """The mean of ``answers`` answers (default: one per chance). ``variance``: of the learner's ability.

    The variance adds that of the answers themselves to that of the ability they share (delta method): naive
    binomial intervals leave the second out and are too narrow.

    Raises:
        ValueError: no chances.
    """
    chances = coming.chances
    if not len(chances):
        raise ValueError("a score needs at least one item")
    count = answers or len(chances)
    slope = float((chances * (1 - chances)).mean())
    deviation = rule.factor * math.sqrt(slope / count + slope * slope * (variance + ABILITY_DRIFT * count))
    mean = rule.mean(terms(coming))
    return Score(mean, max(0.0, mean - Z80 * deviation), min(1.0, mean + Z80 * deviation), deviation)


def terms(coming: Coming) -> list[float]:
    """``TERMS``."""
    import numpy as np

    bounded = np.clip(coming.chances, 1e-9, 1 - 1e-9)
    calm = 1 / (1 + ((1 - bounded) / bounded) ** CALM)
    belief = 1 / (1 + np.exp(-coming.matrix[:, _BELIEF]))
    averaged: list[float] = coming.matrix[:, _COLUMNS].mean(axis=0).tolist()
    return [*averaged, float(coming.chances.mean()), float(calm.mean()), float(belief.mean())]


def covers(interval: Score, observed: float, answers: int) -> bool:
    """Whether the interval holds a share of ``answers``: a share stands for half a step around it."""
    half = 0.5 / answers
    return interval.low - half <= observed <= interval.high + half


def fitted_rule(cases: Iterable[Case]) -> ScoreRule:
    """Weights by ridge regression of what the plain mean leaves, then the factor that makes 80 % intervals cover 80 %
    of cases that the weights did not see, and the more beyond it the fewer there are.

    Source: V. Vovk, Cross-conformal predictors (2015).
    With fewer than 40 cases there is nothing to learn: the defaults stand.
    """
    import numpy as np

    known = list(cases)
    known = known[:: math.ceil(len(known) / MOST_CASES) or 1]
    if len(known) < LEAST_CASES:
        return ScoreRule()
    x = np.array([terms(case.coming) for case in known])
    observed = np.array([case.observed for case in known])
    # How far a rule is off on the cases that shaped it says too little of how far it will be off on others.
    fold = np.arange(len(known)) % FOLDS
    others = [_fitted_mean(x[fold != held], observed[fold != held]) for held in range(FOLDS)]
    needed = sorted(_needed(case, others[number % FOLDS]) for number, case in enumerate(known))
    # The level that n cases show is off by its standard error: few of them err towards covering more, not less.
    level = LEVEL + math.sqrt(LEVEL * (1 - LEVEL) / len(needed))
    rank = min(math.ceil(level * (len(needed) + 1)), len(needed))
    return replace(_fitted_mean(x, observed), factor=max(0.5, needed[rank - 1]))


def _fitted_mean(x: NDArray[np.float64], observed: NDArray[np.float64]) -> ScoreRule:
    """The rule's mean, with a factor of one."""
    import numpy as np
    from sklearn.linear_model import Ridge

    center, deviation = x.mean(axis=0), x.std(axis=0)
    scale = np.where(deviation > 1e-6, 1 / np.maximum(deviation, 1e-6), 0.0)
    gap = observed - np.array([_plain(row) for row in x.tolist()])
    step = Ridge(alpha=RIDGE).fit(np.clip((x - center) * scale, -CLIP, CLIP), gap)
    return ScoreRule(1.0, float(step.intercept_), center.tolist(), scale.tolist(), step.coef_.tolist())


def _needed(case: Case, rule: ScoreRule) -> float:
    """The factor from which on the interval of ``rule`` holds what was observed."""
    interval = score(case.coming, case.variance, rule)
    half = 0.5 / len(case.coming.chances)
    return max(0.0, abs(case.observed - interval.mean) - half) / (Z80 * interval.deviation)
