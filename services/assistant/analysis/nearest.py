"""The nearest known question: offline, a question is answered with SQL verified for one like it, or not at all.

Adapted only where it is safe: a "top N" that both questions state. A question with any other number that the nearest
one does not have is refused, not answered wrongly.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from services.assistant.analysis.examples import DataExample
from services.assistant.triage.features import PIECES

NEAR = 0.55
"""Cosine similarity from which a known question counts as the one that was asked."""
NEAR_NAMED = 0.4
"""The same for a question that names the columns it is about."""
SAME = 0.7
"""From which a practice problem counts as the one that was asked."""
HELD = 0.85
"""Or of whose title this share is in the question."""
SHORTEST_TITLE = 6
OFFERED = 5

_NUMBER = re.compile(r"\d+(?:\.\d+)?")
_LIMIT = re.compile(r"\b(?:top|first)\s+(\d+)\b|(?:상위|가장\s*\S+)\s*(\d+)", re.IGNORECASE)


@dataclass(frozen=True)
class Match:
    """``sql``: runnable, adapted. ``adapted``: what was changed, empty for nothing. ``similarity``: 0..1."""

    example: DataExample
    sql: str
    similarity: float
    adapted: str = ""


@dataclass(frozen=True)
class NoMatch:
    """``offered``: the nearest known questions, best first. ``reason``: why none answers this one."""

    offered: tuple[DataExample, ...]
    reason: str


def nearest(question: str, known: Sequence[DataExample]) -> Match | NoMatch:
    """Compares character n-grams, weighted by rarity, with the Korean and the English text of each known question.

    A question that names other columns or tables than an example is about is no match for it, however alike they sound.
    """
    if not known:
        return NoMatch((), "no_known_questions")
    scores = _similarities(question, [(entry.ko, entry.en) for entry in known])
    order = sorted(range(len(known)), key=lambda index: -scores[index])
    offered = tuple(known[index] for index in order[:OFFERED])
    tables = _named(question, {entry.table for entry in known})
    columns = _named(question, {column for entry in known for column in entry.columns} - tables)
    for index in order:
        entry = known[index]
        if scores[index] < (NEAR_NAMED if columns else NEAR):
            break
        if not entry.table or (tables <= {entry.table} and entry.columns - entry.implied <= columns <= entry.columns):
            return _adapted(question, entry, scores[index], offered)
    return NoMatch(offered, "nothing_near")


def _named(question: str, names: Iterable[str]) -> set[str]:
    """The identifiers that stand in the question as words of their own; Korean particles may follow."""
    lowered = question.lower()
    return {
        name for name in names if name and re.search(rf"(?<![a-z0-9_]){re.escape(name.lower())}(?![a-z0-9_])", lowered)
    }


def asks_for(question: str, problems: Sequence[tuple[str, str]]) -> int | None:
    """The index of the practice problem (ko, en: title, line feed, description) that ``question`` is, or None.

    One that sounds like it, or that holds nearly all of its title among other words.
    """
    texts = [(ko, en, ko.split("\n")[0], en.split("\n")[0]) for ko, en in problems]
    scores = _similarities(question, texts)
    held = [max(_held(title, question) for title in entry[2:]) for entry in texts]
    best = max(range(len(scores)), key=lambda index: max(scores[index], held[index]), default=None)
    return best if best is not None and (scores[best] >= SAME or held[best] >= HELD) else None


def _held(title: str, question: str) -> float:
    """The share of the title's n-grams that are in the question, 0..1; a title of a word or two proves nothing."""
    wanted = set(PIECES.analyzer(title))
    if len(title.strip()) < SHORTEST_TITLE or not wanted:
        return 0.0
    return len(wanted & set(PIECES.analyzer(question))) / len(wanted)


def _similarities(question: str, known: Sequence[tuple[str, ...]]) -> list[float]:
    """Per entry the cosine of the question with the nearest of its texts."""
    groups = [[Counter(PIECES.analyzer(text)) for text in texts] for texts in known]
    rarity = _rarity([document for group in groups for document in group])
    asked = _vector(Counter(PIECES.analyzer(question)), rarity)
    return [max(_cosine(asked, _vector(document, rarity)) for document in group) for group in groups]


def _adapted(question: str, found: DataExample, similarity: float, offered: tuple[DataExample, ...]) -> Match | NoMatch:
    stated = set(_NUMBER.findall(question))
    known = set(_NUMBER.findall(f"{found.ko}\n{found.en}"))
    if stated <= known:
        return Match(found, found.sql, similarity)
    if stated - known != {new := _limit_of(question)}:
        return NoMatch(offered, "other_numbers")
    old = _limit_of(found.en) or _limit_of(found.ko)
    pattern = re.compile(rf"\bLIMIT\s+{re.escape(old)}\s*;?\s*$", re.IGNORECASE) if old else None
    if pattern is None or not pattern.search(found.sql):
        return NoMatch(offered, "other_numbers")
    return Match(found, pattern.sub(f"LIMIT {new}", found.sql), similarity, f"LIMIT {old} -> {new}")


def _limit_of(text: str) -> str:
    found = _LIMIT.search(text)
    return next((group for group in found.groups() if group), "") if found else ""


def _rarity(documents: Sequence[Counter[str]]) -> dict[str, float]:
    seen = Counter(term for document in documents for term in document)
    return {term: 1 + math.log(len(documents) / count) for term, count in seen.items()}


def _vector(counts: Counter[str], rarity: dict[str, float]) -> dict[str, float]:
    """Of length 1. Terms that no known question has count as the rarest: they speak against every one."""
    most = max(rarity.values(), default=1.0)
    raw = {term: (1 + math.log(count)) * rarity.get(term, most) for term, count in counts.items()}
    length = math.sqrt(sum(value * value for value in raw.values()))
    return {term: value / length for term, value in raw.items()} if length else {}


def _cosine(first: dict[str, float], second: dict[str, float]) -> float:
    if len(second) < len(first):
        first, second = second, first
    return sum(value * second.get(term, 0.0) for term, value in first.items())
