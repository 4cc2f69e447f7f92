"""What the classifier sees of a text: pieces of words, syllables, the words it opens with, and keywords in it.

Used by training and by answering alike, so that both see the same. Pure Python: answering needs no scikit-learn.

Korean is written in syllable blocks whose last consonant belongs to the ending as often as to the stem, and with blanks
left out at will. So words are cut into n-grams of letters (jamo), where a stem is the same before every ending, and
syllables are counted across blanks.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from math import log1p

MAX_CHARACTERS = 2_500
"""More than this of one text is not looked at: a request says what it wants early, and an answer, which is given on the
event loop, takes less than 20 ms however long the text."""
OPENING_CHARACTERS = 200
SHORTEST, LONGEST = 3, 6
"""Lengths of the n-grams of a word, in letters, the blank at a word's edges included."""
MOST_SYLLABLES = 3
"""Longest n-gram of Korean syllables."""

_NO_WORD = re.compile(r"[^\w]+")
_NO_TERM = re.compile(r"[^\w?!]+")
_MARKS = re.compile(r"([?!])")
_REPEATED = re.compile(r"(.)\1{2,}")
_SHORT = re.compile(r"[a-z0-9]{1,3}")
_SHORT_WORD = re.compile(r"(?<= )[a-z0-9]{1,3}(?![a-z0-9])")
_NO_HANGUL = re.compile("[^\uac00-\ud7a3]+")
_FIRST_BLOCK, _BLOCKS = 0xAC00, 11_172
_LEADS, _VOWELS, _TAILS = 0x1100, 0x1161, 0x11A7


@dataclass(frozen=True)
class Text:
    """``words``: lower case, compatibility forms unified; a question or exclamation mark is a word. ``flat``: the words
    between single blanks, edges included."""

    words: tuple[str, ...]
    flat: str
    opening: str
    truncated: bool

    @cached_property
    def short(self) -> frozenset[str]:
        """Latin words of up to three letters, with or without a Korean ending ("tv", "usb"). A keyword of this length
        stands for itself only: too many words begin with "ant", "car" or "ups"."""
        return frozenset(_SHORT_WORD.findall(self.flat))

    @cached_property
    def squeezed(self) -> str:
        """The words without blanks: where Korean writes them is a matter of habit."""
        return self.flat.replace(" ", "")


def read(text: str) -> Text:
    """Normalise a text of any length and script."""
    # A compatibility form may stand for 18 characters.
    kept = unicodedata.normalize("NFKC", text[:MAX_CHARACTERS])[:MAX_CHARACTERS].lower()
    marked = _MARKS.sub(r" \1 ", _REPEATED.sub(r"\1\1", kept))
    flat = " " + _NO_TERM.sub(" ", marked).strip() + " "
    opening = flat[:OPENING_CHARACTERS]
    return Text(tuple(flat.split()), flat, opening, len(text) > MAX_CHARACTERS)


def letters(word: str) -> str:
    """Syllable blocks taken apart into their two or three letters; everything else as it is.

    Source: The Unicode Standard, section 3.12, Hangul syllable decomposition.
    """
    if word.isascii():
        return word
    parts: list[str] = []
    for character in word:
        number = ord(character) - _FIRST_BLOCK
        if not 0 <= number < _BLOCKS:
            parts.append(character)
            continue
        parts.append(chr(_LEADS + number // 588) + chr(_VOWELS + number % 588 // 28))
        if tail := number % 28:
            parts.append(chr(_TAILS + tail))
    return "".join(parts)


def pieces(word: str) -> Iterable[str]:
    """The n-grams of one word's letters with a blank at both edges; a shorter word gives itself."""
    padded = f" {letters(word)} "
    size = len(padded)
    for length in range(min(SHORTEST, size), min(LONGEST, size) + 1):
        for start in range(size - length + 1):
            yield padded[start : start + length]


def opening_terms(text: Text) -> list[str]:
    """The words of the opening, and pairs of them."""
    words = text.opening.split()
    return [*words, *(f"{first} {second}" for first, second in pairwise(words))]


def syllable_terms(text: Text) -> list[str]:
    """N-grams of the opening's Korean syllables, everything else left out; none for a text in another script."""
    row = _NO_HANGUL.sub("", text.opening)
    return [
        row[start : start + length] for length in range(1, MOST_SYLLABLES + 1) for start in range(len(row) - length + 1)
    ]


@dataclass(frozen=True)
class KeywordGroup:
    """The keywords of one label. ``short``, ``flat`` and ``squeezed``: the numbers of those searched in ``Text.short``
    (Latin of a few letters), in ``Text.flat`` (a Latin one at the beginning of a word) and in ``Text.squeezed`` (Korean
    of several words), and as what."""

    label: str
    keywords: tuple[str, ...]
    short: tuple[tuple[int, str], ...]
    flat: tuple[tuple[int, str], ...]
    squeezed: tuple[tuple[int, str], ...]

    @classmethod
    def of(cls, label: str, keywords: Sequence[str]) -> KeywordGroup:
        cleaned = tuple(dict.fromkeys(_NO_WORD.sub(" ", word.lower()).strip() for word in keywords))
        kept = tuple(word for word in cleaned if word)
        short = [(i, word) for i, word in enumerate(kept) if _SHORT.fullmatch(word)]
        squeezed = [(i, word.replace(" ", "")) for i, word in enumerate(kept) if " " in word and not word[0].isascii()]
        apart = {i for i, _ in (*short, *squeezed)}
        flat = [(i, f" {word}" if word[0].isascii() else word) for i, word in enumerate(kept) if i not in apart]
        return cls(label, kept, tuple(short), tuple(flat), tuple(squeezed))

    def found_in(self, text: Text) -> list[int]:
        """The numbers of the keywords in the text."""
        short, flat, squeezed = text.short, text.flat, text.squeezed
        found = [i for i, word in self.short if word in short]
        found += [i for i, needle in self.flat if needle in flat]
        return found + [i for i, needle in self.squeezed if needle in squeezed]


WORD_SHARE = 0.3
"""Of one keyword's number beside its group's."""


class Keywords:
    """Keyword hits as numbers: per group the logarithm of how many of its keywords occur in the text and in its
    opening, and per keyword whether it occurs."""

    PER_GROUP = 2

    def __init__(self, groups: Sequence[KeywordGroup]) -> None:
        self.groups = tuple(groups)
        self.size = sum(self.PER_GROUP + len(group.keywords) for group in self.groups)

    def values(self, text: Text) -> dict[int, float]:
        """Column (0..``size`` - 1) to number; those that are not zero."""
        values: dict[int, float] = {}
        base = 0
        opening = text if len(text.flat) <= OPENING_CHARACTERS else read(text.opening)
        for group in self.groups:
            if found := group.found_in(text):
                values[base] = log1p(len(found))
                values.update((base + self.PER_GROUP + i, WORD_SHARE) for i in found)
                if opened := found if opening is text else group.found_in(opening):
                    values[base + 1] = log1p(len(opened))
            base += self.PER_GROUP + len(group.keywords)
        return values


@dataclass(frozen=True)
class View:
    """One way of looking at a text: its terms."""

    name: str
    terms: Callable[[Text], list[str]]

    def analyzer(self, text: str) -> list[str]:
        """For a vectorizer."""
        return self.terms(read(text))


def _pieces_of(text: Text) -> list[str]:
    return [piece for word in text.words for piece in pieces(word)]


PIECES = View("pieces", _pieces_of)
VIEWS = (PIECES, View("opening", opening_terms), View("syllables", syllable_terms))
"""In the order of their columns."""
