"""The three parts of a fitted model, learnt from the same features: a linear one, boosted trees, small networks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from services.insights.model.features import FEATURES
from services.insights.model.items import memberships
from services.insights.model.knowledge import ANSWERED, FADING, SLOPED_COLUMNS, Blend, Linear
from services.insights.model.networks import Networks
from services.insights.model.training import trained
from services.insights.model.trees import Trees, exported

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

LEAST_FOR_ALL = 5_000
"""Answers below which trees and networks learn noise; the linear part stands alone."""
ANCHOR_SCALE = 10.0
"""The belief's own logit is penalised this much less (in weight) than what corrects it."""
RIDGE = 0.001
SLOPE_SCALE = 4.0
"""Likewise, in weight, of what differs from skill to skill."""

BLEND_RIDGE = 1.0
"""Inverse strength: the parts agree so much that weights without any penalty would be large and opposed."""


@dataclass(frozen=True, slots=True)
class Rows:
    """One per answer: features, outcome, and the skills of the item."""

    x: NDArray[np.float64]
    y: NDArray[np.float64]
    skills: list[tuple[str, ...]]


@dataclass(frozen=True, slots=True)
class Parts:
    linear: Linear
    trees: Trees | None
    networks: Networks | None

    def logits(self, x: NDArray[np.float64], skills: Sequence[tuple[str, ...]]) -> NDArray[np.float64]:
        """One row per row of ``x``, one column per part there is, in the order of ``Blend``."""
        import numpy as np

        columns = [self.linear.logits(x, self.linear.slopes(skills))]
        if self.trees is not None:
            columns.append(self.trees.logits(x))
        if self.networks is not None:
            columns.append(self.networks.logits(x, skills))
        return np.column_stack(columns)


def learnt(rows: Rows, seed: int, *, every: bool, networks: int) -> Parts:
    """``every``: not the linear part alone. ``networks``: how many of them."""
    linear = _linear(rows.x, rows.y, rows.skills)
    if not every:
        return Parts(linear, None, None)
    trees = exported(_booster(rows.x, rows.y, seed), rows.x[:500])
    return Parts(linear, trees, trained(rows.x, rows.y, rows.skills, seed, networks))


def blended(logits: NDArray[np.float64], rows: Rows) -> Blend:
    """Logistic regression on the ``logits`` of parts that did not see ``rows``."""
    import numpy as np
    from sklearn.linear_model import LogisticRegression

    fade = np.exp(-np.expm1(rows.x[:, ANSWERED]) / FADING)[:, None]
    model = LogisticRegression(C=BLEND_RIDGE, max_iter=1000).fit(np.hstack([logits, fade, fade * logits]), rows.y)
    weights = model.coef_[0].tolist()
    size = logits.shape[1]
    return Blend([float(model.intercept_[0]), *weights[:size]], weights[size:])


def _linear(x: NDArray[np.float64], y: NDArray[np.float64], skills: Sequence[tuple[str, ...]]) -> Linear:
    """Ridge logistic regression on the standardised features, and on ``SLOPED`` and one once per skill."""
    import numpy as np
    from scipy.sparse import csr_matrix, hstack
    from sklearn.linear_model import LogisticRegression

    mean, deviation = x.mean(axis=0), x.std(axis=0)
    scale = np.where(deviation > 1e-9, 1 / np.maximum(deviation, 1e-9), 0.0)
    scale[FEATURES.index("shrunk_logit")] *= ANCHOR_SCALE
    standard = (x - mean) * scale
    sloped = np.hstack([np.ones((len(x), 1)), standard[:, SLOPED_COLUMNS]])
    member, names = memberships(skills)
    per_skill = [member.multiply(SLOPE_SCALE * sloped[:, [column]]) for column in range(sloped.shape[1])]
    model = LogisticRegression(C=RIDGE, max_iter=1000).fit(hstack([csr_matrix(standard), *per_skill]).tocsr(), y)
    weights = model.coef_[0, : len(mean)] * scale
    own = SLOPE_SCALE * model.coef_[0, len(mean) :].reshape(sloped.shape[1], len(names))
    own[1:] *= scale[list(SLOPED_COLUMNS), None]
    own[0] -= mean[list(SLOPED_COLUMNS)] @ own[1:]
    return Linear(
        float(model.intercept_[0] - weights @ mean), weights.tolist(), dict(zip(names, own.T.tolist(), strict=True))
    )


def _booster(x: NDArray[np.float64], y: NDArray[np.float64], seed: int) -> Any:
    from sklearn.ensemble import HistGradientBoostingClassifier

    return HistGradientBoostingClassifier(
        max_iter=180,
        learning_rate=0.045,
        max_leaf_nodes=24,
        max_depth=6,
        min_samples_leaf=80,
        max_features=0.4,
        l2_regularization=5.0,
        early_stopping=False,
        random_state=seed,
    ).fit(x, y)
