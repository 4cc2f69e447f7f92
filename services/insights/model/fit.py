"""Fitting: item easiness, then the model's parts on features of learners the items never saw.

A learner's own answers must not shape the easiness that predicts them, so learners are dealt into folds and
each fold's features come from items fitted on the others (cross-fitting).
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, replace

from services.insights.model.company import fit_bank
from services.insights.model.features import FEATURES, features
from services.insights.model.history import Answer, History, walk
from services.insights.model.items import ItemBank
from services.insights.model.knowledge import ANSWERED, Blend, Knowledge, chances
from services.insights.model.parts import LEAST_FOR_ALL, NETWORKS, TREES, Parts, Rows, blended, learnt
from services.insights.model.score import Case, Coming, ScoreRule, fitted_rule
from services.insights.model.state import LearnerState
from services.insights.model.training import SIZE

FOLDS = 5
FOLD_NETWORKS = 2
"""Fewer than those that serve: they only say how far networks are to be trusted, and training them takes long."""
LEAST_LEARNERS = 10
AFTER, NEXT = 10, 20
"""Scores are fitted on the next 20 answers after 10."""


class TooLittleHistory(ValueError):
    """There are too few learners or answers to fit anything that deserves trust."""


@dataclass(slots=True)
class _Fold:
    """``cases``: with the skills of their coming items."""

    rows: Rows
    cases: list[tuple[Case, list[tuple[str, ...]]]]


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
    rows = _joined(folds)
    every = len(rows.y) >= LEAST_FOR_ALL
    networks = FOLD_NETWORKS if every else 0
    parts = [
        learnt(_joined([fold for fold in folds if fold is not held]), seed, trees=every, networks=networks)
        for held in folds
    ]
    unseen = [own.logits(fold.rows.x, fold.rows.skills) for fold, own in zip(folds, parts, strict=True)]
    blend, kept = blended(np.concatenate(unseen), rows)
    rule = _score_rule(blend, folds, [own.only(kept) for own in parts])
    final = learnt(rows, seed, trees=TREES in kept, networks=SIZE if NETWORKS in kept else 0)
    return Knowledge(fit_bank(history, learners), final.linear, final.trees, final.networks, blend, rule)


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
    return _Fold(Rows(np.array(rows).reshape(-1, len(FEATURES)), np.array(outcomes), skills), cases)


def _joined(folds: Sequence[_Fold]) -> Rows:
    import numpy as np

    parts = [fold.rows for fold in folds]
    skills = [own for rows in parts for own in rows.skills]
    return Rows(np.vstack([rows.x for rows in parts]), np.concatenate([rows.y for rows in parts]), skills)


def _case(state: LearnerState, coming: Sequence[Answer], bank: ItemBank) -> tuple[Case, list[tuple[str, ...]]]:
    """What is known before ``coming`` of each of its items but the chance, and their skills."""
    import numpy as np

    items = [bank.get(answer.item, answer.skills) for answer in coming]
    matrix = np.array([features(state, item, answer.at) for item, answer in zip(items, coming, strict=True)])
    share = sum(answer.correct for answer in coming) / len(coming)
    return Case(Coming(matrix, np.empty(0)), state.variance, share), [item.skills for item in items]


def _score_rule(blend: Blend, folds: list[_Fold], parts: list[Parts]) -> ScoreRule:
    """From learners that neither the items nor ``parts``, each fold's, ever saw: what was to be expected of the 20
    answers after 10, against what came."""
    cases = []
    for fold, own in zip(folds, parts, strict=True):
        for case, skills in fold.cases:
            x = case.coming.matrix
            known = chances(blend.logits(own.logits(x, skills), x[:, ANSWERED]))
            cases.append(replace(case, coming=Coming(x, known)))
    return fitted_rule(cases)
