"""Generated learners for notebooks and trials: they have abilities, habits and sessions, and they learn."""

from __future__ import annotations

import math
import random
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from services.insights.model.history import Answer

BEGAN = datetime(2026, 3, 2, tzinfo=UTC)
LEARNING = 0.015
"""What each answer adds to the ability on its skills, in logits."""


@dataclass(frozen=True, slots=True)
class World:
    """``history``: per learner, oldest first. ``easiness``: the truth behind each item, in logits.
    ``favourite_hour``: the truth behind each learner's habit (UTC)."""

    history: dict[str, list[Answer]]
    easiness: dict[str, float]
    favourite_hour: dict[str, int]


def simulate(learners: int = 120, items: int = 80, sessions: int = 12, seed: int = 0) -> World:
    """Equal arguments give equal worlds. Each session holds 4 to 8 answers, two or three minutes apart."""
    dice = random.Random(seed)
    skills = [f"skill-{number}" for number in range(max(1, items // 10))]
    easiness = {f"item-{number:03d}": dice.gauss(0.5, 1.1) for number in range(items)}
    tags = {name: tuple(sorted(dice.sample(skills, k=min(len(skills), dice.choice((1, 1, 2)))))) for name in easiness}
    history: dict[str, list[Answer]] = {}
    hours: dict[str, int] = {}
    for number in range(learners):
        name = f"learner-{number:03d}"
        hours[name] = dice.choice((0, 4, 10, 12, 13, 22))
        history[name] = _learner(dice, hours[name], sessions, easiness, tags)
    return World(history, easiness, hours)


def _learner(
    dice: random.Random,
    hour: int,
    sessions: int,
    easiness: dict[str, float],
    tags: dict[str, tuple[str, ...]],
) -> list[Answer]:
    ability = dice.gauss(0, 1)
    mastery: dict[str, float] = {}
    answers = []
    names = list(easiness)
    for session in range(sessions):
        start = hour if dice.random() < 0.7 else dice.randrange(24)
        moment = BEGAN + timedelta(days=2 * session, hours=start, minutes=dice.randrange(30))
        for _ in range(dice.randint(4, 8)):
            item = dice.choice(names)
            known = sum(mastery.setdefault(skill, dice.gauss(0, 0.6)) for skill in tags[item]) / len(tags[item])
            chance = 1 / (1 + math.exp(-(ability + known + easiness[item])))
            answers.append(Answer(item, tags[item], dice.random() < chance, moment.timestamp()))
            for skill in tags[item]:
                mastery[skill] += LEARNING
            moment += timedelta(minutes=dice.uniform(2, 3))
    return answers
