"""The fitted model: what a refit produces, an artefact carries, and every prediction uses."""

from __future__ import annotations

import operator
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from services.insights.model.features import FEATURES, features
from services.insights.model.items import ItemBank
from services.insights.model.state import Item, LearnerState, sigmoid
from services.insights.model.trees import Trees

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


SLOPED = ("ability", "skill_correct", "skill_wrong", "skill_residual", "answered")
"""The features whose weight differs from skill to skill."""
SLOPED_COLUMNS = tuple(FEATURES.index(name) for name in SLOPED)


@dataclass(slots=True)
class Linear:
    """A logistic regression on standardised features; ``weights`` already hold the scaling. ``skills``: what each
    skill adds to the intercept and to the weights of ``SLOPED``; an item gets the mean over its skills."""

    intercept: float
    weights: list[float]
    skills: dict[str, list[float]] = field(default_factory=dict)

    def logit(self, vector: Sequence[float], skills: Sequence[str]) -> float:
        total = self.intercept + float(sum(map(operator.mul, self.weights, vector)))
        if skills and self.skills:
            sloped = (1.0, *(vector[column] for column in SLOPED_COLUMNS))
            share = 1 / len(skills)
            for name in skills:
                own = self.skills.get(name)
                if own is not None:
                    total += share * sum(map(operator.mul, own, sloped))
        return total

    def slopes(self, skill_sets: Sequence[Sequence[str]]) -> NDArray[np.float64]:
        """One row per set of skills: what they add to the intercept and to the weights of ``SLOPED``."""
        import numpy as np

        rows = np.zeros((len(skill_sets), 1 + len(SLOPED)))
        for row, skills in zip(rows, skill_sets, strict=True):
            for name in skills:
                if name in self.skills:
                    row += np.array(self.skills[name]) / len(skills)
        return rows

    def logits(self, matrix: NDArray[np.float64], slopes: NDArray[np.float64]) -> NDArray[np.float64]:
        """``slopes``: of each row's skills, see above."""
        import numpy as np

        # Not BLAS: its threads wake for products this small and then contend with everything else.
        total: NDArray[np.float64] = self.intercept + np.einsum("ij,j->i", matrix, np.array(self.weights))
        total += slopes[:, 0] + np.einsum("ij,ij->i", slopes[:, 1:], matrix[:, SLOPED_COLUMNS])
        return total


@dataclass(slots=True)
class Calibration:
    """Platt's sigmoid on the blended logit.

    Source: J. Platt, Probabilistic outputs for support vector machines (1999)."""

    slope: float = 1.0
    offset: float = 0.0


@dataclass(slots=True)
class ScoreRule:
    """From chances on single items to a score over several: intercept + ``chance`` * their mean + ``belief`` *
    the mean of what ability alone leads to expect + ``peers`` and ``peer`` * the mean ability of those who took the
    learner's items and the coming ones. Recent form helps with the next answer and misleads about the next twenty;
    the weights, fitted on held-out learners, say how much. ``factor`` widens or narrows the deviation so that 80 %
    intervals cover 80 % of them."""

    factor: float = 1.1
    intercept: float = 0.0
    chance: float = 0.5
    belief: float = 0.5
    peers: float = 0.0
    peer: float = 0.0

    def mean(self, chance: float, belief: float, peers: float, peer: float) -> float:
        total = self.intercept + self.chance * chance + self.belief * belief + self.peers * peers + self.peer * peer
        return min(max(total, 0.0), 1.0)


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
        return self.of_vector(features(state, item, at), item.skills)

    def of_vector(self, vector: Sequence[float], skills: Sequence[str]) -> float:
        logit = self.linear.logit(vector, skills)
        if self.trees is not None and self.tree_share:
            logit += self.tree_share * (self.trees.logit(vector) - logit)
        return sigmoid(self.calibration.slope * logit + self.calibration.offset)

    def of_matrix(
        self, matrix: NDArray[np.float64], slopes: NDArray[np.float64], *, quick: bool = False
    ) -> NDArray[np.float64]:
        """One probability per row. ``slopes``: ``linear.slopes`` of the rows' skills. ``quick``: by the linear part
        alone, for choosing whom to ask the trees about."""
        import numpy as np

        logit = self.linear.logits(matrix, slopes)
        if not quick and self.trees is not None and self.tree_share:
            logit = logit + self.tree_share * (self.trees.logits(matrix) - logit)
        result: NDArray[np.float64] = 1 / (1 + np.exp(-(self.calibration.slope * logit + self.calibration.offset)))
        return result


def untrained() -> Knowledge:
    """What serves before anything was learnt: the belief's own logit, every item average."""
    weights = [1.0 if name == "shrunk_logit" else 0.0 for name in FEATURES]
    return Knowledge(ItemBank(0.5, {}, {}), Linear(0.0, weights), None, 0.0, Calibration(), ScoreRule())
