"""How good a fitted model's longer views are on learners it never saw: coming scores, and the weakest skills."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from services.insights.model.history import Answer
from services.insights.model.knowledge import Knowledge
from services.insights.model.score import covers, score
from services.insights.model.state import Item, LearnerState, update
from services.insights.model.strengths import skill_easiness, strengths

AFTER, NEXT = 10, 20
LEAST_LATER = 3
"""Later answers that make a skill's observed success count as its truth."""


@dataclass(slots=True)
class Scores:
    """One entry per learner with 30 answers: after 10, the score on the next 20 (whose items are known, their
    outcomes are not)."""

    errors: list[float] = field(default_factory=list)
    covered: list[bool] = field(default_factory=list)
    widths: list[float] = field(default_factory=list)

    def add(self, other: Scores) -> None:
        self.errors += other.errors
        self.covered += other.covered
        self.widths += other.widths

    def figures(self) -> dict[str, Any]:
        size = len(self.errors)
        if not size:
            return {"score_learners": 0}
        return {
            "score_learners": size,
            "score_error": sum(self.errors) / size,
            "interval_coverage": sum(self.covered) / size,
            "interval_width": sum(self.widths) / size,
        }


def scores(knowledge: Knowledge, histories: Iterable[Sequence[Answer]]) -> Scores:
    found = Scores()
    for answers in histories:
        if len(answers) < AFTER + NEXT:
            continue
        state = state_after(knowledge, answers[:AFTER])
        coming = answers[AFTER : AFTER + NEXT]
        items = [_item(knowledge, answer) for answer in coming]
        ahead = knowledge.coming(state, [(item, answer.at) for item, answer in zip(items, coming, strict=True)])
        interval = score(ahead, state.variance, knowledge.score_rule)
        observed = sum(answer.correct for answer in coming) / NEXT
        found.errors.append(abs(interval.mean - observed))
        found.covered.append(covers(interval, observed, NEXT))
        found.widths.append(interval.high - interval.low)
    return found


@dataclass(slots=True)
class Weakest:
    """Of the skills named weakest after half of the answers, how many are among the weakest later.

    Skills with at least 3 later answers count; a learner needs three of them. The truth is the third with the
    lowest observed success in the second half (ties by the skill's usual success do not enter: by name).
    ``raw`` ranks by the first half's plain success instead; ``lots`` is what drawing lots would find."""

    learners: int = 0
    named: int = 0
    model: int = 0
    raw: int = 0
    lots: float = 0.0

    def add(self, other: Weakest) -> None:
        self.learners += other.learners
        self.named += other.named
        self.model += other.model
        self.raw += other.raw
        self.lots += other.lots

    def figures(self) -> dict[str, Any]:
        if not self.named:
            return {"weakest_learners": 0}
        return {
            "weakest_learners": self.learners,
            "weakest_third_precision": self.model / self.named,
            "weakest_third_raw_accuracy": self.raw / self.named,
            "weakest_third_chance": self.lots / self.named,
        }


def weakest_third(knowledge: Knowledge, histories: Iterable[Sequence[Answer]]) -> Weakest:
    easiness = skill_easiness(knowledge.bank)
    found = Weakest()
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
        found.add(Weakest(1, third, len(truth & set(model)), len(truth & set(raw)), third * third / len(later)))
    return found


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
