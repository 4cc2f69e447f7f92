"""The score to expect on several answers, its interval, and the additive factors behind it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from services.insights.model.knowledge import Knowledge, Spread
from services.insights.model.state import ABILITY_DRIFT, LearnerState

Z80 = 1.2815515655446004
"""Of the standard normal distribution's central 80 %."""


@dataclass(frozen=True, slots=True)
class Score:
    """Share of correct answers, 0..1, with an 80 % interval."""

    mean: float
    low: float
    high: float
    deviation: float


def score(probabilities: Sequence[float], state: LearnerState, spread: Spread, answers: int | None = None) -> Score:
    """The mean of ``answers`` answers (default: one per probability).

    The variance adds that of the answers themselves to that of the ability they share (delta method): naive
    binomial intervals leave the second out and are too narrow.

    Raises:
        ValueError: no probabilities.
    """
    if not probabilities:
        raise ValueError("a score needs at least one item")
    size = len(probabilities)
    count = answers or size
    mean = sum(probabilities) / size
    slope = sum(p * (1 - p) for p in probabilities) / size
    ability = state.variance + ABILITY_DRIFT * count
    variance = slope / count + spread.ability * slope * slope * ability
    deviation = spread.factor * math.sqrt(variance)
    return Score(mean, max(0.0, mean - Z80 * deviation), min(1.0, mean + Z80 * deviation), deviation)


def covers(interval: Score, observed: float, answers: int) -> bool:
    """Whether the interval holds a share of ``answers``: a share stands for half a step around it."""
    half = 0.5 / answers
    return interval.low - half <= observed <= interval.high + half


def fitted_spread(knowledge: Knowledge, cases: Sequence[tuple[Sequence[float], LearnerState, float]]) -> Spread:
    """The factor that makes 80 % intervals cover 80 % of ``cases``: (probabilities, state before, observed share).

    With fewer than 40 cases there is nothing to learn: the theory's own width stands.
    """
    if len(cases) < 40:
        return Spread(knowledge.spread.ability, 1.1)
    needed = []
    for probabilities, state, observed in cases:
        plain = score(probabilities, state, Spread(knowledge.spread.ability, 1.0))
        half = 0.5 / len(probabilities)
        needed.append(max(0.0, abs(observed - plain.mean) - half) / (Z80 * plain.deviation))
    needed.sort()
    return Spread(knowledge.spread.ability, max(0.5, needed[math.ceil(0.8 * len(needed)) - 1]))
