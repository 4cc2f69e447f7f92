"""What the probability of success is computed from: one vector per (learner, item), in O(skills of the item).

Source of the families: Best-LR (T. Gervet et al., When is deep learning the best approach to knowledge
tracing?, 2020) counts successes and failures; PFA likewise per skill; recency and residuals are added, and the
company that items keep (``company.py``). ``table.py`` computes the same for all items at once.
"""

from __future__ import annotations

import math

from services.insights.model.state import Item, LearnerState, SkillState, belief

ITEM_FEATURES = (
    "easiness",
    "easiness_variance",
    "skill_easiness",
    "item_answers",
    "item_skills",
    "peer",
    "skill_peer",
    "place",
    "near",
    "near_weight",
)
LEARNER_FEATURES = (
    "ability",
    "ability_variance",
    "residual_fast",
    "residual_slow",
    "answered",
    "success_rate",
    "run",
    "skills_met",
    "pause",
    "pause_known",
    "peers_recent",
    "context",
)
SKILL_FEATURES = (
    "skill_ability",
    "skill_variance",
    "skill_residual",
    "skill_residual_slow",
    "skill_run",
    "skill_correct",
    "skill_wrong",
    "skill_new",
    "skill_age",
)
"""Means over the item's skills."""
PAIR_FEATURES = (
    "logit",
    "shrunk_logit",
    "skill_ability_least",
    "same_skill",
    "item_correct",
    "item_wrong",
    "item_last",
    "item_seen",
    "item_age",
    "peer_gap",
    "peers",
    "place_gap",
    "carried",
    "carried_weight",
)
FEATURES = (*ITEM_FEATURES, *LEARNER_FEATURES, *SKILL_FEATURES, *PAIR_FEATURES)
"""The order of every vector."""
PRIOR_ANSWERS = 4.0
NEVER = math.log1p(500.0)
"""The age, in log answers, of what was never practised."""
UNPRACTISED = (0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0, NEVER)
"""``SKILL_FEATURES`` of a skill without answers, and of an item without skills."""
LONGEST_PAUSE = 90 * 86400.0


def features(state: LearnerState, item: Item, at: float = 0.0) -> list[float]:
    """The vector of ``FEATURES``. ``at``: seconds since the epoch when the answer is given, 0 when unknown."""
    mean, variance = belief(state, item)
    tried = state.items.get(item.id)
    least, skill_means = _skill_means(state, item)
    carried, carried_weight = _carried(state, item)
    return [
        *item_features(item),
        *learner_features(state, at),
        *skill_means,
        mean,
        mean / math.sqrt(1 + math.pi / 8 * variance),
        least,
        1.0 if item.skills and item.skills == state.last_skills else 0.0,
        math.log1p(tried.correct) if tried else 0.0,
        math.log1p(tried.wrong) if tried else 0.0,
        (1.0 if tried.last_correct else -1.0) if tried else 0.0,
        1.0 if tried else 0.0,
        math.log1p(state.answered - tried.position) if tried else NEVER,
        item.peer - state.mean if state.answered else 0.0,
        (state.peers + item.peer) / (state.answered + 1),
        item.place - math.log1p(state.answered),
        carried,
        math.log1p(carried_weight),
    ]


def item_features(item: Item) -> tuple[float, ...]:
    """``ITEM_FEATURES``."""
    return (
        item.easiness,
        item.variance,
        item.skill_easiness,
        math.log1p(item.answers),
        len(item.skills),
        item.peer,
        item.skill_peer,
        item.place,
        item.near,
        math.log1p(item.near_weight),
    )


def learner_features(state: LearnerState, at: float) -> tuple[float, ...]:
    """``LEARNER_FEATURES``."""
    known = state.at > 0 and at > 0
    pause = min(max(at - state.at, 0.0), LONGEST_PAUSE) if known else 0.0
    return (
        state.mean,
        state.variance,
        state.fast,
        state.slow,
        math.log1p(state.answered),
        (state.correct + 0.5 * PRIOR_ANSWERS) / (state.answered + PRIOR_ANSWERS),
        log_run(state.run),
        math.log1p(len(state.skills)),
        math.log1p(pause),
        1.0 if known else 0.0,
        state.peers_recent,
        state.context,
    )


def skill_features(state: LearnerState, skill: SkillState) -> tuple[float, ...]:
    """``SKILL_FEATURES`` of one skill that was practised."""
    return (
        skill.mean,
        skill.variance,
        skill.residual,
        skill.residual_slow,
        log_run(skill.run),
        math.log1p(skill.correct),
        math.log1p(skill.wrong),
        0.0,
        math.log1p(state.answered - skill.position),
    )


def _skill_means(state: LearnerState, item: Item) -> tuple[float, list[float]]:
    """The least ability on the item's skills, and ``SKILL_FEATURES``."""
    if not item.skills:
        return 0.0, list(UNPRACTISED)
    rows = [
        UNPRACTISED if (skill := state.skills.get(name)) is None else skill_features(state, skill)
        for name in item.skills
    ]
    if len(rows) == 1:
        return rows[0][0], list(rows[0])
    share = 1 / len(rows)
    return min(row[0] for row in rows), [share * sum(values) for values in zip(*rows, strict=True)]


def _carried(state: LearnerState, item: Item) -> tuple[float, float]:
    """What the latest answers' residuals say about this item, and the information behind that."""
    carried = weight = 0.0
    if item.after:
        for name, residual in state.recent:
            link = item.after.get(name)
            if link is not None:
                carried += residual * link[0]
                weight += link[1]
    return carried, weight


def log_run(run: int) -> float:
    return math.copysign(math.log1p(abs(run)), run)
