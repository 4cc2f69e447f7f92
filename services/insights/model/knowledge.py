"""The fitted model: what a refit produces, an artefact carries, and every prediction uses."""

from __future__ import annotations

import math
import operator
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from services.insights.model.features import FEATURES, features
from services.insights.model.items import ItemBank
from services.insights.model.networks import Networks
from services.insights.model.score import Coming, ScoreRule
from services.insights.model.state import Item, LearnerState, sigmoid
from services.insights.model.trees import Trees

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


SLOPED = ("ability", "skill_correct", "skill_wrong", "skill_residual", "answered")
"""The features whose weight differs from skill to skill."""
SLOPED_COLUMNS = tuple(FEATURES.index(name) for name in SLOPED)
ANSWERED = FEATURES.index("answered")
FADING = 5.0
"""Answers after which what only holds at the beginning has faded to 1/e."""


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
    """The calibrated logit: an intercept and the parts' logits, each times its weight, fitted on held-out learners.
    ``settled``: intercept and weights of the linear part, trees and networks, where there are any. ``early``: what a
    learner without answers adds to each; it fades by the factor e with every ``FADING`` answers, since what to go by
    before anything is known of a learner is not what to go by later.

    Source: D. H. Wolpert, Stacked generalization (1992); with one part it is Platt's sigmoid (1999)."""

    settled: list[float] = field(default_factory=lambda: [0.0, 1.0])
    early: list[float] = field(default_factory=lambda: [0.0, 0.0])

    def logit(self, parts: Sequence[float], log_answered: float) -> float:
        """``parts``: logits in that order. ``log_answered``: the feature of this name."""
        fade = math.exp(-math.expm1(log_answered) / FADING)
        total = self.settled[0] + fade * self.early[0]
        for part, settled, early in zip(parts, self.settled[1:], self.early[1:], strict=True):
            total += (settled + fade * early) * part
        return total

    def logits(self, parts: NDArray[np.float64], log_answered: NDArray[np.float64]) -> NDArray[np.float64]:
        """``parts``: one row per prediction, one column per part."""
        import numpy as np

        fade = np.exp(-np.expm1(log_answered) / FADING)[:, None]
        weights = np.array(self.settled) + fade * np.array(self.early)
        total: NDArray[np.float64] = weights[:, 0] + np.einsum("ij,ij->i", weights[:, 1:], parts)
        return total


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

    def coming(self, state: LearnerState, items: Sequence[tuple[Item, float]]) -> Coming:
        """What a score over ``items``, each with the time of its answer (0: unknown), is made from."""
        import numpy as np

        matrix = np.array([features(state, item, at) for item, at in items])
        skill_sets = [item.skills for item, _ in items]
        return Coming(matrix, self.of_matrix(matrix, self.linear.slopes(skill_sets), skill_sets))

    def of_vector(self, vector: Sequence[float], skills: tuple[str, ...]) -> float:
        parts = [self.linear.logit(vector, skills)]
        if self.trees is not None:
            parts.append(self.trees.logit(vector))
        if self.networks is not None:
            parts.append(self.networks.logit(vector, skills))
        return sigmoid(self.blend.logit(parts, vector[ANSWERED]))

    def of_matrix(
        self,
        matrix: NDArray[np.float64],
        slopes: NDArray[np.float64],
        skill_sets: Sequence[tuple[str, ...]],
    ) -> NDArray[np.float64]:
        """One probability per row. ``slopes``: ``linear.slopes`` of the rows' skills, which are ``skill_sets``."""
        import numpy as np

        parts = [self.linear.logits(matrix, slopes)]
        if self.trees is not None:
            parts.append(self.trees.logits(matrix))
        if self.networks is not None:
            parts.append(self.networks.logits(matrix, skill_sets))
        return chances(self.blend.logits(np.column_stack(parts), matrix[:, ANSWERED]))

    def quick(self, matrix: NDArray[np.float64], slopes: NDArray[np.float64]) -> NDArray[np.float64]:
        """``of_matrix`` with the linear part in the place of all: for choosing whom to ask the others about."""
        import numpy as np

        linear = self.linear.logits(matrix, slopes)
        parts = np.tile(linear[:, None], (1, len(self.blend.settled) - 1))
        return chances(self.blend.logits(parts, matrix[:, ANSWERED]))


def chances(logits: NDArray[np.float64]) -> NDArray[np.float64]:
    import numpy as np

    result: NDArray[np.float64] = 1 / (1 + np.exp(-logits))
    return result


def untrained() -> Knowledge:
    """What serves before anything was learnt: the belief's own logit, every item average."""
    weights = [1.0 if name == "shrunk_logit" else 0.0 for name in FEATURES]
    return Knowledge(ItemBank(0.5, {}, {}), Linear(0.0, weights), None, None, Blend(), ScoreRule())
