"""Fitting: item easiness, then the linear part and the trees on features of learners the items never saw.

A learner's own answers must not shape the easiness that predicts them, so learners are dealt into folds and
each fold's features come from items fitted on the others (cross-fitting).
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from copy import deepcopy
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from services.insights.model.company import fit_bank
from services.insights.model.features import FEATURES, features
from services.insights.model.history import Answer, History, walk
from services.insights.model.items import ItemBank, memberships
from services.insights.model.knowledge import SLOPED_COLUMNS, Calibration, Knowledge, Linear, ScoreRule
from services.insights.model.score import Case, Coming, fitted_rule
from services.insights.model.state import LearnerState, belief, expected
from services.insights.model.trees import Trees, exported

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

FOLDS = 5
BLENDS = (0.0, 0.5, 0.75, 1.0)
LEAST_FOR_TREES = 5_000
"""Answers below which boosting learns noise; the linear part stands alone."""
LEAST_LEARNERS = 10
ANCHOR_SCALE = 10.0
"""The belief's own logit is penalised this much less (in weight) than what corrects it."""
RIDGE = 0.001
SLOPE_SCALE = 4.0
"""Likewise, in weight, of what differs from skill to skill."""
AFTER, NEXT = 10, 20
"""Score intervals are fitted on the next 20 answers after 10."""


class TooLittleHistory(ValueError):
    """There are too few learners or answers to fit anything that deserves trust."""


@dataclass(slots=True)
class _Fold:
    """One row of ``x``, ``y``, ``skills`` per answer. ``cases``: vectors and skills of coming items, and the rest."""

    x: NDArray[np.float64]
    y: NDArray[np.float64]
    skills: list[tuple[str, ...]]
    cases: list[tuple[list[list[float]], list[tuple[str, ...]], Case]]


def fit(history: History, *, seed: int = 0) -> Knowledge:
    """Fit on whole learners; some seconds for 100,000 answers. Equal input and seed give equal output.

    One thread: on a machine that others use, OpenMP's threads wait for each other longer than they work, and
    sums in another order would be other sums.

    Raises:
        TooLittleHistory: fewer than 10 learners, or only one outcome.
    """
    import sklearn.ensemble  # noqa: F401 - only libraries that are loaded can be limited
    from threadpoolctl import threadpool_limits

    with threadpool_limits(limits=1):
        return _fit(history, seed)


def _fit(history: History, seed: int) -> Knowledge:
    import numpy as np

    learners = sorted(history)
    outcomes = {answer.correct for answers in history.values() for answer in answers}
    if len(learners) < LEAST_LEARNERS or len(outcomes) < 2:
        raise TooLittleHistory(f"{len(learners)} learners: at least {LEAST_LEARNERS} with both outcomes are needed")
    random.Random(seed).shuffle(learners)
    folds = [_fold(history, learners, number) for number in range(FOLDS)]
    x, y, skills = _joined(folds)
    boosted = len(y) >= LEAST_FOR_TREES
    parts, linear_out, trees_out = [], [], []
    for number, held in enumerate(folds):
        others = _joined([fold for i, fold in enumerate(folds) if i != number])
        linear, booster = _linear(*others), _booster(others[0], others[1], seed) if boosted else None
        parts.append((linear, booster))
        linear_out.append(linear.logits(held.x, linear.slopes(held.skills)))
        if booster is not None:
            trees_out.append(booster.decision_function(held.x))
    share = _best_share(linear_out, trees_out, y) if boosted else 0.0
    logits = _blend(np.concatenate(linear_out), np.concatenate(trees_out) if boosted else None, share)
    knowledge = Knowledge(
        fit_bank(history, learners),
        _linear(x, y, skills),
        _trees(x, y, seed) if boosted and share else None,
        share,
        _platt(logits, y),
        ScoreRule(),
    )
    return replace(knowledge, score_rule=_score_rule(knowledge, folds, parts))


def _fold(history: History, learners: Sequence[str], number: int) -> _Fold:
    import numpy as np

    held = learners[number::FOLDS]
    bank = fit_bank(history, [name for i, name in enumerate(learners) if i % FOLDS != number])
    rows: list[list[float]] = []
    skills: list[tuple[str, ...]] = []
    outcomes: list[float] = []
    cases = []
    for name in held:
        for position, (state, item, answer) in enumerate(walk(history[name], bank)):
            if position == AFTER and len(history[name]) >= AFTER + NEXT:
                cases.append(_case(state, history[name][AFTER : AFTER + NEXT], bank))
            rows.append(features(state, item, answer.at))
            outcomes.append(float(answer.correct))
            skills.append(item.skills)
    return _Fold(np.array(rows).reshape(-1, len(FEATURES)), np.array(outcomes), skills, cases)


def _joined(folds: Sequence[_Fold]) -> tuple[NDArray[np.float64], NDArray[np.float64], list[tuple[str, ...]]]:
    import numpy as np

    skills = [own for fold in folds for own in fold.skills]
    return np.vstack([fold.x for fold in folds]), np.concatenate([fold.y for fold in folds]), skills


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


def _trees(x: NDArray[np.float64], y: NDArray[np.float64], seed: int) -> Trees:
    return exported(_booster(x, y, seed), x[:500])


def _blend(linear: Any, trees: Any, share: float) -> Any:
    return linear if trees is None else linear + share * (trees - linear)


def _best_share(linear: list[Any], trees: list[Any], y: NDArray[np.float64]) -> float:
    import numpy as np
    from sklearn.metrics import log_loss

    joined = np.concatenate(linear), np.concatenate(trees)
    return min(BLENDS, key=lambda share: float(log_loss(y, 1 / (1 + np.exp(-_blend(*joined, share))))))


def _platt(logits: NDArray[np.float64], y: NDArray[np.float64]) -> Calibration:
    from sklearn.linear_model import LogisticRegression

    model = LogisticRegression(C=1e6).fit(logits[:, None], y)
    return Calibration(float(model.coef_[0][0]), float(model.intercept_[0]))


def _case(
    state: LearnerState, coming: Sequence[Answer], bank: ItemBank
) -> tuple[list[list[float]], list[tuple[str, ...]], Case]:
    """What is known before ``coming`` of each of its items, and the share that came out right."""
    items = [bank.get(answer.item, answer.skills) for answer in coming]
    vectors = [features(state, item, answer.at) for item, answer in zip(items, coming, strict=True)]
    beliefs = [expected(*belief(state, item)) for item in items]
    known = Coming((), beliefs, [item.peer for item in items])
    case = Case(known, deepcopy(state), sum(answer.correct for answer in coming) / len(coming))
    return vectors, [item.skills for item in items], case


def _score_rule(knowledge: Knowledge, folds: list[_Fold], parts: list[tuple[Linear, Any]]) -> ScoreRule:
    """From learners that neither the items nor ``parts``, each fold's linear part and trees, ever saw: what was to be
    expected of the 20 answers after 10, against what came."""
    import numpy as np

    calibration, cases = knowledge.calibration, []
    for fold, (linear, booster) in zip(folds, parts, strict=True):
        for vectors, skills, case in fold.cases:
            x = np.array(vectors)
            trees = None if booster is None else booster.decision_function(x)
            logits = _blend(linear.logits(x, linear.slopes(skills)), trees, knowledge.tree_share)
            chances = 1 / (1 + np.exp(-(calibration.slope * logits + calibration.offset)))
            cases.append(replace(case, coming=replace(case.coming, chances=chances.tolist())))
    return fitted_rule(cases)
