"""The three parts of a fitted model, learnt from the same features: a linear one, boosted trees, small networks."""

from __future__ import annotations

import math
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

LINEAR, TREES, NETWORKS = range(3)
"""The order of the parts' logits."""
WORTH = 0.0003
"""Log-loss that a part must take away: it costs every prediction some time. Of few answers, what two more weights
would take away by chance (G. Schwarz, Estimating the dimension of a model, 1978)."""
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

    def only(self, kept: Sequence[int]) -> Parts:
        return Parts(self.linear, self.trees if TREES in kept else None, self.networks if NETWORKS in kept else None)


def learnt(rows: Rows, seed: int, *, trees: bool, networks: int) -> Parts:
    """``networks``: how many of them."""
    return Parts(
        _linear(rows.x, rows.y, rows.skills),
        exported(_booster(rows.x, rows.y, seed), rows.x[:500]) if trees else None,
        trained(rows.x, rows.y, rows.skills, seed, networks) if networks else None,
    )


def blended(logits: NDArray[np.float64], rows: Rows) -> tuple[Blend, list[int]]:
    """Logistic regression on the ``logits`` of parts that did not see ``rows``; and which parts are worth their time:
    beside the linear one those with a weight above zero, without which the log-loss would be higher by ``WORTH``."""
    worth = max(WORTH, math.log(len(logits)) / len(logits))
    kept = list(range(logits.shape[1]))
    blend, loss = _regression(logits, rows)
    for part in kept[:0:-1]:
        others = [other for other in kept if other != part]
        without, higher = _regression(logits[:, others], rows)
        opposed = blend.settled[1 + kept.index(part)] <= 0  # it only takes back what another says too loudly
        if higher < loss + worth or opposed:
            blend, loss, kept = without, higher, others
    return blend, kept


def _regression(logits: NDArray[np.float64], rows: Rows) -> tuple[Blend, float]:
    """The blend and its log-loss."""
    import numpy as np
    from sklearn.linear_model import LogisticRegression
    from sklearn.metrics import log_loss

    fade = np.exp(-np.expm1(rows.x[:, ANSWERED]) / FADING)[:, None]
    inputs = np.hstack([logits, fade, fade * logits])
    model = LogisticRegression(C=BLEND_RIDGE, max_iter=1000).fit(inputs, rows.y)
    weights = model.coef_[0].tolist()
    size = logits.shape[1]
    blend = Blend([float(model.intercept_[0]), *weights[:size]], weights[size:])
    return blend, float(log_loss(rows.y, model.predict_proba(inputs)[:, 1]))


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
