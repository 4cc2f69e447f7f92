"""What a learner is told about each kind of mistake, in Korean and English: what is wrong, and a next step.

A hint points at a clause and a way to look at it; it never says what the clause should be.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from contracts.problems import LocaleText


@dataclass(frozen=True)
class MistakeText:
    explanation: LocaleText
    hint: LocaleText


def _text(ko: str, en: str) -> LocaleText:
    return LocaleText(ko=ko, en=en)


def _mistake(explanation: tuple[str, str], hint: tuple[str, str]) -> MistakeText:
    return MistakeText(_text(*explanation), _text(*hint))


CLAUSES: Final[dict[str, LocaleText]] = {
    "": _text("쿼리 전체", "the query as a whole"),
    "select": _text("SELECT 절", "the SELECT clause"),
    "distinct": _text("DISTINCT", "DISTINCT"),
    "from": _text("FROM 절(조인 포함)", "the FROM clause with its joins"),
    "where": _text("WHERE 절", "the WHERE clause"),
    "group_by": _text("GROUP BY 절", "the GROUP BY clause"),
    "having": _text("HAVING 절", "the HAVING clause"),
    "order_by": _text("ORDER BY 절", "the ORDER BY clause"),
    "limit": _text("LIMIT 절", "the LIMIT clause"),
    "set_operation": _text("집합 연산(UNION 등)", "the set operation (UNION and the like)"),
}

MISTAKES: Final[dict[str, MistakeText]] = {
    "wrong_join_type": _mistake(
        (
            "조인의 종류가 맞지 않아, 짝이 없는 행이 빠지거나 남습니다.",
            "The type of join does not fit: rows without a partner are lost or kept by mistake.",
        ),
        (
            "한쪽 테이블에만 있는 행이 결과에 나와야 하는지 생각해 보세요.",
            "Ask for each table whether its rows without a partner belong in the result.",
        ),
    ),
    "wrong_join_condition": _mistake(
        (
            "조인 조건이 행을 잘못 짝지어, 짝이 맞지 않거나 여러 번 나옵니다.",
            "The join condition pairs the wrong rows, so some match falsely or more than once.",
        ),
        (
            "두 테이블을 잇는 키가 무엇인지, 한 행에 짝이 몇 개 생기는지 확인하세요.",
            "Check which keys link the two tables, and how many partners one row gets.",
        ),
    ),
    "wrong_tables": _mistake(
        ("읽은 테이블이 문제와 맞지 않습니다.", "The tables read are not the ones the question is about."),
        (
            "필요한 값이 각각 어느 테이블에 있는지 먼저 적어 보세요.",
            "Write down first in which table each value you need is kept.",
        ),
    ),
    "missing_distinct": _mistake(
        ("같은 행이 여러 번 나옵니다.", "The same row comes out more than once."),
        (
            "결과의 한 행이 무엇을 뜻하는지, 그것이 왜 되풀이되는지 살펴보세요.",
            "Say what one row of the result stands for, and look at why it repeats.",
        ),
    ),
    "needless_distinct": _mistake(
        (
            "중복을 없애면서 필요한 행까지 사라집니다.",
            "Removing duplicates also removes rows that belong in the result.",
        ),
        (
            "값이 같아도 서로 다른 사실을 나타내는 행이 있는지 보세요.",
            "Look for rows that are equal and still stand for different facts.",
        ),
    ),
    "nulls_ignored": _mistake(
        (
            "NULL이 있는 행이 잘못 다루어집니다. NULL과의 비교는 참이 되지 않습니다.",
            "Rows with NULL are handled wrongly: a comparison with NULL is never true.",
        ),
        (
            "이 열이 비어 있는 행은 어떻게 되어야 하는지 생각해 보세요.",
            "Decide what should happen to rows in which this column is empty.",
        ),
    ),
    "boundary_off_by_one": _mistake(
        (
            "경계값에 있는 행이 잘못 들어오거나 빠집니다.",
            "Rows exactly on a boundary are wrongly let in or left out.",
        ),
        (
            "경계값을 포함하는지, 문제의 표현('이상', '초과', '까지')을 다시 읽으세요.",
            "Read again whether the boundary itself counts ('at least', 'more than', 'until').",
        ),
    ),
    "missing_condition": _mistake(
        ("문제의 조건 하나가 빠졌습니다.", "One of the question's conditions is missing."),
        (
            "문제의 조건을 하나씩 쿼리에서 찾아 표시해 보세요.",
            "Go through the question's conditions and find each one in your query.",
        ),
    ),
    "needless_condition": _mistake(
        ("문제에 없는 조건이 행을 걸러 냅니다.", "A condition that the question does not state filters rows out."),
        (
            "각 조건이 문제의 어느 문장에서 왔는지 확인하세요.",
            "Check for each condition which sentence of the question asks for it.",
        ),
    ),
    "wrong_condition": _mistake(
        ("조건이 다른 행을 고릅니다.", "A condition selects other rows than the question asks for."),
        (
            "아래 작은 데이터에서 조건을 행마다 직접 계산해 보세요.",
            "Work out your condition by hand for every row of the small data set.",
        ),
    ),
    "ungrouped_column": _mistake(
        (
            "결과를 나누어야 할 열이 그룹에 들어 있지 않습니다.",
            "A column that should split the result is not part of the grouping.",
        ),
        (
            "결과 한 행이 무엇 하나당 한 행인지 말해 보세요.",
            "Say it aloud: one row of the result per what?",
        ),
    ),
    "wrong_grouping": _mistake(
        ("그룹을 나누는 기준이 문제와 다릅니다.", "The rows are grouped by something else than the question asks."),
        (
            "결과 한 행이 무엇 하나당 한 행인지, 그 단위로 묶고 있는지 보세요.",
            "Say what one row of the result stands for, and whether you group by exactly that.",
        ),
    ),
    "wrong_aggregate": _mistake(
        ("집계 방법이 달라 값이 맞지 않습니다.", "The values are aggregated in another way than asked."),
        (
            "무엇을 세거나 더하는지, 같은 것을 두 번 세지는 않는지, NULL은 어떻게 되는지 보세요.",
            "Look at what is counted or added up, whether anything counts twice, and what happens to NULL.",
        ),
    ),
    "ties_in_top_n": _mistake(
        (
            "값이 같은 행들 사이에서 우연히 일부만 골라집니다.",
            "Among rows with equal values, some are picked by chance.",
        ),
        (
            "순위가 같은 행이 여럿일 때 무엇을 남겨야 하는지 다시 읽으세요.",
            "Read again what should remain when several rows share a rank.",
        ),
    ),
    "wrong_limit": _mistake(
        ("남기는 행의 수가 다릅니다.", "The number of rows kept is not the one asked for."),
        ("몇 행을, 어디서부터 남기는지 확인하세요.", "Check how many rows you keep, and from where."),
    ),
    "wrong_order": _mistake(
        ("행은 맞지만 순서가 다릅니다.", "The rows are right, their order is not."),
        (
            "정렬 기준과 방향, 값이 같을 때의 다음 기준, NULL의 자리를 확인하세요.",
            "Check the sort keys, their direction, what breaks ties, and where NULLs go.",
        ),
    ),
    "wrong_columns": _mistake(
        ("결과의 열이 문제에서 말한 것과 다릅니다.", "The columns of the result are not the ones asked for."),
        (
            "문제가 말한 결과 열의 수와 순서를 맞추세요.",
            "Match the number and the order of the output columns in the question.",
        ),
    ),
    "wrong_expression": _mistake(
        ("계산식이 다른 값을 냅니다.", "An expression computes another value than asked."),
        (
            "틀린 행 하나를 골라 값을 손으로 계산해 비교하세요.",
            "Take one differing row, work its value out by hand, and compare.",
        ),
    ),
    "wrong_set_operation": _mistake(
        (
            "두 결과를 합치거나 빼는 방법이 문제와 다릅니다.",
            "The two results are combined in another way than asked.",
        ),
        (
            "양쪽에 모두 있는 행과 되풀이되는 행이 어떻게 되어야 하는지 보세요.",
            "Look at what should happen to rows that are on both sides, or repeat.",
        ),
    ),
    "depends_on_row_order": _mistake(
        (
            "저장된 행의 순서에 따라 결과가 달라집니다. 지금 맞아 보여도 우연입니다.",
            "The result changes with the order in which rows are stored: being right is luck.",
        ),
        (
            "순서에 기대는 함수나 구문에 기준이 되는 정렬이 있는지 확인하세요.",
            "Check that whatever relies on an order is given one.",
        ),
    ),
    "missing_rows": _mistake(
        ("있어야 할 행이 빠졌습니다.", "Rows that belong in the result are missing."),
        (
            "빠진 행이 어느 절에서 사라지는지, 절을 하나씩 지워 가며 찾아보세요.",
            "Take the clauses away one at a time to see which one loses the missing rows.",
        ),
    ),
    "extra_rows": _mistake(
        ("없어야 할 행이 나옵니다.", "Rows come out that do not belong in the result."),
        (
            "더 나온 행이 문제의 어느 조건을 어기는지 찾아보세요.",
            "Find out which condition of the question the extra rows break.",
        ),
    ),
    "wrong_rows": _mistake(
        ("결과의 행이 다릅니다.", "The rows of the result are different."),
        (
            "아래 작은 데이터로 문제를 손으로 풀고, 쿼리의 결과와 비교하세요.",
            "Solve the question by hand on the small data set, then compare with what your query returns.",
        ),
    ),
}

REMARKS: Final[dict[str, LocaleText]] = {
    "needlessly_complex": _text(
        "정답이지만 필요 이상으로 복잡합니다. 더 짧게 쓸 수 있습니다.",
        "Correct, but more complicated than needed; it can be written shorter.",
    ),
    "needless_order": _text(
        "순서를 묻지 않는 문제이므로 ORDER BY는 없어도 됩니다.",
        "The order of rows is not asked for, so ORDER BY is not needed.",
    ),
    "needless_distinct": _text(
        "중복이 생기지 않으므로 DISTINCT는 없어도 됩니다.",
        "No duplicates can arise, so DISTINCT is not needed.",
    ),
    "cross_join": _text(
        "조건 없는 조인이 있습니다. 데이터가 커지면 매우 느려집니다.",
        "There is a join without a condition; it becomes very slow as the data grows.",
    ),
    "slow": _text(
        "정답이지만 참고 답안보다 훨씬 느립니다.",
        "Correct, but much slower than the reference solution.",
    ),
}

ACCEPTED: Final = _text("정답입니다.", "Correct.")
FAILED_TO_RUN: Final = "error"
"""The mistake kind of an answer that was refused, failed to run or went over a limit; its own text says more."""


def difference_text(missing: int, extra: int, rows: int) -> LocaleText:
    """How the results differ on a data set of ``rows`` rows."""
    ko, en = [], []
    if missing:
        ko.append(f"있어야 할 행 {missing}개가 없습니다")
        en.append(f"{missing} expected {_rows(missing)} missing")
    if extra:
        ko.append(f"없어야 할 행 {extra}개가 있습니다")
        en.append(f"{extra} unexpected {_rows(extra)} returned")
    if not ko:
        return _text("", "")
    return _text(
        f"데이터 {rows}행에서 보면 {', '.join(ko)}.", f"On a data set of {rows} {_rows(rows)}: {', '.join(en)}."
    )


def _rows(count: int) -> str:
    return "row" if count == 1 else "rows"
