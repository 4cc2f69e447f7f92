"""The tip of the day without a model: one concept a day, none again before all had their turn."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

from services.generator.datasets.sampling import seeded
from services.generator.offline.concepts import CONCEPTS
from services.generator.offline.words import Text, say


@dataclass(frozen=True)
class Tip:
    tip_date: date
    category: str
    tag: str
    content: Text


def tip_of_the_day(day: date) -> Tip:
    """The same tip for the same date everywhere. Each round through the concepts has its own order."""
    tags = sorted(CONCEPTS)
    round_number, position = divmod(day.toordinal(), len(tags))
    seeded("tips", round_number).shuffle(tags)
    tag = tags[position]
    concept = CONCEPTS[tag]
    return Tip(day, concept.category, tag, say("{name}: {tip}", "{name}: {tip}", name=concept.name, tip=concept.tip))
