"""Which words of a model a learner may read."""

from uuid import uuid4

import pytest

from contracts.problems import LocaleHints, LocaleText
from services.grader.domain import Problem
from services.grader.wording import Words, fit_for_learners

KOREAN = "묶는 열을 다시 보세요."
ANSWER = "SELECT country FROM members WHERE joined > DATE '2026-01-05'"
PROBLEM = Problem(
    id=uuid4(),
    data_type="pa",
    difficulty="easy",
    tags=(),
    title=LocaleText(ko="40명 이상", en="Countries with 40 members"),
    hints=LocaleHints(ko=[], en=[]),
    ddl=(),
    reference_sql=(
        "SELECT m.country FROM members AS m WHERE m.joined >= DATE '2026-01-05' AND m.age > 17"
        " GROUP BY m.country HAVING count(*) > 40"
    ),
    ordered=False,
    datasets=(),
)


@pytest.mark.parametrize(
    "text",
    [
        "Look at the rows that share a country: are there several?",
        "The title names 40 members: does your query count any?",
        "Rows of 2026-01-05 itself deserve a look.",
        "Your condition joined > DATE '2026-01-05' leaves some rows out.",
        "Is it correct to keep every row?",
    ],
)
def test_words_that_point_are_shown(text: str) -> None:
    assert fit_for_learners(Words(ko=KOREAN, en=text), PROBLEM, ANSWER) == ""


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("Add HAVING count(*) > 40.", "reference"),
        ("Keep those where age > 17.", "reference"),
        ("Only ages above 17 count.", "reference"),
        ("Use m.joined >= DATE '2026-01-05'.", "reference"),
        ("Write select a\nfrom b", "SQL"),
        ("```sql```", "SQL"),
        ("The answer is correct, well done!", "right answer"),
        ("Hidden\u202etext", "control"),
    ],
)
def test_words_that_give_away_or_pass_are_not(text: str, why: str) -> None:
    assert why in fit_for_learners(Words(ko=KOREAN, en=text), PROBLEM, ANSWER)


def test_korean_is_checked_like_english() -> None:
    assert "Korean" in fit_for_learners(Words(ko="Look again.", en="Look again."), PROBLEM, ANSWER)
    assert "right answer" in fit_for_learners(Words(ko="정답입니다!", en="Look again."), PROBLEM, ANSWER)
    assert "reference" in fit_for_learners(Words(ko="17 세를 보세요.", en="Look again."), PROBLEM, ANSWER)
