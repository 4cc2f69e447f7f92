"""What the classifier sees of a text: pieces of words, the words it opens with, and the taxonomy's keywords in it.

Used by training and by answering alike, so that both see the same. Pure Python: answering needs no scikit-learn.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import log1p

MAX_CHARACTERS = 4_000
"""More than this of one text is not looked at: it bounds an answer's time, and a request says what it wants early."""
OPENING_CHARACTERS = 200
SHORTEST, LONGEST = 2, 5
"""Lengths of the character n-grams, in syllables or letters, the blank at a word's edges included."""

_NO_WORD = re.compile(r"[^\w]+")
_REPEATED = re.compile(r"(.)\1{2,}")


@dataclass(frozen=True)
class Text:
    """``words``: lower case, compatibility forms unified. ``flat``: the words between single blanks, edges included."""

    words: tuple[str, ...]
    flat: str
    opening: str
    truncated: bool


def read(text: str) -> Text:
    """Normalise a text of any length and script."""
    kept = unicodedata.normalize("NFKC", text[:MAX_CHARACTERS]).lower()
    flat = " " + _NO_WORD.sub(" ", _REPEATED.sub(r"\1\1", kept)).strip() + " "
    opening = flat[:OPENING_CHARACTERS]
    return Text(tuple(flat.split()), flat, opening, len(text) > MAX_CHARACTERS)


def pieces(word: str) -> Iterable[str]:
    """The n-grams of one word with a blank at both edges; short words give themselves."""
    padded = f" {word} "
    size = len(padded)
    for length in range(SHORTEST, min(LONGEST, size) + 1):
        for start in range(size - length + 1):
            yield padded[start : start + length]


def number_of_pieces(word: str) -> int:
    """How many ``pieces`` gives, without making them."""
    size = len(word) + 2
    return sum(size - length + 1 for length in range(SHORTEST, min(LONGEST, size) + 1))


def pieces_of(text: str) -> list[str]:
    """All n-grams of a text, as an analyzer for a vectorizer."""
    return [piece for word in read(text).words for piece in pieces(word)]


def opening_of(text: str) -> list[str]:
    """The words and word pairs a text opens with, as an analyzer for a vectorizer."""
    return opening_terms(read(text))


def opening_terms(text: Text) -> list[str]:
    words = text.opening.split()
    return [*words, *(f"{first} {second}" for first, second in pairwise(words))]


@dataclass(frozen=True)
class KeywordGroup:
    """The keywords of one label. ``needles``: as searched in ``Text.flat``."""

    label: str
    keywords: tuple[str, ...]
    needles: tuple[str, ...]

    @classmethod
    def of(cls, label: str, keywords: Sequence[str]) -> KeywordGroup:
        cleaned = tuple(dict.fromkeys(_NO_WORD.sub(" ", word.lower()).strip() for word in keywords))
        kept = tuple(word for word in cleaned if word)
        return cls(label, kept, tuple(f" {word}" if word[0].isascii() else word for word in kept))


class Keywords:
    """Keyword hits as numbers: per group the logarithm of its hits in the text and the distinct ones in the opening
    (two at most), and per keyword whether it occurs."""

    GROUP_WEIGHT = 0.4
    WORD_WEIGHT = 0.15
    """Beside n-gram vectors of length 1. Chosen by cross-validation on training halves."""

    def __init__(self, groups: Sequence[KeywordGroup]) -> None:
        self.groups = tuple(groups)
        self.size = sum(2 + len(group.needles) for group in self.groups)

    def vector(self, text: Text) -> list[float]:
        """``size`` numbers."""
        values: list[float] = []
        for group in self.groups:
            counts = [text.flat.count(needle) for needle in group.needles]
            opened = sum(needle in text.opening for needle in group.needles)
            values.append(self.GROUP_WEIGHT * log1p(sum(counts)))
            values.append(self.GROUP_WEIGHT * min(opened, 2))
            values.extend(self.WORD_WEIGHT if count else 0.0 for count in counts)
        return values


OPENING_WEIGHT = 0.5
"""Of the opening's vector beside that of the n-grams."""
