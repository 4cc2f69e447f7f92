"""All items at once: the features of ``features.py`` as one matrix per learner, in numpy."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from services.insights.model.features import (
    FEATURES,
    ITEM_FEATURES,
    LEARNER_FEATURES,
    NEVER,
    SKILL_FEATURES,
    UNPRACTISED,
    item_features,
    learner_features,
    skill_features,
)
from services.insights.model.knowledge import Linear
from services.insights.model.state import PROBIT, SKILL_VARIANCE, Item, LearnerState

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_COLUMN = {name: column for column, name in enumerate(FEATURES)}
_ITEM, _LEARNER, _SKILL = (
    slice(_COLUMN[names[0]], _COLUMN[names[-1]] + 1) for names in (ITEM_FEATURES, LEARNER_FEATURES, SKILL_FEATURES)
)


@dataclass(slots=True)
class ItemTable:
    """``skill_of`` and ``item_of`` list the memberships, ordered by item; ``share``: one over the item's skills;
    ``same``: the items that train exactly these skills; ``after``: per item answered, the rows of those that follow it
    and their links; ``slopes``: of the linear part, for every row's skills."""

    items: Sequence[Item]
    skills: dict[str, int]
    rows: dict[str, int]
    constant: NDArray[np.float64]
    skill_of: NDArray[np.intp]
    item_of: NDArray[np.intp]
    share: NDArray[np.float64]
    same: dict[tuple[str, ...], list[int]]
    after: dict[str, tuple[list[int], NDArray[np.float64]]]
    slopes: NDArray[np.float64]

    @classmethod
    def of(cls, items: Sequence[Item], linear: Linear) -> ItemTable:
        import numpy as np

        skills: dict[str, int] = {}
        same: dict[tuple[str, ...], list[int]] = {}
        skill_of, item_of, share = [], [], []
        after: dict[str, list[tuple[int, tuple[float, float]]]] = {}
        constant = np.zeros((len(items), len(ITEM_FEATURES)))
        for row, item in enumerate(items):
            if item.skills:
                same.setdefault(item.skills, []).append(row)
            constant[row] = item_features(item)
            for earlier, link in item.after.items():
                after.setdefault(earlier, []).append((row, link))
            for name in item.skills:
                skill_of.append(skills.setdefault(name, len(skills)))
                item_of.append(row)
                share.append(1 / len(item.skills))
        return cls(
            items,
            skills,
            {item.id: row for row, item in enumerate(items)},
            constant,
            np.array(skill_of, dtype=np.intp),
            np.array(item_of, dtype=np.intp),
            np.array(share),
            same,
            {name: ([row for row, _ in links], np.array([link for _, link in links])) for name, links in after.items()},
            linear.slopes([item.skills for item in items]),
        )

    def matrix(self, state: LearnerState, at: float = 0.0) -> NDArray[np.float64]:
        """One row of ``FEATURES`` per item, equal to ``features(state, item, at)``."""
        import numpy as np

        x = np.zeros((len(self.items), len(FEATURES)))
        x[:, _ITEM] = self.constant
        x[:, _LEARNER] = learner_features(state, at)
        belief = self._skill_columns(x, state)
        logit = x[:, _COLUMN["easiness"]] + state.mean + x[:, _COLUMN["skill_ability"]]
        x[:, _COLUMN["logit"]] = logit
        variance = state.variance + x[:, _COLUMN["easiness_variance"]] + belief
        x[:, _COLUMN["shrunk_logit"]] = logit / np.sqrt(1 + PROBIT * variance)
        x[:, _COLUMN["item_age"]] = NEVER
        self._history_columns(x, state)
        self._company_columns(x, state)
        return x

    def _skill_columns(self, x: NDArray[np.float64], state: LearnerState) -> NDArray[np.float64]:
        """Fill what depends on skills; returns the variance that they add to the belief."""
        import numpy as np

        size = len(self.items)
        per_skill = np.tile(UNPRACTISED, (len(self.skills), 1))
        variances = np.full(len(self.skills), SKILL_VARIANCE)
        for name, skill in state.skills.items():
            column = self.skills.get(name)
            if column is not None:
                variances[column] = skill.variance
                per_skill[column] = skill_features(state, skill)
        for position, name in enumerate(SKILL_FEATURES):
            weights = per_skill[self.skill_of, position] * self.share
            x[:, _COLUMN[name]] = np.bincount(self.item_of, weights, size)
        least = np.full(size, np.inf)
        np.minimum.at(least, self.item_of, per_skill[self.skill_of, 0])
        x[:, _COLUMN["skill_ability_least"]] = np.where(np.isinf(least), 0.0, least)
        bare = np.bincount(self.item_of, minlength=size) == 0
        x[bare, _SKILL] = UNPRACTISED
        added: NDArray[np.float64] = np.bincount(self.item_of, variances[self.skill_of] * self.share**2, size).astype(
            float
        )
        return added

    def _company_columns(self, x: NDArray[np.float64], state: LearnerState) -> None:
        import numpy as np

        peer = x[:, _COLUMN["peer"]]
        x[:, _COLUMN["peer_gap"]] = peer - state.mean if state.answered else 0.0
        x[:, _COLUMN["peers"]] = (state.peers + peer) / (state.answered + 1)
        x[:, _COLUMN["place_gap"]] = x[:, _COLUMN["place"]] - math.log1p(state.answered)
        weight = _COLUMN["carried_weight"]
        for name, residual in state.recent:
            if name in self.after:
                rows, links = self.after[name]
                x[rows, _COLUMN["carried"]] += residual * links[:, 0]
                x[rows, weight] += links[:, 1]
        x[:, weight] = np.log1p(x[:, weight])

    def _history_columns(self, x: NDArray[np.float64], state: LearnerState) -> None:
        for name, tried in state.items.items():
            row = self.rows.get(name)
            if row is None:
                continue
            x[row, _COLUMN["item_correct"]] = math.log1p(tried.correct)
            x[row, _COLUMN["item_wrong"]] = math.log1p(tried.wrong)
            x[row, _COLUMN["item_last"]] = 1.0 if tried.last_correct else -1.0
            x[row, _COLUMN["item_seen"]] = 1.0
            x[row, _COLUMN["item_age"]] = math.log1p(state.answered - tried.position)
        x[self.same.get(state.last_skills, []), _COLUMN["same_skill"]] = 1.0
