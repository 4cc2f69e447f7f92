"""Small neural networks as plain numbers, evaluated without the library that trained them.

They see the features and which skills an item trains, so they learn for every skill what the trees and the linear
part know only of all skills together. Several that began at different random weights are averaged: a lasting part
of one network's error is its own (L. K. Hansen and P. Salamon, Neural network ensembles, 1990).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

SIZE = 4
"""How many networks a model that serves averages."""
HIDDEN, EPOCHS, BATCH, RATE, PENALTY = (64, 32), 10, 512, 0.002, 0.3
MOST_TAGS, LEAST_TAGGED = 256, 20
"""How many tags are told apart, and the answers from which one deserves weights of its own."""
TAG_SCALE = 2.0
"""Of a tag's input beside features of deviation one: weights of what is rarely seen are learnt faster."""
CLIP = 5.0
DIGITS = 6


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
        center, scale, first, first_bias, second, second_bias, last, bias, tags = self._arrays
        inputs = standardised(matrix, center, scale)
        # Not BLAS: its threads wake for products this small and then contend with everything else.
        total = np.einsum("nf,fh->nh", inputs, first)
        total += first_bias
        for row, skills in zip(total, skill_sets, strict=True):
            for name, share in tags_of(skills):
                own = tags.get(name)
                if own is not None:
                    row += np.float32(share) * own
        np.maximum(total, 0, out=total)
        hidden = total.reshape(len(total), len(bias), -1)
        units = np.maximum(np.einsum("nsh,shg->nsg", hidden, second) + second_bias, 0)
        each = np.einsum("nsg,sg->ns", units, last) + bias
        averaged: NDArray[np.float64] = each.mean(axis=1).astype(np.float64)
        return averaged

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


def trained(
    x: NDArray[np.float64], y: NDArray[np.float64], skill_sets: Sequence[tuple[str, ...]], seed: int, size: int = SIZE
) -> Networks:
    """``size`` multi-layer perceptrons with rectified units, by Adam on the log-loss with a ridge penalty."""
    import warnings

    import numpy as np
    from scipy.sparse import csr_matrix, hstack
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.neural_network import MLPClassifier

    deviation = x.std(axis=0)
    center = x.mean(axis=0).astype(np.float32)
    scale = np.where(deviation > 1e-9, 1 / np.maximum(deviation, 1e-9), 0.0).astype(np.float32)
    names = _frequent(skill_sets)
    inputs = hstack([csr_matrix(standardised(x, center, scale)), _tagged(skill_sets, names)]).tocsr()
    models = []
    for number in range(size):
        model = MLPClassifier(
            HIDDEN,
            alpha=PENALTY,
            batch_size=min(BATCH, len(y)),
            learning_rate_init=RATE,
            max_iter=EPOCHS,
            tol=0.0,
            random_state=seed + number,
        )
        with warnings.catch_warnings():
            # The number of epochs is chosen: more of them fit noise.
            warnings.simplefilter("ignore", ConvergenceWarning)
            models.append(model.fit(inputs, y))
    return _exported(models, center, scale, names)


def _frequent(skill_sets: Sequence[tuple[str, ...]]) -> list[str]:
    counts = Counter(name for skills in skill_sets for name, _ in tags_of(skills))
    ranked = sorted(counts.items(), key=lambda entry: (-entry[1], entry[0]))
    return [name for name, count in ranked[:MOST_TAGS] if count >= LEAST_TAGGED]


def _tagged(skill_sets: Sequence[tuple[str, ...]], names: Sequence[str]) -> Any:
    """Sparse matrix of rows x ``names``."""
    import numpy as np
    from scipy.sparse import csr_matrix

    column = {name: number for number, name in enumerate(names)}
    cells = [
        (row, column[name], share)
        for row, skills in enumerate(skill_sets)
        for name, share in tags_of(skills)
        if name in column
    ]
    rows, columns, shares = zip(*cells, strict=True) if cells else ((), (), ())
    return csr_matrix((np.array(shares, dtype=np.float32), (rows, columns)), shape=(len(skill_sets), len(names)))


def _exported(
    models: Sequence[Any], center: NDArray[np.float32], scale: NDArray[np.float32], names: Sequence[str]
) -> Networks:
    import numpy as np

    def listed(array: Any) -> Any:
        return np.round(array.astype(np.float64), DIGITS).tolist()

    width = len(center)
    first = np.hstack([model.coefs_[0] for model in models])
    return Networks(
        listed(center),
        [float(f"{value:.7g}") for value in scale],
        listed(first[:width]),
        dict(zip(names, listed(first[width:]), strict=True)),
        listed(np.concatenate([model.intercepts_[0] for model in models])),
        listed(np.stack([model.coefs_[1] for model in models])),
        listed(np.stack([model.intercepts_[1] for model in models])),
        listed(np.stack([model.coefs_[2][:, 0] for model in models])),
        listed(np.array([model.intercepts_[2][0] for model in models])),
    )
