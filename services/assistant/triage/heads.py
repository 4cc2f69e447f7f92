"""What a classifier answers, and the linear head that turns features into it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Numbers = NDArray[np.float32]


@dataclass(frozen=True)
class Reason:
    """A word or keyword that spoke for the answer; ``weight``: what it added to the label's score."""

    term: str
    weight: float
    keyword: bool


@dataclass(frozen=True)
class Guess:
    """``labels``: the answer, best first. ``confidence``: calibrated probability, 0..1, that the first one is right.
    ``probabilities``: of every label; they add up to 1 unless several labels may hold at once."""

    labels: tuple[str, ...]
    confidence: float
    probabilities: Mapping[str, float]
    why: tuple[Reason, ...]


@dataclass(frozen=True)
class Head:
    """One question (category or priority): a linear score per label, and what makes scores probabilities.

    ``weights``: labels x features. ``scale`` and ``shift``: probability = softmax(scale * score), or, where several
    labels may hold, sigmoid(scale * score + shift); labels from ``cut`` up are given. ``unsure_below``: confidence.
    ``shares``: of the training texts that have each label, which is all that is known of a text in unknown words.
    """

    labels: tuple[str, ...]
    weights: Numbers
    bias: Numbers
    scale: float
    shift: float
    unsure_below: float
    multiple: bool = False
    cut: float = 0.5
    shares: tuple[float, ...] = ()


def probabilities_of(scores: Numbers, head: Head) -> Numbers:
    """``scores``: texts x labels. Temperature-scaled softmax, or Platt's sigmoid where several labels may hold.

    Source: Guo et al. 2017, On Calibration of Modern Neural Networks; Platt 1999.
    """
    import numpy as np

    if head.multiple:
        found: Numbers = 1 / (1 + np.exp(-np.clip(head.scale * scores + head.shift, -30, 30)))
        return found
    scaled = head.scale * (scores - scores.max(axis=1, keepdims=True))
    exponents = np.exp(scaled)
    normalised: Numbers = exponents / exponents.sum(axis=1, keepdims=True)
    return normalised


def by_share(values: Iterable[float], share: float) -> float:
    """The value below which ``share`` (0..1) of ``values`` lie."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]
