"""What a model may say to a learner in place of the offline text, and the checks that its words must pass.

The model gets neither the reference nor its results, so it has nothing to give away; what it guesses is checked
against the reference all the same. It words what was decided before, and decides nothing.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from pydantic import BaseModel, Field

from contracts.problems import LocaleText
from services.grader.domain import Judgement, Problem
from services.grader.texts import FAILED_TO_RUN
from services.kernel.llm.prompts import DATA_RULE, clean, data_block

MOST_CHARACTERS: Final = 600
_SHOWN_SQL: Final = 4_000
_SHOWN_TITLE: Final = 200
_RUN: Final = 3
"""So many words of the reference in a row are a part of it, unless the learner wrote them too."""

_WORD: Final = re.compile(r"[^\W\d]\w*|\d+(?:\.\d+)?|'[^']*'|[<>=!]+|[*/%+-]")
_STATEMENT: Final = re.compile(r"\bselect\b.*\bfrom\b|```", re.IGNORECASE | re.DOTALL)
_PASSES: Final = re.compile(
    r"정답(?:입니다|이에요|이다|입니)|맞(?:았|습니다|아요)|"
    r"\b(?:answer|query|solution|it)(?: is|'s| was) (?:correct|right|accepted)\b|\bwell done\b",
    re.IGNORECASE,
)
_HANGUL: Final = re.compile("[가-힣]")

_COMMON: Final = (
    "Write one or two plain sentences, once in Korean (ko, polite form) and once in English (en). Never write SQL, "
    f"never what the right query contains, never that the answer is right. {DATA_RULE}"
)
HINT_INSTRUCTION: Final = (
    "A learner's SQL answer to a practice problem is wrong; a grader found where. Write the next hint: where to look "
    f"and what to ask oneself there, fitting this very query. {_COMMON}"
)
ERROR_INSTRUCTION: Final = (
    "A learner's SQL did not run. Explain the error below in words a beginner understands, naming the place in the "
    f"learner's own query. {_COMMON}"
)


class Words(BaseModel):
    ko: str = Field(min_length=1, max_length=MOST_CHARACTERS)
    en: str = Field(min_length=1, max_length=MOST_CHARACTERS)


@dataclass(frozen=True)
class Wordable:
    """One text to be worded. ``offline``: what is said without a model. ``facts``: what the grader found."""

    title: str
    sql: str
    facts: str
    offline: LocaleText

    @property
    def prompt(self) -> str:
        parts = (data_block("problem", self.title, _SHOWN_TITLE), data_block("answer", self.sql, _SHOWN_SQL))
        return "\n".join((*parts, data_block("found", self.facts, MOST_CHARACTERS)))


def is_error(judgement: Judgement) -> bool:
    return judgement.mistake_kind == FAILED_TO_RUN


def wordable(problem: Problem, sql: str, judgement: Judgement) -> Wordable:
    """The hint of a wrong answer, or the explanation of one that did not run. It holds nothing of the reference."""
    explanation, hint = (LocaleText.model_validate(judgement.feedback[part]) for part in ("explanation", "hint"))
    if is_error(judgement):
        facts = f"{explanation.en} {hint.en}\n{judgement.feedback['error']['marked']}"
        return Wordable(problem.title.en, sql, facts, explanation)
    where = judgement.mistake_clause or "the query as a whole"
    return Wordable(problem.title.en, sql, f"{judgement.mistake_kind} in {where}. {hint.en}", hint)


def fit_for_learners(words: Words, problem: Problem, sql: str) -> str:
    """Why ``words`` may not be shown; empty when they may."""
    if not _HANGUL.search(words.ko):
        return "the Korean text is not Korean"
    for text in (words.ko, words.en):
        if clean(text, MOST_CHARACTERS) != text:
            return "it holds control characters"
        if _STATEMENT.search(text):
            return "it holds SQL"
        if _PASSES.search(text):
            return "it speaks of a right answer"
        if _gives_away(text, problem, sql):
            return "it holds a part of the reference"
    return ""


def _gives_away(text: str, problem: Problem, sql: str) -> bool:
    said, secret, known = _words(text), _words(problem.reference_sql), _words(sql)
    if set(_runs(said)) & (set(_runs(secret)) - set(_runs(known))):
        return True
    told = {*known, *_words(" ".join((problem.title.ko, problem.title.en, *problem.hints.ko, *problem.hints.en)))}
    return bool({word for word in said if _is_telling(word)} & (set(secret) - told))


def _words(text: str) -> list[str]:
    return _WORD.findall(text.lower())


def _runs(words: list[str]) -> Iterator[tuple[str, ...]]:
    return zip(*(words[start:] for start in range(_RUN)), strict=False)


def _is_telling(word: str) -> bool:
    """A constant of more than one digit or letter: it is there by chance in no text."""
    return len(word.strip("'")) > 1 and (word[0].isdigit() or word[0] == "'")
