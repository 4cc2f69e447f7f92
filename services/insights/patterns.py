"""When and how a learner works, shrunk towards what is usual and hidden when there is too little to say. Pure."""

from __future__ import annotations

import math
from dataclasses import dataclass

from services.insights.catalogue import Catalogue
from services.insights.learners import Learner
from services.insights.model.strengths import Strength, strengths

LEAST_SESSIONS = 6
"""Below it, time slots are hidden: they are weak signals."""
PRIOR_SESSIONS = 8.0
PRIOR_ANSWERS = 40.0
LEAST_ANSWERS = 3
LEAST_CONFIDENCE = 0.2
SLOTS = ("night", "morning", "afternoon", "evening")
"""Hours 0-6, 6-12, 12-18 and 18-24 in the service's time zone."""


@dataclass(frozen=True, slots=True)
class Slot:
    """``share`` of sessions; ``confidence``: the probability that it is above the ``usual`` share."""

    slot: str
    share: float
    usual: float
    confidence: float


@dataclass(frozen=True, slots=True)
class Peak:
    hour: int
    share: float
    usual: float
    confidence: float


@dataclass(frozen=True, slots=True)
class Patterns:
    """What is None is hidden: there is too little to say. ``minutes`` is per session."""

    slots: list[Slot] | None
    peaks: list[Peak] | None
    minutes: float | None
    minutes_confidence: float
    strengths: list[Strength]
    sessions: int


def patterns(catalogue: Catalogue, learner: Learner) -> Patterns:
    usual = catalogue.model.population
    activity = learner.activity
    known = activity.sessions >= LEAST_SESSIONS
    slots = peaks = None
    if known:
        slot_usual = [sum(usual.hours[6 * part : 6 * part + 6]) for part in range(4)]
        slots = [
            Slot(name, *_share(activity.slot_sessions[part], activity.sessions, slot_usual[part], PRIOR_SESSIONS))
            for part, name in enumerate(SLOTS)
        ]
        slots.sort(key=lambda slot: -slot.share)
        answers = sum(activity.hours)
        # Answers of one session come together: they count as sessions do, not as independent ones.
        scale = activity.sessions / answers
        found = [
            Peak(hour, *_share(count * scale, activity.sessions, usual.hours[hour], PRIOR_SESSIONS))
            for hour, count in enumerate(activity.hours)
        ]
        peaks = sorted((peak for peak in found if peak.share > peak.usual), key=lambda peak: -peak.share)[:3]
    weight = activity.sessions / (activity.sessions + PRIOR_SESSIONS)
    mean = activity.minutes / activity.sessions if activity.sessions else 0.0
    practised = [name for name, skill in learner.state.skills.items() if skill.correct + skill.wrong >= LEAST_ANSWERS]
    ranked = strengths(learner.state, practised, catalogue.easiness, catalogue.model.knowledge.bank.base)
    return Patterns(
        slots,
        peaks,
        weight * mean + (1 - weight) * usual.session_minutes if known else None,
        weight if known else 0.0,
        [strength for strength in ranked if strength.confidence >= LEAST_CONFIDENCE],
        activity.sessions,
    )


def _share(count: float, total: float, usual: float, prior: float) -> tuple[float, float, float]:
    """Posterior mean of a share, the usual one, and the probability that the share is above it (normal approximation
    of the Beta posterior with the population as prior mean)."""
    a, b = count + prior * usual, total - count + prior * (1 - usual)
    mean = a / (a + b)
    deviation = math.sqrt(mean * (1 - mean) / (a + b + 1)) or 1e-9
    return mean, usual, 0.5 * (1 + math.erf((mean - usual) / (deviation * math.sqrt(2))))
