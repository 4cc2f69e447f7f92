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
    ``sure_slope`` and ``sure_intercept``: of the logistic curve from the ``evidence`` for the first answer to how often
    it is right.
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
    sure_slope: float = 1.0
    sure_intercept: float = 0.0


def evidence(scores: Numbers, multiple: bool) -> Numbers:
    """For the first answer of each text (``scores``: texts x labels): its lead over the second one, or, where several
    labels may hold or there is one only, its own score."""
    import numpy as np

    if multiple or scores.shape[1] < 2:
        own: Numbers = scores.max(axis=1)
        return own
    second, first = np.partition(scores, -2, axis=1)[:, -2:].T
    lead: Numbers = first - second
    return lead


def probabilities_of(scores: Numbers, head: Head) -> Numbers:
    """``scores``: texts x labels. The first answer's probability is calibrated by itself, as it is what people and
    routing go by; the other labels share the rest in the proportions of a temperature-scaled softmax, or have Platt's
    sigmoid where several may hold.

    Source: Gupta and Ramdas 2022, Top-label calibration and multiclass-to-binary reductions; Guo et al. 2017, On
    calibration of modern neural networks; Platt 1999.
    """
    import numpy as np

    rows, first = np.arange(len(scores)), scores.argmax(axis=1)
    sure = _sigmoid(head.sure_slope * evidence(scores, head.multiple) + head.sure_intercept)
    if head.multiple:
        found = _sigmoid(head.scale * scores + head.shift)
        found[rows, first] = 0.0
        found[rows, first] = np.maximum(sure, found.max(axis=1))
        return found
    if scores.shape[1] < 2:
        return np.ones_like(scores)
    exponents: Numbers = np.exp(head.scale * (scores - scores.max(axis=1, keepdims=True)))
    exponents[rows, first] = 0.0
    others = exponents / exponents.sum(axis=1, keepdims=True)
    # The first answer stays the most probable one.
    second = others.max(axis=1)
    sure = np.maximum(sure, second / (1 + second))
    shared: Numbers = others * (1 - sure)[:, None]
    shared[rows, first] = np.maximum(sure, shared.max(axis=1))  # what rounding may take from it
    return shared


def _sigmoid(values: Numbers) -> Numbers:
    import numpy as np

    found: Numbers = np.asarray(1 / (1 + np.exp(-np.clip(values, -30, 30))), dtype=values.dtype)
    return found


def by_share(values: Iterable[float], share: float) -> float:
    """The value below which ``share`` (0..1) of ``values`` lie."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]
