"""How good a fitted model's longer views are on learners it never saw: coming scores, and the weakest skills."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from services.insights.model.history import Answer
from services.insights.model.knowledge import Knowledge
from services.insights.model.score import Coming, covers, score
from services.insights.model.state import Item, LearnerState, belief, expected, update
from services.insights.model.strengths import skill_easiness, strengths

AFTER, NEXT = 10, 20
LEAST_LATER = 3
"""Later answers that make a skill's observed success count as its truth."""


def score_figures(knowledge: Knowledge, histories: Iterable[Sequence[Answer]]) -> dict[str, Any]:
    """After 10 answers, the score on the next 20 (whose items are known, their outcomes are not)."""
    errors, covered, widths = [], 0, []
    for answers in histories:
        if len(answers) < AFTER + NEXT:
            continue
        state = state_after(knowledge, answers[:AFTER])
        coming = answers[AFTER : AFTER + NEXT]
        items = [_item(knowledge, answer) for answer in coming]
        chances = [knowledge.probability(state, item, answer.at) for item, answer in zip(items, coming, strict=True)]
        beliefs = [expected(*belief(state, item)) for item in items]
        interval = score(Coming(chances, beliefs, [item.peer for item in items]), state, knowledge.score_rule)
        observed = sum(answer.correct for answer in coming) / NEXT
        errors.append(abs(interval.mean - observed))
        covered += covers(interval, observed, NEXT)
        widths.append(interval.high - interval.low)
    if not errors:
        return {"score_learners": 0}
    size = len(errors)
    return {
        "score_learners": size,
        "score_error": sum(errors) / size,
        "interval_coverage": covered / size,
        "interval_width": sum(widths) / size,
    }


def weakest_third(knowledge: Knowledge, histories: Iterable[Sequence[Answer]]) -> dict[str, Any]:
    """Of the skills named weakest after half of the answers, the share that are among the weakest later.

    Skills with at least 3 later answers count; a learner needs three of them. The truth is the third with the
    lowest observed success in the second half (ties by the skill's usual success do not enter: by name).
    ``raw_accuracy`` ranks by the first half's plain success instead; ``chance`` is what drawing lots would find.
    """
    easiness = skill_easiness(knowledge.bank)
    hits = dict.fromkeys(("model", "raw"), 0)
    named, lots, learners = 0, 0.0, 0
    for answers in histories:
        half = len(answers) // 2
        later = {
            skill: rate for skill, (rate, count) in _success_by_skill(answers[half:]).items() if count >= LEAST_LATER
        }
        third = len(later) // 3
        if third < 1:
            continue
        state = state_after(knowledge, answers[:half])
        earlier = _success_by_skill(answers[:half])
        truth = set(sorted(later, key=lambda skill: (later[skill], skill))[:third])
        model = [entry.skill for entry in strengths(state, later, easiness, knowledge.bank.base)][:third]
        raw = sorted(later, key=lambda skill: (earlier.get(skill, (0.5, 0))[0], skill))[:third]
        hits["model"] += len(truth & set(model))
        hits["raw"] += len(truth & set(raw))
        named += third
        lots += third * third / len(later)
        learners += 1
    if not named:
        return {"weakest_learners": 0}
    return {
        "weakest_learners": learners,
        "weakest_third_precision": hits["model"] / named,
        "weakest_third_raw_accuracy": hits["raw"] / named,
        "weakest_third_chance": lots / named,
    }


def state_after(knowledge: Knowledge, answers: Sequence[Answer]) -> LearnerState:
    state = LearnerState()
    for answer in answers:
        update(state, _item(knowledge, answer), answer.correct, answer.at)
    return state


def _item(knowledge: Knowledge, answer: Answer) -> Item:
    return knowledge.bank.get(answer.item, answer.skills)


def _success_by_skill(answers: Sequence[Answer]) -> dict[str, tuple[float, int]]:
    sums: dict[str, list[int]] = {}
    for answer in answers:
        for skill in answer.skills:
            cell = sums.setdefault(skill, [0, 0])
            cell[0] += answer.correct
            cell[1] += 1
    return {skill: (right / count, count) for skill, (right, count) in sums.items()}
