"""Graded answers in time order per learner: what fitting and evaluation read."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from services.insights.model.items import Answers, ItemBank
from services.insights.model.state import Item, LearnerState, update


@dataclass(frozen=True, slots=True)
class Answer:
    """``at``: seconds since the epoch, 0 when unknown."""

    item: str
    skills: tuple[str, ...]
    correct: bool
    at: float = 0.0


History = Mapping[str, Sequence[Answer]]
"""Per learner, oldest first."""


def columns(history: History, learners: Iterable[str]) -> Answers:
    ids: list[str] = []
    items: list[str] = []
    correct: list[int] = []
    skills: dict[str, tuple[str, ...]] = {}
    for learner in learners:
        for answer in history[learner]:
            ids.append(learner)
            items.append(answer.item)
            correct.append(int(answer.correct))
            skills[answer.item] = answer.skills
    return Answers(ids, items, correct, skills)


def walk(answers: Sequence[Answer], bank: ItemBank) -> Iterator[tuple[LearnerState, Item, Answer]]:
    """The learner's state before each answer. The state is updated when the next one is asked for."""
    state = LearnerState()
    for answer in answers:
        item = bank.get(answer.item, answer.skills)
        yield state, item, answer
        update(state, item, answer.correct, answer.at)
