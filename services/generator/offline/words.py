"""Text in two languages at once, and the Korean particles that depend on the sound before them.

A template writes a particle as the pair ``은(는)``, ``이(가)``, ``을(를)``, ``과(와)``, ``으로(로)`` or ``이나(나)``;
`settle` keeps the one that fits the final consonant of the word before it (Korean orthography, article 41 and the
standard usage of allomorphic particles), reading through quotes, backquotes and a parenthesised gloss.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

_PARTICLES = ("은(는)", "이(가)", "을(를)", "과(와)", "으로(로)", "이나(나)", "이라(라)")
_MARK = re.compile("|".join(re.escape(p) for p in _PARTICLES))
_QUOTES = "`'\"*’”"
# Digits as read in Sino-Korean: 영 일 이 삼 사 오 육 칠 팔 구; a number ending in 0 reads 십, 백, 천 or 만.
_DIGIT_FINAL = {"0": "ㅇ", "1": "ㄹ", "2": "", "3": "ㅁ", "4": "", "5": "", "6": "ㄱ", "7": "ㄹ", "8": "ㄹ", "9": ""}
_LETTER_NAME_FINAL = {"L": "ㄹ", "M": "ㅁ", "N": "ㄴ", "R": "ㄹ"}


@dataclass(frozen=True)
class Text:
    """The same words in Korean and English."""

    ko: str
    en: str

    def __add__(self, other: Text) -> Text:
        return Text(self.ko + other.ko, self.en + other.en)

    def settled(self) -> Text:
        """Particles chosen, first letter of the English raised."""
        return Text(settle(self.ko), self.en[:1].upper() + self.en[1:])

    def as_dict(self) -> dict[str, str]:
        return {"ko": self.ko, "en": self.en}


EMPTY = Text("", "")


def say(ko: str, en: str, **parts: Text | str | int | float) -> Text:
    """Fill both templates; a `Text` part gives each language its own words."""
    return Text(
        ko.format(**{k: v.ko if isinstance(v, Text) else v for k, v in parts.items()}),
        en.format(**{k: v.en if isinstance(v, Text) else v for k, v in parts.items()}),
    )


def listed(items: list[Text]) -> Text:
    """``a, b, c`` in Korean; ``a, b and c`` in English."""
    english = [item.en for item in items]
    joined = english[0] if len(english) == 1 else ", ".join(english[:-1]) + " and " + english[-1]
    return Text(", ".join(item.ko for item in items), joined)


def settle(korean: str) -> str:
    """Replace every particle pair by the form that fits the word before it."""
    out, at = "", 0
    for mark in _MARK.finditer(korean):
        out += korean[at : mark.start()]
        out += _choose(mark.group(), final_consonant(out))
        at = mark.end()
    return out + korean[at:]


def _choose(pair: str, final: str) -> str:
    closed, opened = pair[: pair.index("(")], pair[pair.index("(") + 1 : -1]
    if pair == "으로(로)":
        return closed if final not in ("", "ㄹ") else opened
    return closed if final else opened


def final_consonant(text: str) -> str:
    """The final consonant with which `text` ends when read aloud: a jamo, or an empty string for an open syllable."""
    text = re.sub(r"(?<=\S)\([^()]*\)$", "", text.rstrip(_QUOTES)).rstrip(_QUOTES + ")")
    if not text:
        return ""
    last = text[-1]
    if "가" <= last <= "힣":
        finals = ("", *"ㄱㄲㄳㄴㄵㄶㄷㄹㄺㄻㄼㄽㄾㄿㅀㅁㅂㅄㅅㅆㅇㅈㅊㅋㅌㅍㅎ")
        return str(finals[(ord(last) - ord("가")) % 28])
    if last.isdigit():
        return _DIGIT_FINAL.get(last, "")
    word = re.search(r"[A-Za-z]+$", text)
    return _latin_final(word.group()) if word else ""


def _latin_final(word: str) -> str:
    """Loan words as the National Institute of Korean Language transcribes them: short stops close the syllable."""
    if word.isupper() and len(word) <= 3:
        return _LETTER_NAME_FINAL.get(word[-1], "")
    word = word.lower()
    if word.endswith(("ng",)):
        return "ㅇ"
    if word[-1] in "lmn":
        return {"l": "ㄹ", "m": "ㅁ", "n": "ㄴ"}[word[-1]]
    closes = len(word) >= 2 and word[-2] in "aeiou" and word[-1] in "bckpt"
    return {"b": "ㅂ", "c": "ㄱ", "k": "ㄱ", "p": "ㅂ", "t": "ㅅ"}[word[-1]] if closes or word.endswith("ck") else ""
