"""How strong a learner is per skill: the success to expect, shrunk towards what is usual, with its certainty."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from services.insights.model.items import ItemBank
from services.insights.model.state import PROBIT, SKILL_VARIANCE, LearnerState, sigmoid


@dataclass(frozen=True, slots=True)
class Strength:
    """``expected``: the learner's success on an average item of the skill; ``usual``: an average learner's;
    ``confidence``: the share of the prior uncertainty about this skill that the answers have removed, 0..1."""

    skill: str
    expected: float
    usual: float
    answers: int
    confidence: float


def skill_easiness(bank: ItemBank) -> dict[str, float]:
    """Mean easiness of each skill's known items, in logits."""
    sums: dict[str, tuple[float, int]] = {}
    for item in bank.items.values():
        for name in item.skills:
            total, count = sums.get(name, (0.0, 0))
            sums[name] = total + item.easiness, count + 1
    return {name: total / count for name, (total, count) in sums.items()}


def strengths(state: LearnerState, skills: Iterable[str], easiness: Mapping[str, float], base: float) -> list[Strength]:
    """Weakest first. A skill never practised rests on its easiness and the learner's general ability."""
    found = []
    for name in skills:
        skill = state.skills.get(name)
        level = easiness.get(name, base)
        mean, variance = (skill.mean, skill.variance) if skill else (0.0, SKILL_VARIANCE)
        logit = (level + state.mean + mean) / math.sqrt(1 + PROBIT * (state.variance + variance))
        answers = skill.correct + skill.wrong if skill else 0
        confidence = max(0.0, 1 - variance / SKILL_VARIANCE)
        found.append(Strength(name, sigmoid(logit), sigmoid(level), answers, confidence))
    return sorted(found, key=lambda strength: (strength.expected, strength.skill))
