"""What the model remembers of one learner, and how one graded answer changes it.

Ability is tracked as Gaussian beliefs, globally and per skill, moved by one step of an extended
Kalman filter on the logistic (1PL) likelihood. Source: M. E. Glickman, Parameter estimation in
large dynamic paired comparison experiments (1999); R. Pelanek, Applications of the Elo rating
system in adaptive educational systems (2016). Steps are events, not seconds.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

ABILITY_VARIANCE = 0.8
SKILL_VARIANCE = 0.5
ABILITY_DRIFT = 0.004
SKILL_DRIFT = 0.006
FAST, SLOW, SKILL_RATE, SKILL_SLOW = 0.3, 0.06, 0.35, 0.12
"""Rates of the exponentially weighted means of residuals (answer minus expectation)."""
COMPANY_RATE = 0.3
"""Rate of the exponentially weighted means over the items met."""
RECENT = 6
"""How many of the latest answers are remembered one by one."""
PROBIT = math.pi / 8
"""Of the approximation of a logistic curve averaged over a Gaussian. Source: D. J. C. MacKay (1992)."""


def sigmoid(logit: float) -> float:
    if logit >= 0:
        return 1 / (1 + math.exp(-logit))
    power = math.exp(logit)
    return power / (1 + power)


@dataclass(slots=True)
class Item:
    """A problem as the model sees it. ``easiness``: logit of success of an average learner; ``variance``:
    of that estimate; ``answers``: how many it rests on; ``skills``: concept tags; ``skill_easiness``: what
    the skills alone would say. The rest is the company it keeps, see ``company.py``: ``peer``, ``skill_peer``: mean
    ability of those who took it, or who practised its skills; ``near``: how much easier than their skills say are
    the items met beside it, known from ``near_weight`` of them; ``place``: mean log position in a learner's history;
    ``after``: per item answered shortly before, how its residual carries over and the information behind that."""

    id: str
    easiness: float
    variance: float
    answers: float
    skills: tuple[str, ...]
    skill_easiness: float
    peer: float = 0.0
    skill_peer: float = 0.0
    near: float = 0.0
    near_weight: float = 0.0
    place: float = 0.0
    after: dict[str, tuple[float, float]] = field(default_factory=dict)


@dataclass(slots=True)
class SkillState:
    """``mean``, ``variance``: ability on the skill beyond the global one, in logits. ``position``: of the latest
    answer; ``at``: its time, or 0."""

    correct: int = 0
    wrong: int = 0
    mean: float = 0.0
    variance: float = SKILL_VARIANCE
    residual: float = 0.0
    residual_slow: float = 0.0
    run: int = 0
    position: int = 0
    at: float = 0.0


@dataclass(slots=True)
class ItemState:
    correct: int = 0
    wrong: int = 0
    last_correct: int = 0
    position: int = 0
    at: float = 0.0


@dataclass(slots=True)
class LearnerState:
    """``at``: seconds since the epoch of the latest answer, 0 when unknown. ``run``: the length of the run of equal
    answers that ends now, negative when they were wrong. ``peers``: sum of the items' ``peer``; ``peers_recent`` and
    ``context``: exponentially weighted means of it and of how much easier items were than their skills say;
    ``recent``: the latest answers' items and residuals, oldest first."""

    answered: int = 0
    correct: int = 0
    mean: float = 0.0
    variance: float = ABILITY_VARIANCE
    fast: float = 0.0
    slow: float = 0.0
    run: int = 0
    at: float = 0.0
    peers: float = 0.0
    peers_recent: float = 0.0
    context: float = 0.0
    recent: list[tuple[str, float]] = field(default_factory=list)
    last_skills: tuple[str, ...] = ()
    skills: dict[str, SkillState] = field(default_factory=dict)
    items: dict[str, ItemState] = field(default_factory=dict)


def belief(state: LearnerState, item: Item) -> tuple[float, float]:
    """Mean and variance of the logit of success, before recency and history are taken into account."""
    mean, variance = state.mean + item.easiness, state.variance + item.variance
    if item.skills:
        share = 1 / len(item.skills)
        for name in item.skills:
            skill = state.skills.get(name)
            if skill is None:
                variance += SKILL_VARIANCE * share * share
            else:
                mean += skill.mean * share
                variance += skill.variance * share * share
    return mean, variance


def expected(mean: float, variance: float) -> float:
    """The probability of success averaged over the belief."""
    return sigmoid(mean / math.sqrt(1 + PROBIT * variance))


def update(state: LearnerState, item: Item, correct: bool, at: float = 0.0) -> float:
    """Take one graded answer into account, in O(skills of the item); returns the residual, -1..1.

    ``at``: seconds since the epoch, 0 when unknown.
    """
    state.variance += ABILITY_DRIFT
    skills = [_practised(state, name) for name in item.skills]
    mean, variance = belief(state, item)
    rate = sigmoid(mean)
    information = rate * (1 - rate)
    gain = (correct - rate) / (1 + information * variance)
    shrink = information / (1 + information * variance)
    residual = correct - expected(mean, variance)
    state.mean += state.variance * gain
    state.variance -= state.variance * state.variance * shrink
    for skill in skills:
        weighted = skill.variance / len(skills)
        skill.mean += weighted * gain
        skill.variance -= weighted * weighted * shrink
        skill.residual += SKILL_RATE * (residual - skill.residual)
        skill.residual_slow += SKILL_SLOW * (residual - skill.residual_slow)
        skill.run = _longer(skill.run, correct)
    state.fast += FAST * (residual - state.fast)
    state.slow += SLOW * (residual - state.slow)
    _keep_company(state, item, residual)
    _count(state, item, skills, correct, at)
    return residual


def _practised(state: LearnerState, name: str) -> SkillState:
    skill = state.skills.get(name)
    if skill is None:
        skill = state.skills[name] = SkillState()
    skill.variance = min(SKILL_VARIANCE, skill.variance + SKILL_DRIFT)
    return skill


def _keep_company(state: LearnerState, item: Item, residual: float) -> None:
    state.peers += item.peer
    state.peers_recent += (COMPANY_RATE if state.answered else 1.0) * (item.peer - state.peers_recent)
    state.context += COMPANY_RATE * (item.easiness - item.skill_easiness - state.context)
    state.recent.append((item.id, residual))
    del state.recent[:-RECENT]


def _count(state: LearnerState, item: Item, skills: list[SkillState], correct: bool, at: float) -> None:
    state.answered += 1
    tried = state.items.get(item.id)
    if tried is None:
        tried = state.items[item.id] = ItemState()
    records: list[SkillState | ItemState] = [*skills, tried]
    for record in records:
        if correct:
            record.correct += 1
        else:
            record.wrong += 1
        record.position = state.answered
        record.at = at or record.at
    tried.last_correct = int(correct)
    state.correct += correct
    state.run = _longer(state.run, correct)
    state.at = at or state.at
    state.last_skills = item.skills


def _longer(run: int, correct: bool) -> int:
    """A run of equal outcomes after one more; negative runs are of wrong answers."""
    return max(run, 0) + 1 if correct else min(run, 0) - 1
