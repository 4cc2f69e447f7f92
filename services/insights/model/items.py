"""Item easiness from graded answers: a penalised 1PL fit with skill effects as the items' prior means.

logit P(correct) = b0 + ability(learner) + mean of skill effects + item effect, each with a Gaussian
prior (ridge). Source: 1PL with random persons, De Boeck and Wilson, Explanatory item response models (2004);
the explanatory part is their LLTM with error.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from services.insights.model.state import Item

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

SWEEPS = 25
LEARNER_PRECISION, SKILL_PRECISION, ITEM_PRECISION = 1.2, 2.0, 1.5


@dataclass(slots=True)
class ItemBank:
    """Fitted easiness. ``base``: logit of the average item; an item never seen gets its skills' effect.
    ``skill_peers``, ``usual_peer``, ``usual_place``: what is usual of the company that items keep."""

    base: float
    skills: dict[str, float]
    items: dict[str, Item]
    skill_peers: dict[str, float] = field(default_factory=dict)
    usual_peer: float = 0.0
    usual_place: float = 0.0

    def get(self, item_id: str, skills: tuple[str, ...]) -> Item:
        known = self.items.get(item_id)
        return known if known is not None else self.unseen(item_id, skills)

    def unseen(self, item_id: str, skills: tuple[str, ...]) -> Item:
        guess = self.base + sum(self.skills.get(name, 0.0) for name in skills) / max(len(skills), 1)
        peer = self.skill_peer(skills)
        known = (item_id, guess, 1 / ITEM_PRECISION, 0.0, skills, guess)
        return Item(*known, peer=peer, skill_peer=peer, place=self.usual_place)

    def skill_peer(self, skills: tuple[str, ...]) -> float:
        """Mean ability of those who practise ``skills``."""
        if not skills:
            return self.usual_peer
        return sum(self.skill_peers.get(name, self.usual_peer) for name in skills) / len(skills)


@dataclass(slots=True)
class Answers:
    """Columns of graded answers: learner, item and outcome per row, and the skills of each item."""

    learners: Sequence[str]
    items: Sequence[str]
    correct: Sequence[int]
    skills: Mapping[str, tuple[str, ...]]


def fit_items(answers: Answers) -> ItemBank:
    """Block coordinate Newton steps; ``SWEEPS`` of them leave changes below .001 logit."""
    import numpy as np

    learner_ids, learner = np.unique(np.asarray(answers.learners, dtype=object).astype(str), return_inverse=True)
    item_ids, item = np.unique(np.asarray(answers.items, dtype=object).astype(str), return_inverse=True)
    y = np.asarray(answers.correct, dtype=float)
    member, names = memberships([answers.skills.get(str(name), ()) for name in item_ids])
    rate = min(max(float(y.mean()) if len(y) else 0.5, 0.01), 0.99)
    base = float(np.log(rate / (1 - rate)))
    ability, effect = np.zeros(len(learner_ids)), np.zeros(len(item_ids))
    skill = np.zeros(len(names))
    for _ in range(SWEEPS):
        for part in ("item", "learner", "skill", "base"):
            p = 1 / (1 + np.exp(-(base + ability[learner] + effect[item] + (member @ skill)[item])))
            gap, weight = y - p, p * (1 - p)
            if part == "item":
                effect += _step(item, gap, weight, effect, ITEM_PRECISION)
            elif part == "learner":
                ability += _step(learner, gap, weight, ability, LEARNER_PRECISION)
            elif part == "skill":
                per_item = np.bincount(item, gap, len(item_ids)), np.bincount(item, weight, len(item_ids))
                gradient = member.T @ per_item[0] - SKILL_PRECISION * skill
                # The row sums bound the Hessian, so overlapping skills cannot overshoot.
                skill += gradient / (member.T @ per_item[1] + SKILL_PRECISION)
            else:
                base += float(gap.sum() / max(weight.sum(), 1e-9))
    p = 1 / (1 + np.exp(-(base + ability[learner] + effect[item] + (member @ skill)[item])))
    information = np.bincount(item, p * (1 - p), len(item_ids))
    counts = np.bincount(item, minlength=len(item_ids))
    prior = base + member @ skill
    bank = {
        str(name): Item(
            str(name),
            float(prior[i] + effect[i]),
            float(1 / (information[i] + ITEM_PRECISION)),
            float(counts[i]),
            answers.skills.get(str(name), ()),
            float(prior[i]),
        )
        for i, name in enumerate(item_ids)
    }
    return ItemBank(base, {str(name): float(skill[i]) for i, name in enumerate(names)}, bank)


def _step(
    index: NDArray[np.intp],
    gap: NDArray[np.float64],
    weight: NDArray[np.float64],
    current: NDArray[np.float64],
    precision: float,
) -> NDArray[np.float64]:
    import numpy as np

    size = len(current)
    gradient = np.bincount(index, gap, size) - precision * current
    step: NDArray[np.float64] = gradient / (np.bincount(index, weight, size) + precision)
    return step


def memberships(skill_sets: Sequence[tuple[str, ...]]) -> tuple[Any, list[str]]:
    """Sparse matrix of sets x skills, each row summing to one (or zero for an empty set), and the skills' names."""
    from scipy.sparse import csr_matrix

    names = sorted({name for tags in skill_sets for name in tags})
    position = {name: i for i, name in enumerate(names)}
    rows, columns, values = [], [], []
    for row, tags in enumerate(skill_sets):
        for name in tags:
            rows.append(row)
            columns.append(position[name])
            values.append(1 / len(tags))
    return csr_matrix((values, (rows, columns)), shape=(len(skill_sets), len(names))), names
