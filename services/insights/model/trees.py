"""Boosted trees as flat arrays, evaluated without the library that grew them.

Serving needs neither scikit-learn nor its memory: one vector costs some microseconds in plain Python, many at
once go through numpy.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

CHUNK = 48
"""Rows at a time: their paths through all trees fit into the processor's cache."""


@dataclass(slots=True)
class Trees:
    """``baseline``: the logit before any tree. The other lists have one entry per node of all trees:
    ``feature`` -1 marks a leaf, whose ``value`` counts; otherwise values <= ``threshold`` go ``left``, the
    rest ``right``. ``roots``: where each tree begins."""

    baseline: float
    roots: list[int]
    feature: list[int]
    threshold: list[float]
    left: list[int]
    right: list[int]
    value: list[float]
    _arrays: Any = field(default=None, repr=False, compare=False)

    def check(self, width: int) -> None:
        """Raises ValueError: the arrays are not trees over vectors of ``width``: nodes must point forward."""
        size = len(self.feature)
        if any(len(part) != size for part in (self.threshold, self.left, self.right, self.value)):
            raise ValueError("the trees' arrays differ in length")
        if any(not 0 <= root < size for root in self.roots):
            raise ValueError("a tree begins outside the arrays")
        for node, feature in enumerate(self.feature):
            if feature >= width:
                raise ValueError(f"node {node} asks for feature {feature} of {width}")
            if feature >= 0 and not (node < self.left[node] < size and node < self.right[node] < size):
                raise ValueError(f"node {node} does not point forward")

    def logit(self, vector: Sequence[float]) -> float:
        total = self.baseline
        feature, threshold, left, right, value = self.feature, self.threshold, self.left, self.right, self.value
        for root in self.roots:
            node = root
            while (index := feature[node]) >= 0:
                node = left[node] if vector[index] <= threshold[node] else right[node]
            total += value[node]
        return total

    def logits(self, matrix: NDArray[np.float64]) -> NDArray[np.float64]:
        """One logit per row of ``matrix``."""
        import numpy as np

        if self._arrays is None:
            self._arrays = self._flattened()
        some = [self._some(matrix[start : start + CHUNK]) for start in range(0, len(matrix), CHUNK)]
        return np.concatenate(some) if some else np.empty(0)

    def _some(self, matrix: NDArray[np.float64]) -> NDArray[np.float64]:
        import numpy as np

        roots, feature, threshold, left, right, value, depth = self._arrays
        flat = np.ascontiguousarray(matrix).ravel()
        row = (np.arange(len(matrix), dtype=np.int32) * matrix.shape[1])[:, None]
        node = np.broadcast_to(roots, (len(matrix), len(roots)))
        for _ in range(depth):
            goes_left = flat.take(row + feature.take(node)) <= threshold.take(node)
            node = np.where(goes_left, left.take(node), right.take(node))
        total: NDArray[np.float64] = self.baseline + value.take(node).sum(axis=1)
        return total

    def _flattened(self) -> tuple[Any, ...]:
        """The lists as arrays in which a leaf leads to itself, and the depth after which every path has ended."""
        import numpy as np

        leaf = np.array(self.feature) < 0
        own = np.arange(len(leaf), dtype=np.int32)
        depths = np.zeros(len(leaf), dtype=np.int32)
        for node in range(len(leaf)):  # children come after their parent
            if not leaf[node]:
                depths[[self.left[node], self.right[node]]] = depths[node] + 1
        return (
            np.array(self.roots, dtype=np.int32),
            np.where(leaf, 0, np.array(self.feature)).astype(np.int32),
            np.array(self.threshold),
            np.where(leaf, own, np.array(self.left)).astype(np.int32),
            np.where(leaf, own, np.array(self.right)).astype(np.int32),
            np.array(self.value),
            int(depths.max(initial=0)),
        )


def exported(booster: Any, sample: NDArray[np.float64]) -> Trees:
    """The trees of a fitted ``HistGradientBoostingClassifier`` (two classes).

    Raises:
        RuntimeError: on ``sample`` they do not answer what the library answers: its internals have changed.
    """
    import numpy as np

    trees = Trees(float(booster._baseline_prediction.ravel()[0]), [], [], [], [], [], [])
    for (predictor,) in booster._predictors:
        start = len(trees.feature)
        trees.roots.append(start)
        for node in predictor.nodes:
            leaf = bool(node["is_leaf"])
            trees.feature.append(-1 if leaf else int(node["feature_idx"]))
            trees.threshold.append(0.0 if leaf else float(node["num_threshold"]))
            trees.left.append(0 if leaf else start + int(node["left"]))
            trees.right.append(0 if leaf else start + int(node["right"]))
            trees.value.append(float(node["value"]) if leaf else 0.0)
    if not np.allclose(trees.logits(sample), booster.decision_function(sample), atol=1e-9):
        raise RuntimeError("the exported trees differ from scikit-learn's: adapt services/insights/model/trees.py")
    return trees
