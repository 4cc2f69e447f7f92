"""The fitted model: what a refit produces, an artefact carries, and every prediction uses."""

from __future__ import annotations

import operator
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from services.insights.model.features import FEATURES, features
from services.insights.model.items import ItemBank
from services.insights.model.state import Item, LearnerState, sigmoid
from services.insights.model.trees import Trees

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


@dataclass(slots=True)
class Linear:
    """A logistic regression on standardised features; ``weights`` already hold the scaling."""

    intercept: float
    weights: list[float]

    def logit(self, vector: Sequence[float]) -> float:
        return self.intercept + float(sum(map(operator.mul, self.weights, vector)))

    def logits(self, matrix: NDArray[np.float64]) -> NDArray[np.float64]:
        import numpy as np

        # Not BLAS: its threads wake for products this small and then contend with everything else.
        total: NDArray[np.float64] = self.intercept + np.einsum("ij,j->i", matrix, np.array(self.weights))
        return total

    def terms(self, vector: Sequence[float]) -> dict[str, float]:
        """What each feature adds to the logit; they and the intercept sum to it."""
        return {name: weight * value for name, weight, value in zip(FEATURES, self.weights, vector, strict=True)}


@dataclass(slots=True)
class Calibration:
    """Platt's sigmoid on the blended logit.

    Source: J. Platt, Probabilistic outputs for support vector machines (1999)."""

    slope: float = 1.0
    offset: float = 0.0


@dataclass(slots=True)
class ScoreRule:
    """From chances on single items to a score over several: intercept + ``chance`` * their mean + ``belief`` *
    the mean of what ability alone leads to expect. Recent form helps with the next answer and misleads about the
    next twenty; the weights, fitted on held-out learners, say how much. ``factor`` widens or narrows the deviation so
    that 80 % intervals cover 80 % of them."""

    factor: float = 1.1
    intercept: float = 0.0
    chance: float = 0.5
    belief: float = 0.5

    def mean(self, chance: float, belief: float) -> float:
        return self.intercept + self.chance * chance + self.belief * belief


@dataclass(slots=True)
class Knowledge:
    """``tree_share``: of the boosted trees' logit in the blend, the rest is the linear part's."""

    bank: ItemBank
    linear: Linear
    trees: Trees | None
    tree_share: float
    calibration: Calibration
    score_rule: ScoreRule

    def probability(self, state: LearnerState, item: Item, at: float = 0.0) -> float:
        """Of a correct answer of this learner to this item now, calibrated, in (0, 1)."""
        return self.of_vector(features(state, item, at))

    def of_vector(self, vector: Sequence[float]) -> float:
        logit = self.linear.logit(vector)
        if self.trees is not None and self.tree_share:
            logit += self.tree_share * (self.trees.logit(vector) - logit)
        return sigmoid(self.calibration.slope * logit + self.calibration.offset)

    def of_matrix(self, matrix: NDArray[np.float64], *, quick: bool = False) -> NDArray[np.float64]:
        """One probability per row. ``quick``: by the linear part alone, for choosing whom to ask the trees about."""
        import numpy as np

        logit = self.linear.logits(matrix)
        if not quick and self.trees is not None and self.tree_share:
            logit = logit + self.tree_share * (self.trees.logits(matrix) - logit)
        result: NDArray[np.float64] = 1 / (1 + np.exp(-(self.calibration.slope * logit + self.calibration.offset)))
        return result


def untrained() -> Knowledge:
    """What serves before anything was learnt: the belief's own logit, every item average."""
    weights = [1.0 if name == "shrunk_logit" else 0.0 for name in FEATURES]
    return Knowledge(ItemBank(0.5, {}, {}), Linear(0.0, weights), None, 0.0, Calibration(), ScoreRule())
