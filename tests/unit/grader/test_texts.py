"""Every kind of mistake, clause and remark the judge can name has its words in both languages."""

import re
from pathlib import Path
from typing import get_args

import pytest

from contracts.problems import LocaleText
from services.grader import texts
from services.kernel.sql import clauses, locate
from services.kernel.sql.judge import remarks


def test_every_mistake_kind_has_a_text() -> None:
    assert set(texts.MISTAKES) == set(get_args(locate.MistakeKind))


def test_every_clause_has_a_name() -> None:
    assert set(texts.CLAUSES) == {*clauses.CLAUSES, ""}


def test_every_remark_has_a_text() -> None:
    source = Path(remarks.__file__).read_text(encoding="utf-8")
    codes = set(re.findall(r'remarks\.append\("(\w+)"\)', source))
    assert codes
    assert codes | {"slow"} == set(texts.REMARKS)


ALL = [
    *(text.explanation for text in texts.MISTAKES.values()),
    *(text.hint for text in texts.MISTAKES.values()),
    *texts.REMARKS.values(),
    texts.ACCEPTED,
]


@pytest.mark.parametrize("text", ALL, ids=lambda text: text.en[:30])
def test_a_text_is_korean_in_one_language_and_english_in_the_other(text: LocaleText) -> None:
    assert re.search("[가-힣]", text.ko)
    assert not re.search("[가-힣]", text.en)
    assert text.en.isascii()


def test_hints_differ_by_kind() -> None:
    hints = [text.hint.en for text in texts.MISTAKES.values()]
    assert len(set(hints)) == len(hints)


@pytest.mark.parametrize(
    ("missing", "extra", "rows", "english", "korean"),
    [
        (
            1,
            0,
            1,
            "On a data set of 1 row: 1 expected row missing.",
            "데이터 1행에서 보면 있어야 할 행 1개가 없습니다.",
        ),
        (
            0,
            2,
            3,
            "On a data set of 3 rows: 2 unexpected rows returned.",
            "데이터 3행에서 보면 없어야 할 행 2개가 있습니다.",
        ),
        (0, 0, 3, "", ""),
    ],
)
def test_differences_are_counted_in_words(missing: int, extra: int, rows: int, english: str, korean: str) -> None:
    text = texts.difference_text(missing, extra, rows)
    assert text.en == english
    assert text.ko.endswith(korean)
    assert bool(text.ko) == bool(korean)
