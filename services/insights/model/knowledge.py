"""The fitted model: what a refit produces, an artefact carries, and every prediction uses."""

from __future__ import annotations

import operator
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from services.insights.model.features import FEATURES, features
from services.insights.model.items import ItemBank
from services.insights.model.networks import Networks
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
class Blend:
    """The calibrated logit: intercept + the parts' logits, each times its weight, fitted on held-out learners.

    Source: D. H. Wolpert, Stacked generalization (1992); with one part it is Platt's sigmoid (1999)."""

    intercept: float = 0.0
    linear: float = 1.0
    trees: float = 0.0
    networks: float = 0.0


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
    """``trees`` and ``networks`` are None where there was too little to fit them on."""

    bank: ItemBank
    linear: Linear
    trees: Trees | None
    networks: Networks | None
    blend: Blend
    score_rule: ScoreRule

    def probability(self, state: LearnerState, item: Item, at: float = 0.0) -> float:
        """Of a correct answer of this learner to this item now, calibrated, in (0, 1)."""
        return self.of_vector(features(state, item, at), item.skills)

    def of_vector(self, vector: Sequence[float], skills: tuple[str, ...]) -> float:
        blend = self.blend
        logit = blend.intercept + blend.linear * self.linear.logit(vector, skills)
        if self.trees is not None:
            logit += blend.trees * self.trees.logit(vector)
        if self.networks is not None:
            logit += blend.networks * self.networks.logit(vector, skills)
        return sigmoid(logit)

    def of_matrix(
        self,
        matrix: NDArray[np.float64],
        slopes: NDArray[np.float64],
        skill_sets: Sequence[tuple[str, ...]],
    ) -> NDArray[np.float64]:
        """One probability per row. ``slopes``: ``linear.slopes`` of the rows' skills, which are ``skill_sets``."""
        blend = self.blend
        logit = blend.intercept + blend.linear * self.linear.logits(matrix, slopes)
        if self.trees is not None:
            logit = logit + blend.trees * self.trees.logits(matrix)
        if self.networks is not None:
            logit = logit + blend.networks * self.networks.logits(matrix, skill_sets)
        return _chances(logit)

    def quick(self, matrix: NDArray[np.float64], slopes: NDArray[np.float64]) -> NDArray[np.float64]:
        """``of_matrix`` with the linear part in the place of all: for choosing whom to ask the others about."""
        blend = self.blend
        whole = blend.linear + blend.trees + blend.networks
        return _chances(blend.intercept + whole * self.linear.logits(matrix, slopes))


def _chances(logits: NDArray[np.float64]) -> NDArray[np.float64]:
    import numpy as np

    result: NDArray[np.float64] = 1 / (1 + np.exp(-logits))
    return result


def untrained() -> Knowledge:
    """What serves before anything was learnt: the belief's own logit, every item average."""
    weights = [1.0 if name == "shrunk_logit" else 0.0 for name in FEATURES]
    return Knowledge(ItemBank(0.5, {}, {}), Linear(0.0, weights), None, None, Blend(), ScoreRule())
