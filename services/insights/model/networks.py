"""Small neural networks as plain numbers, evaluated without the library that trained them.

They see the features and which skills an item trains, so they learn for every skill what the trees and the linear
part know only of all skills together. Several that began at different random weights are averaged: a lasting part
of one network's error is its own (L. K. Hansen and P. Salamon, Neural network ensembles, 1990).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

TAG_SCALE = 2.0
"""Of a tag's input beside features of deviation one: weights of what is rarely seen are learnt faster."""
CHUNK = 64
"""Rows at a time: products larger than 2**18 multiplications wake OpenBLAS's threads, which then contend with
everything else."""
MOST_KINDS = 5_000
"""Sets of skills whose share of the first layer is kept ready: 5 MB."""
CLIP = 5.0


@dataclass(slots=True)
class Networks:
    """S networks of layers H and G over F features and tags. ``center``, ``scale``: of F features; ``first``: F rows
    of S*H weights; ``tags``: per tag S*H weights; ``first_bias``: S*H; ``second``: S times H rows of G;
    ``second_bias``, ``last``: S rows of G; ``bias``: S. A tag is a skill or a set of skills, see ``tags_of``."""

    center: list[float]
    scale: list[float]
    first: list[list[float]]
    tags: dict[str, list[float]]
    first_bias: list[float]
    second: list[list[list[float]]]
    second_bias: list[list[float]]
    last: list[list[float]]
    bias: list[float]
    _arrays: Any = field(default=None, repr=False, compare=False)
    _kinds: dict[tuple[str, ...], Any] = field(default_factory=dict, repr=False, compare=False)

    def parts(self) -> list[Any]:
        """What an artefact carries, in the order of the constructor."""
        return [getattr(self, part.name) for part in fields(self) if part.compare]

    def check(self, width: int) -> None:
        """Raises ValueError: the layers do not fit together or to vectors of ``width``, or hold what is not finite."""
        import numpy as np

        *layers, tags = self._flattened()
        networks, hidden, units = layers[4].shape
        first = networks * hidden
        expected = [(width,), (width,), (width, first), (first,), (networks, hidden, units)]
        expected += [(networks, units), (networks, units), (networks,)]
        if [layer.shape for layer in layers] != expected or any(own.shape != (first,) for own in tags.values()):
            raise ValueError("the networks' layers do not fit together")
        if not all(np.isfinite(layer).all() for layer in (*layers, *tags.values())):
            raise ValueError("the networks hold numbers that are not finite")

    def logit(self, vector: Sequence[float], skills: tuple[str, ...]) -> float:
        import numpy as np

        return float(self.logits(np.array([vector]), [skills])[0])

    def logits(self, matrix: NDArray[np.float64], skill_sets: Sequence[tuple[str, ...]]) -> NDArray[np.float64]:
        """One logit per row of ``matrix``, whose item trains the skills of ``skill_sets`` at the same place."""
        import numpy as np

        if self._arrays is None:
            self._arrays = self._flattened()
        parts = [
            self._some(matrix[start : start + CHUNK], skill_sets[start : start + CHUNK])
            for start in range(0, len(matrix), CHUNK)
        ]
        return np.concatenate(parts) if parts else np.empty(0)

    def _some(self, matrix: NDArray[np.float64], skill_sets: Sequence[tuple[str, ...]]) -> NDArray[np.float64]:
        import numpy as np

        center, scale, first, _, second, second_bias, last, bias, _ = self._arrays
        by_network = first.reshape(len(center), len(bias), -1).transpose(1, 0, 2)
        hidden = np.matmul(standardised(matrix, center, scale), by_network)
        kinds = np.array([self._kind(skills) for skills in skill_sets])
        hidden += kinds.reshape(len(matrix), len(bias), -1).transpose(1, 0, 2)
        np.maximum(hidden, 0, out=hidden)
        units = np.maximum(np.matmul(hidden, second) + second_bias[:, None], 0)
        each = np.matmul(units, last[:, :, None])[:, :, 0] + bias[:, None]
        averaged: NDArray[np.float64] = each.mean(axis=0).astype(np.float64)
        return averaged

    def _kind(self, skills: tuple[str, ...]) -> NDArray[np.float32]:
        """What the first layer has of every item that trains ``skills``: bias and tags; S*H."""
        import numpy as np

        known: NDArray[np.float32] | None = self._kinds.get(skills)
        if known is None:
            tags = self._arrays[-1]
            known = self._arrays[3].copy()
            for name, share in tags_of(skills):
                if name in tags:
                    known = known + np.float32(share) * tags[name]
            if len(self._kinds) >= MOST_KINDS:
                self._kinds.clear()
            self._kinds[skills] = known
        return known

    def _flattened(self) -> tuple[Any, ...]:
        """Arrays of 32 bits, as trained. Raises ValueError: a layer is ragged."""
        import numpy as np

        with np.errstate(over="ignore"):  # what 32 bits cannot hold becomes infinite, which ``check`` refuses
            layers = [np.array(part, dtype=np.float32) for part in self.parts() if not isinstance(part, dict)]
            return *layers, {name: np.array(own, dtype=np.float32) for name, own in self.tags.items()}


def tags_of(skills: Sequence[str]) -> list[tuple[str, float]]:
    """What tells an item's kind, with the size of each input: its skills and, of several, their set as a whole."""
    if not skills:
        return []
    share = TAG_SCALE / len(skills)
    tags = [(name, share) for name in skills]
    if len(skills) > 1:
        tags.append(("\x1f".join(sorted(skills)), TAG_SCALE))
    return tags


def standardised(
    matrix: NDArray[np.float64], center: NDArray[np.float32], scale: NDArray[np.float32]
) -> NDArray[np.float32]:
    import numpy as np

    inputs: NDArray[np.float32] = np.clip((matrix - center) * scale, -CLIP, CLIP).astype(np.float32)
    return inputs
