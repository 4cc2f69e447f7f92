"""Training: n-grams, the opening and keyword hits in linear models, their scores calibrated on texts held out.

scikit-learn is needed here only, and here it is imported when a training begins.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from services.assistant.triage.features import VIEWS, KeywordGroup, Keywords, read
from services.assistant.triage.heads import Head, by_share, evidence, probabilities_of
from services.assistant.triage.model import TriageModel
from services.assistant.triage.taxonomy import Example, Taxonomy
from services.assistant.triage.training_version import version_of

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Numbers = NDArray[np.float32]

FOLDS: Final = 5
SEED: Final = 20_261_121
CATEGORY_FADING: Final = 1 / 3
PRIORITY_FADING: Final = 1 / 2
"""How soon keywords lose weight as texts become more: those of a priority ("now", "please") are the less telling."""
MAX_TERMS: Final = 60_000
"""Of each view; the rarest are left out."""
COST: Final = 1.0
"""Of the linear support vector machines (C): chosen by cross-validation on training halves."""
TOLERANCE: Final = 0.01
"""Of the solver: a finer one takes half as long again and answers the same."""
INTERCEPT_SCALING: Final = 3.0
"""Lets a rare label have a bias of its own at little cost."""
UNSURE_SHARE: Final = 0.25
"""The least certain share of training texts, held out: about as many of the texts to come are put to a model, and more
of those written in other words, of which 40 % may be."""
SURE_ENOUGH: Final = 0.95
"""No text is put to a model whose answer is this certain already."""


def train(taxonomy: Taxonomy, corrections: Sequence[Example] = ()) -> TriageModel:
    """A classifier from the taxonomy's examples and people's corrections; the same ones give the same classifier.

    Seconds for hundreds of examples, about a minute for ten thousand and many categories.

    Raises:
        ValueError: there is no example, or a correction does not fit the taxonomy.
    """
    import numpy as np
    from scipy.sparse import hstack
    from sklearn.feature_extraction.text import TfidfVectorizer

    for correction in corrections:
        taxonomy.check(correction)
    examples = [*taxonomy.examples, *corrections]
    if not examples:
        raise ValueError(f"the taxonomy {taxonomy.name} has no examples to learn from")
    texts = [example.text for example in examples]
    labels = (*taxonomy.categories, *taxonomy.priorities)
    groups = [KeywordGroup.of(label.name, label.keywords) for label in labels]
    keywords = Keywords(groups)
    vectorizers = [
        TfidfVectorizer(analyzer=view.analyzer, sublinear_tf=True, max_features=MAX_TERMS, dtype=np.float32)
        for view in VIEWS
    ]
    parts = [*(_vectors(vectorizer, texts) for vectorizer in vectorizers), _hits(keywords, texts)]
    features = hstack(parts, format="csr")
    sizes = [part.shape[1] for part in parts]
    questions = (
        (taxonomy.category_names, _membership(taxonomy.category_names, examples), taxonomy.multiple, CATEGORY_FADING),
        (taxonomy.priority_names, _priorities(taxonomy.priority_names, examples), False, PRIORITY_FADING),
    )
    (category, one), (priority, other) = [
        _head(features, np.repeat(part_weights(len(examples), fading), sizes), truth, names, several)
        for names, truth, several, fading in questions
    ]
    unsure_below = min(SURE_ENOUGH, by_share(np.minimum(one, other).tolist(), UNSURE_SHARE))
    return TriageModel(
        version_of(taxonomy, corrections),
        [_vocabulary(vectorizer) for vectorizer in vectorizers],
        np.concatenate([_idf(vectorizer) for vectorizer in vectorizers]).astype(np.float32),
        keywords,
        replace(category, unsure_below=unsure_below),
        replace(priority, unsure_below=unsure_below),
    )


def part_weights(examples: int, fading: float) -> tuple[float, ...]:
    """How much the parts of a text's features count: the views, in the order of ``VIEWS``, then the keywords.

    Keywords are what is known before any text is seen: the more texts there are to learn from, the less they count, for
    a training text holds more of the keywords that its author had in mind than the texts to come. Whole words and pairs
    of them are telling where they have been seen, so they count the more the more texts there are. Chosen by
    cross-validation with 80 texts, on requests looked at during development with 2,000, and by leaving out kinds of
    buildings and writers with 3,700.
    """
    hundreds = examples / 100
    return 1.0, min(1.0, 0.3 * hundreds**0.25), 1.0, 0.43 / hundreds**fading


def _hits(keywords: Keywords, texts: Sequence[str]) -> Any:
    from scipy.sparse import csr_matrix

    entries = [
        (row, column, value) for row, text in enumerate(texts) for column, value in keywords.values(read(text)).items()
    ]
    rows, columns, values = zip(*entries, strict=True) if entries else ((), (), ())
    return csr_matrix((values, (rows, columns)), shape=(len(texts), keywords.size), dtype="float32")


def _vectors(vectorizer: Any, texts: Sequence[str]) -> Any:
    """Texts x terms; no terms at all (every text is empty of words) leave no columns."""
    from scipy.sparse import csr_matrix

    try:
        return vectorizer.fit_transform(texts)
    except ValueError:
        vectorizer.vocabulary_ = {}
        return csr_matrix((len(texts), 0))


def _vocabulary(vectorizer: Any) -> dict[str, int]:
    return {str(term): int(index) for term, index in vectorizer.vocabulary_.items()}


def _idf(vectorizer: Any) -> Any:
    return vectorizer.idf_ if vectorizer.vocabulary_ else []


def _membership(names: Sequence[str], examples: Sequence[Example]) -> Any:
    import numpy as np

    return np.array([[name in example.categories for name in names] for example in examples])


def _priorities(names: Sequence[str], examples: Sequence[Example]) -> Any:
    import numpy as np

    return np.array([[name == example.priority for name in names] for example in examples])


def _head(unweighted: Any, scale_of: Any, truth: Any, labels: Sequence[str], multiple: bool) -> tuple[Head, Any]:
    """Weights from all texts; calibration from scores of texts that were held out of their own weights. And how sure
    the answers to those were. ``scale_of``: how much each feature counts."""
    import numpy as np
    from scipy.sparse import diags

    features = unweighted @ diags(scale_of.astype(np.float32))
    weights, bias = _fit(features, truth)
    held_out = np.zeros(truth.shape, dtype=np.float64)
    for fold in _folds(truth):
        rest = np.setdiff1d(np.arange(len(truth)), fold)
        some_weights, some_bias = _fit(features[rest], truth[rest])
        held_out[fold] = features[fold] @ some_weights.T + some_bias
    scale, shift = _platt(held_out, truth) if multiple else (_temperature(held_out, truth), 0.0)
    first = held_out.argmax(axis=1)
    slope, intercept = _logistic(evidence(held_out, multiple), truth[np.arange(len(truth)), first])
    cut = float(1 / (1 + np.exp(-shift)))  # where the score is zero: the machines' own border
    shares = tuple(float(share) for share in truth.mean(axis=0))
    head = Head(
        tuple(labels),
        # An answer's features are not weighted: the weights have it in them.
        (weights * scale_of).astype(np.float32),
        bias,
        scale,
        shift,
        0.0,
        multiple,
        cut,
        shares,
        slope,
        intercept,
    )
    return head, probabilities_of(held_out, head).max(axis=1)


def _folds(truth: Any) -> list[Any]:
    """Indices of texts in ``FOLDS`` parts, texts with the same labels dealt out in turn."""
    import numpy as np

    shuffled = np.random.default_rng(SEED).permutation(len(truth))
    order = sorted(shuffled.tolist(), key=lambda index: truth[index].tolist())
    return [np.array(order[start::FOLDS]) for start in range(min(FOLDS, len(order)))]


def _fit(features: Any, truth: Any) -> tuple[Any, Any]:
    """One linear score per label, each against the rest. A label that every text has, or none, scores constantly."""
    import numpy as np
    from sklearn.svm import LinearSVC

    weights = np.zeros((truth.shape[1], features.shape[1]), dtype=np.float32)
    bias = np.where(truth.all(axis=0), 1.0, -1.0).astype(np.float32) if len(truth) else np.zeros(truth.shape[1])
    for index in range(truth.shape[1]):
        wanted = truth[:, index]
        if wanted.all() or not wanted.any() or not features.shape[1]:
            continue
        machine = LinearSVC(
            C=COST,
            loss="hinge",
            intercept_scaling=INTERCEPT_SCALING,
            tol=TOLERANCE,
            random_state=SEED,
            max_iter=5_000,
        ).fit(features, wanted)
        weights[index], bias[index] = machine.coef_[0], machine.intercept_[0]
    return weights, bias.astype(np.float32)


def _temperature(scores: Any, truth: Any) -> float:
    """The scale of a softmax over ``scores`` that makes the held-out truth most likely."""
    import numpy as np
    from scipy.optimize import minimize_scalar
    from scipy.special import logsumexp

    texts, labels = truth.shape
    # Platt's targets: held-out texts that all come out right do not prove that every text will.
    targets = np.where(truth, (texts + 1) / (texts + labels), 1 / (texts + labels))

    def loss(logarithm: float) -> float:
        scaled = np.exp(logarithm) * scores
        return float((targets * (logsumexp(scaled, axis=1, keepdims=True) - scaled)).sum(axis=1).mean())

    return float(np.exp(minimize_scalar(loss, bounds=(-3.0, 4.0), method="bounded").x))


def _platt(scores: Any, truth: Any) -> tuple[float, float]:
    """Slope and intercept of one logistic curve for all labels."""
    return _logistic(scores.ravel(), truth.ravel())


def _logistic(scores: Any, right: Any) -> tuple[float, float]:
    """Slope and intercept of the curve from a score to the share of those that are right, drawn a little towards a flat
    one, which few texts feel and many do not.

    Source: Platt 1999, with his targets: no score of few texts proves that every other one like it is right.
    """
    import numpy as np
    from sklearn.linear_model import LogisticRegression

    hits = float(right.sum())
    misses = len(right) - hits
    targets = np.where(right, (hits + 1) / (hits + 2), 1 / (misses + 2))
    both = np.repeat([True, False], len(right))
    curve = LogisticRegression(C=1.0).fit(
        np.tile(scores, 2)[:, None], both, sample_weight=np.concatenate([targets, 1 - targets])
    )
    return float(curve.coef_[0, 0]), float(curve.intercept_[0])
