"""What the probability of success is computed from: one vector per (learner, item), in O(skills of the item).

Source of the families: Best-LR (T. Gervet et al., When is deep learning the best approach to knowledge
tracing?, 2020) counts successes and failures; PFA likewise per skill; recency and residuals are added, and the
company that items keep (``company.py``).
"""

from __future__ import annotations

import math

from services.insights.model.state import Item, LearnerState, belief

FEATURES = (
    "easiness",
    "easiness_variance",
    "skill_easiness",
    "item_answers",
    "ability",
    "ability_variance",
    "logit",
    "shrunk_logit",
    "residual_fast",
    "residual_slow",
    "answered",
    "success_rate",
    "run",
    "skill_ability",
    "skill_ability_least",
    "skill_variance",
    "skill_residual",
    "skill_residual_slow",
    "skill_run",
    "skill_correct",
    "skill_wrong",
    "skill_new",
    "skill_age",
    "same_skill",
    "item_correct",
    "item_wrong",
    "item_last",
    "item_seen",
    "item_age",
    "pause",
    "pause_known",
    "peer",
    "skill_peer",
    "peer_gap",
    "peers",
    "peers_recent",
    "place",
    "place_gap",
    "near",
    "near_weight",
    "context",
    "carried",
    "carried_weight",
)
"""The order of every vector."""
PRIOR_ANSWERS = 4.0
NEVER = math.log1p(500.0)
"""The age, in log answers, of what was never practised."""
LONGEST_PAUSE = 90 * 86400.0


def features(state: LearnerState, item: Item, at: float = 0.0) -> list[float]:
    """The vector of ``FEATURES``. ``at``: seconds since the epoch when the answer is given, 0 when unknown."""
    mean, variance = belief(state, item)
    tried = state.items.get(item.id)
    known = state.at > 0 and at > 0
    pause = min(max(at - state.at, 0.0), LONGEST_PAUSE) if known else 0.0
    return [
        item.easiness,
        item.variance,
        item.skill_easiness,
        math.log1p(item.answers),
        state.mean,
        state.variance,
        mean,
        mean / math.sqrt(1 + math.pi / 8 * variance),
        state.fast,
        state.slow,
        math.log1p(state.answered),
        (state.correct + 0.5 * PRIOR_ANSWERS) / (state.answered + PRIOR_ANSWERS),
        log_run(state.run),
        *_skill_features(state, item),
        1.0 if item.skills and item.skills == state.last_skills else 0.0,
        math.log1p(tried.correct) if tried else 0.0,
        math.log1p(tried.wrong) if tried else 0.0,
        (1.0 if tried.last_correct else -1.0) if tried else 0.0,
        1.0 if tried else 0.0,
        math.log1p(state.answered - tried.position) if tried else NEVER,
        math.log1p(pause),
        1.0 if known else 0.0,
        *_company_features(state, item),
    ]


def _skill_features(state: LearnerState, item: Item) -> list[float]:
    """Means over the item's skills, those never practised counting as zero."""
    if not item.skills:
        return [0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0, NEVER]
    ability = variance = residual = slow = run = correct = wrong = new = age = 0.0
    least = math.inf
    for name in item.skills:
        skill = state.skills.get(name)
        if skill is None:
            new += 1
            age += NEVER
            least = min(least, 0.0)
            continue
        ability += skill.mean
        least = min(least, skill.mean)
        variance += skill.variance
        residual += skill.residual
        slow += skill.residual_slow
        run += log_run(skill.run)
        correct += math.log1p(skill.correct)
        wrong += math.log1p(skill.wrong)
        age += math.log1p(state.answered - skill.position)
    share = 1 / len(item.skills)
    sums = (variance, residual, slow, run, correct, wrong, new, age)
    return [ability * share, least, *(value * share for value in sums)]


def _company_features(state: LearnerState, item: Item) -> list[float]:
    carried = weight = 0.0
    if item.after:
        for name, residual in state.recent:
            link = item.after.get(name)
            if link is not None:
                carried += residual * link[0]
                weight += link[1]
    return [
        item.peer,
        item.skill_peer,
        item.peer - state.mean if state.answered else 0.0,
        (state.peers + item.peer) / (state.answered + 1),
        state.peers_recent,
        item.place,
        item.place - math.log1p(state.answered),
        item.near,
        math.log1p(item.near_weight),
        state.context,
        carried,
        math.log1p(weight),
    ]


def log_run(run: int) -> float:
    return math.copysign(math.log1p(abs(run)), run)
