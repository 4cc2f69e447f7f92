"""Training the small networks by scikit-learn, and taking their weights out of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from services.insights.model.networks import Networks, standardised, tags_of

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

SIZE = 4
"""How many networks a model that serves averages."""
HIDDEN, EPOCHS, BATCH, RATE, PENALTY = (64, 32), 10, 512, 0.002, 0.3
MOST_TAGS, LEAST_TAGGED = 256, 20
"""How many tags are told apart, and the answers from which one deserves weights of its own."""
DIGITS = 6
"""Decimals of a weight: as many as 32 bits hold."""


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
