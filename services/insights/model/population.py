"""What is usual among all learners: when they work, how long, and what they do next. Individuals shrink towards it."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from services.insights.model.activity import Activity
from services.insights.model.history import Answer

NEXT_KEPT = 5
LEAST_FOLLOWERS = 3


@dataclass(slots=True)
class Population:
    """``hours``: share of answers per hour of the day. ``paths``: per item, the items that learners who solved it
    most often took up next, each with its share of them."""

    hours: list[float] = field(default_factory=lambda: [1 / 24] * 24)
    session_minutes: float = 20.0
    paths: dict[str, list[tuple[str, float]]] = field(default_factory=dict)


def population(histories: Iterable[Sequence[Answer]], zone: str) -> Population:
    counts = [0] * 24
    minutes, sessions = 0.0, 0
    followers: dict[str, Counter[str]] = defaultdict(Counter)
    for answers in histories:
        activity = Activity()
        for position, answer in enumerate(answers):
            if answer.at > 0:
                activity.add(answer.at, zone)
            following = answers[position + 1].item if position + 1 < len(answers) else answer.item
            if answer.correct and following != answer.item:
                followers[answer.item][following] += 1
        counts = [total + own for total, own in zip(counts, activity.hours, strict=True)]
        minutes += activity.minutes
        sessions += activity.sessions
    total = sum(counts)
    usual = Population()
    if total:
        usual.hours = [(count + 1) / (total + 24) for count in counts]
    if sessions:
        usual.session_minutes = minutes / sessions
    for item, counter in followers.items():
        everybody = sum(counter.values())
        kept = [(name, count / everybody) for name, count in counter.most_common(NEXT_KEPT) if count >= LEAST_FOLLOWERS]
        if kept:
            usual.paths[item] = kept
    return usual
