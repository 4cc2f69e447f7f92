"""The nearest known question: offline, a question is answered with SQL verified for one like it, or not at all.

Adapted only where it is safe: a "top N" that both questions state. A question with any other number that the nearest
one does not have is refused, not answered wrongly.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from services.assistant.adapters.questions import KnownQuestion
from services.assistant.triage.features import PIECES

NEAR = 0.55
"""Cosine similarity from which a known question counts as the one that was asked."""
OFFERED = 5

_NUMBER = re.compile(r"\d+(?:\.\d+)?")
_LIMIT = re.compile(r"\b(?:top|first)\s+(\d+)\b|(?:상위|가장\s*\S+)\s*(\d+)", re.IGNORECASE)


@dataclass(frozen=True)
class Match:
    """``sql``: runnable, adapted. ``adapted``: what was changed, empty for nothing. ``similarity``: 0..1."""

    question: KnownQuestion
    sql: str
    similarity: float
    adapted: str = ""


@dataclass(frozen=True)
class NoMatch:
    """``offered``: the nearest known questions, best first. ``reason``: why none answers this one."""

    offered: tuple[KnownQuestion, ...]
    reason: str


def nearest(question: str, known: Sequence[KnownQuestion]) -> Match | NoMatch:
    """Compares character n-grams, weighted by rarity, with the Korean and the English text of each known question."""
    if not known:
        return NoMatch((), "no_known_questions")
    documents = [Counter(PIECES.analyzer(text)) for entry in known for text in (entry.ko, entry.en)]
    titles = [Counter(PIECES.analyzer(text.split("\n")[0])) for entry in known for text in (entry.ko, entry.en)]
    rarity = _rarity([*documents, *titles])
    asked = _vector(Counter(PIECES.analyzer(question)), rarity)
    scores = [
        max(_cosine(asked, _vector(document, rarity)) for document in group)
        for group in zip(documents[::2], documents[1::2], titles[::2], titles[1::2], strict=True)
    ]
    order = sorted(range(len(known)), key=lambda index: -scores[index])
    offered = tuple(known[index] for index in order[:OFFERED])
    best = order[0]
    if scores[best] < NEAR:
        return NoMatch(offered, "nothing_near")
    return _adapted(question, known[best], scores[best], offered)


def _adapted(
    question: str, found: KnownQuestion, similarity: float, offered: tuple[KnownQuestion, ...]
) -> Match | NoMatch:
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
