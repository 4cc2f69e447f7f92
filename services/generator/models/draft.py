"""What a model may answer when it is asked for problems, and what is wrong with a draft before anything runs."""

from __future__ import annotations

import re
from collections.abc import Sequence
from enum import StrEnum
from typing import Annotated, Final, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints

from services.generator.domain import Difficulty, Locale
from services.generator.offline.concepts import CONCEPTS
from services.generator.verify.check import DropReason
from services.kernel.llm.prompts import clean
from services.kernel.sql.guard import Refused, check

MAX_SQL: Final = 4_000
HINTS: Final = 3
_REVEALING: Final = 10
"""So many tokens of the reference SQL in a row, in a hint or the text, give the answer away."""

_TOKEN = re.compile(r"\w+|[^\w\s]")
_HANGUL = re.compile(r"[가-힣]")
_LATIN = re.compile(r"[A-Za-z]")


class DraftFault(StrEnum):
    """Why a draft is dropped before verification; the verifier's own reasons come after."""

    UNNAMED_COLUMN = "unnamed_column"
    REVEALS_ANSWER = "reveals_answer"
    WRONG_LANGUAGE = "wrong_language"
    UNKNOWN_TAG = "unknown_tag"
    NOT_SOLVED = "not_solved"  # no model was left to solve it from its text
    DISAGREES = "text_and_sql_disagree"


def _clean(text: str) -> str:
    return clean(text, len(text) + 1).strip()


def _one_line(text: str) -> str:
    return " ".join(_clean(text).split())


Line = Annotated[str, StringConstraints(max_length=120), AfterValidator(_one_line)]
Body = Annotated[str, StringConstraints(max_length=2_000), AfterValidator(_clean)]
HintText = Annotated[str, StringConstraints(max_length=500), AfterValidator(_clean)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Title(_Strict):
    ko: Line = ""
    en: Line = ""


class Description(_Strict):
    ko: Body = ""
    en: Body = ""


class Hint(_Strict):
    ko: HintText = ""
    en: HintText = ""


class Draft(_Strict):
    """``ordered``: the text asks for an order of rows, and the query gives it."""

    title: Title
    description: Description
    difficulty: Difficulty
    tags: list[str] = Field(min_length=1, max_length=8)
    sql: Annotated[str, StringConstraints(min_length=8, max_length=MAX_SQL)]
    ordered: bool
    hints: list[Hint] = Field(min_length=HINTS, max_length=HINTS)


class Drafts(_Strict):
    problems: list[Draft] = Field(max_length=8)


class Solution(_Strict):
    """``number``: of the problem as listed. ``sql``: empty when the text does not say enough."""

    number: int = Field(ge=1)
    sql: Annotated[str, StringConstraints(max_length=MAX_SQL)]


class Solutions(_Strict):
    solutions: list[Solution] = Field(max_length=16)


def fault_of(draft: Draft, locale: Locale, tables: Sequence[str]) -> tuple[DraftFault | DropReason, str] | None:
    """What is wrong with ``draft`` by reading it alone, and where; None when it may be verified.

    ``tables``: the names its query may read.
    """
    unknown = [tag for tag in draft.tags if tag not in CONCEPTS]
    if unknown:
        return DraftFault.UNKNOWN_TAG, ", ".join(unknown)[:200]
    return _fault_of_texts(draft, locale) or _fault_of_sql(draft, tables)


def _fault_of_texts(draft: Draft, locale: Locale) -> tuple[DraftFault, str] | None:
    texts = {"title": draft.title, "description": draft.description}
    texts |= {f"hint {i}": hint for i, hint in enumerate(draft.hints, 1)}
    languages: tuple[Literal["ko", "en"], ...] = ("ko", "en") if locale == "both" else (locale,)
    for language in languages:
        pattern = _HANGUL if language == "ko" else _LATIN
        for name, text in texts.items():
            if not pattern.search(getattr(text, language)):
                return DraftFault.WRONG_LANGUAGE, f"the {name} is not in {language}"
    return None


def _fault_of_sql(draft: Draft, tables: Sequence[str]) -> tuple[DraftFault | DropReason, str] | None:
    from sqlglot import exp

    try:
        tree = check(draft.sql, "duckdb", tables).tree
    except Refused as refusal:
        return DropReason.REFUSED, str(refusal)
    for column in tree.selects if isinstance(tree, exp.Query) else ():
        # Its text would stand as a column of the expected answer, and show how it is computed.
        if not isinstance(column, (exp.Alias, exp.Column, exp.Star)):
            return DraftFault.UNNAMED_COLUMN, column.sql(dialect="duckdb")[:200]
    if place := _revealing(draft):
        return DraftFault.REVEALS_ANSWER, f"the {place} holds a piece of the reference SQL"
    return None


def _revealing(draft: Draft) -> str:
    """Where the visible text holds a long piece of the reference SQL; empty when nowhere."""
    secret = _tokens(draft.sql)
    runs = {tuple(secret[i : i + _REVEALING]) for i in range(max(1, len(secret) - _REVEALING + 1))}
    places = {"description": draft.description.ko + "\n" + draft.description.en}
    places |= {f"hint {i}": f"{hint.ko}\n{hint.en}" for i, hint in enumerate(draft.hints, 1)}
    for place, text in places.items():
        tokens = _tokens(text)
        if any(_contains(tokens, run) for run in runs):
            return place
    return ""


def _tokens(text: str) -> list[str]:
    return [token.lower() for token in _TOKEN.findall(text)]


def _contains(tokens: Sequence[str], run: tuple[str, ...]) -> bool:
    return any(tuple(tokens[i : i + len(run)]) == run for i in range(len(tokens) - len(run) + 1))


def main_table(sql: str) -> str:
    """The first table that the query reads, for the learner's starting text; CTE names do not count."""
    import sqlglot
    from sqlglot import exp

    tree = sqlglot.parse_one(sql, read="duckdb")
    defined = {cte.alias_or_name.lower() for cte in tree.find_all(exp.CTE)}
    names = [table.name for table in tree.find_all(exp.Table) if table.name.lower() not in defined]
    return names[0] if names else ""
