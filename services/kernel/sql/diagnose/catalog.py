"""DuckDB's messages, recognised by their wording, in a learner's words.

Named groups of a pattern may be used in the texts. The first entry that matches is taken, so special ones come first.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Entry:
    code: str
    pattern: re.Pattern[str]
    message_en: str
    message_ko: str
    hint_en: str
    hint_ko: str


def _entry(code: str, pattern: str, message: tuple[str, str], hint: tuple[str, str]) -> Entry:
    return Entry(code, re.compile(pattern, re.IGNORECASE | re.DOTALL), *message, *hint)


ENTRIES: Final[tuple[Entry, ...]] = (
    _entry(
        "unknown_column",
        r'Referenced column "(?P<name>[^"]+)" not found|does not have a column named "(?P<name2>[^"]+)"|'
        r'Column "(?P<name3>[^"]+)" does not exist',
        ("There is no column named {name} here.", "여기에는 {name} 열이 없습니다."),
        (
            "Check the spelling, and whether the table that has it is in FROM. A text value needs single quotes.",
            "철자를 확인하고, 그 열을 가진 테이블이 FROM에 있는지 보세요. 문자열 값은 작은따옴표로 감쌉니다.",
        ),
    ),
    _entry(
        "unknown_alias",
        r'Referenced table "(?P<name>[^"]+)" not found',
        ("No table or alias in FROM is called {name}.", "FROM에 {name}(이)라는 테이블이나 별칭이 없습니다."),
        (
            "Once a table has an alias, use the alias and not the table's name.",
            "테이블에 별칭을 주었다면 테이블 이름 대신 별칭을 쓰세요.",
        ),
    ),
    _entry(
        "unknown_table",
        r"Table with name (?P<name>.+?) does not exist",
        ("There is no table named {name}.", "{name} 테이블이 없습니다."),
        ("Compare the name with the problem's tables.", "문제에 나온 테이블 이름과 비교해 보세요."),
    ),
    _entry(
        "unknown_function",
        r"Function with name (?P<name>.+?) does not exist",
        ("There is no function named {name}.", "{name} 함수가 없습니다."),
        (
            "Functions differ between databases; look for the one of this database.",
            "함수는 데이터베이스마다 다릅니다. 이 데이터베이스의 함수를 찾아보세요.",
        ),
    ),
    _entry(
        "ambiguous_column",
        r'Ambiguous reference to column name "(?P<name>[^"]+)"',
        (
            "More than one table has a column {name}, so it is not clear which is meant.",
            "{name} 열이 여러 테이블에 있어 어느 것인지 알 수 없습니다.",
        ),
        ("Write the table before it, as in table.{name}.", "table.{name}처럼 앞에 테이블을 적으세요."),
    ),
    _entry(
        "not_grouped",
        r'column "(?P<name>[^"]+)" must appear in the GROUP BY',
        (
            "{name} is neither grouped nor aggregated, so a group may hold several values of it.",
            "{name}은(는) 그룹 기준도 집계값도 아니어서 한 그룹에 값이 여러 개일 수 있습니다.",
        ),
        (
            "Group by it, or say with an aggregate function which of the values is wanted.",
            "GROUP BY에 넣거나, 집계 함수로 어떤 값을 원하는지 정하세요.",
        ),
    ),
    _entry(
        "aggregate_in_where",
        r"(?P<clause>WHERE|GROUP BY|JOIN)[^!]*cannot contain aggregates",
        ("{clause} is evaluated before rows are grouped, so it cannot use an aggregate.",
         "{clause}은(는) 그룹을 만들기 전에 계산되므로 집계 함수를 쓸 수 없습니다."),
        ("Conditions on groups belong in HAVING.", "그룹에 대한 조건은 HAVING에 씁니다."),
    ),
    _entry(
        "window_in_where",
        r"(?P<clause>WHERE|HAVING|GROUP BY)[^!]*cannot contain window functions",
        ("{clause} is evaluated before window functions.", "{clause}은(는) 윈도 함수보다 먼저 계산됩니다."),
        ("Use QUALIFY, or filter in an outer query.", "QUALIFY를 쓰거나 바깥 쿼리에서 거르세요."),
    ),
    _entry(
        "nested_aggregate",
        r"aggregate function calls cannot be nested",
        ("An aggregate cannot be computed inside another.", "집계 함수 안에 집계 함수를 쓸 수 없습니다."),
        ("Compute the inner one in a subquery first.", "안쪽 집계를 서브쿼리에서 먼저 계산하세요."),
    ),
    _entry(
        "window_without_over",
        r"Window functions are not supported here|window function.*requires an OVER",
        ("A window function needs OVER (...) and belongs in SELECT, ORDER BY or QUALIFY.",
         "윈도 함수에는 OVER (...)가 필요하며 SELECT, ORDER BY, QUALIFY에만 쓸 수 있습니다."),
        ("Add OVER with the rows it should look at.", "어떤 행을 볼지 OVER로 정하세요."),
    ),
    _entry(
        "column_count",
        r"same number of result columns",
        ("The two sides of the set operation have different numbers of columns.",
         "집합 연산 양쪽의 열 개수가 다릅니다."),
        ("Select as many columns on each side, in the same order.", "양쪽에서 같은 개수의 열을 같은 순서로 고르세요."),
    ),
    _entry(
        "subquery_columns",
        r"Subquery returns (?P<count>\d+) columns - expected (?P<expected>\d+)",
        ("The subquery returns {count} columns where {expected} is expected.",
         "서브쿼리가 열을 {count}개 돌려주지만 여기서는 {expected}개여야 합니다."),
        ("Select only the column to compare with.", "비교할 열만 고르세요."),
    ),
    _entry(
        "subquery_rows",
        r"More than one row returned by a subquery",
        ("The subquery gives more than one row where a single value is needed.",
         "값 하나가 필요한 자리에서 서브쿼리가 여러 행을 돌려줍니다."),
        ("Compare with IN, aggregate, or make the condition narrower.",
         "IN으로 비교하거나, 집계하거나, 조건을 더 좁히세요."),
    ),
    _entry(
        "position_out_of_range",
        r"(?P<clause>ORDER|GROUP BY) term out of range - should be between 1 and (?P<count>\d+)",
        ("There is no such column number: the result has {count} columns.",
         "그런 번호의 열이 없습니다. 결과의 열은 {count}개입니다."),
        ("Use a number up to {count}, or the column's name.", "{count} 이하의 번호나 열 이름을 쓰세요."),
    ),
    _entry(
        "division_by_zero",
        r"division by zero",
        ("A number is divided by zero for at least one row.", "어떤 행에서 0으로 나누고 있습니다."),
        ("Decide what the result is then, for example with NULLIF(divisor, 0).",
         "그때의 결과를 정하세요. 예: NULLIF(나누는 값, 0)."),
    ),
    _entry(
        "date_value",
        r"date field|timestamp field|invalid (date|timestamp|time)|time field",
        ("This text is not a date or time that exists.", "존재하는 날짜나 시간이 아닙니다."),
        ("Dates are written 'YYYY-MM-DD'.", "날짜는 'YYYY-MM-DD' 형식으로 씁니다."),
    ),
    _entry(
        "conversion",
        r"Could not convert (?P<from>\w+) '(?P<value>[^']*)' to (?P<to>\w+)",
        ("The text '{value}' cannot be read as {to}.", "문자열 '{value}'을(를) {to}(으)로 바꿀 수 없습니다."),
        ("Compare values of one type, or use TRY_CAST where some values are not of it.",
         "같은 타입끼리 비교하거나, 바꿀 수 없는 값이 있으면 TRY_CAST를 쓰세요."),
    ),
    _entry(
        "out_of_range",
        r"out of range|overflow",
        ("A value does not fit its type.", "값이 타입의 범위를 벗어납니다."),
        ("Cast to a larger type before computing, for example BIGINT or DOUBLE.",
         "계산하기 전에 BIGINT나 DOUBLE 같은 더 큰 타입으로 바꾸세요."),
    ),
    _entry(
        "argument_types",
        r"(?:function call \"|argument types ')(?P<call>[^'\"]+)",
        ("{call} does not exist: the function or operator does not take values of these types.",
         "{call} 형태는 없습니다. 함수나 연산자가 이 타입의 값을 받지 않습니다."),
        ("Check the number and the types of the arguments; CAST changes a type.",
         "인자의 개수와 타입을 확인하세요. CAST로 타입을 바꿀 수 있습니다."),
    ),
    _entry(
        "negative_limit",
        r"LIMIT/OFFSET cannot be negative",
        ("LIMIT and OFFSET cannot be negative.", "LIMIT과 OFFSET은 음수일 수 없습니다."),
        ("Use zero or a positive number.", "0이나 양수를 쓰세요."),
    ),
    _entry(
        "unterminated",
        r"unterminated (?P<what>quoted|string|.*comment)",
        ("A quotation mark or comment is opened and never closed.", "따옴표나 주석이 열린 뒤 닫히지 않았습니다."),
        ("Close it; a quote inside text is doubled: 'it''s'.",
         "닫아 주세요. 문자열 안의 작은따옴표는 두 번 씁니다: 'it''s'."),
    ),
    _entry(
        "syntax",
        r"syntax error at or near \"(?P<near>[^\"]*)\"",
        ("The statement cannot be understood from {near} on.", "{near} 부분부터 문법을 이해할 수 없습니다."),
        ("Look just before the mark too: a missing comma, parenthesis or keyword shows up after its place.",
         "표시된 곳의 바로 앞도 보세요. 쉼표, 괄호, 키워드가 빠지면 그 뒤에서 드러납니다."),
    ),
)  # fmt: skip

UNRECOGNISED: Final = _entry(
    "database_error",
    "",
    ("The database could not run the statement: {text}", "데이터베이스가 이 문장을 실행하지 못했습니다: {text}"),
    (
        "Read the marked place and simplify the statement around it.",
        "표시된 곳을 살펴보고 그 주변을 단순하게 만들어 보세요.",
    ),
)

LIMITS: Final[dict[str, Entry]] = {
    kind: _entry(f"limit_{kind}", "", message, hint)
    for kind, message, hint in (
        (
            "wall",
            ("The query ran longer than the time allowed.", "쿼리가 허용된 시간보다 오래 실행되었습니다."),
            ("Look for a join without a condition, or a recursion that never ends.",
             "조건 없는 조인이나 끝나지 않는 재귀가 있는지 보세요."),
        ),
        (
            "cpu",
            ("The query used more processor time than allowed.", "쿼리가 허용된 것보다 많은 계산 시간을 썼습니다."),
            ("Look for a join without a condition, or a recursion that never ends.",
             "조건 없는 조인이나 끝나지 않는 재귀가 있는지 보세요."),
        ),
        (
            "memory",
            ("The query needed more memory than allowed.", "쿼리가 허용된 것보다 많은 메모리를 필요로 했습니다."),
            ("Reduce rows before joining, sorting or collecting them.",
             "조인하거나 정렬하거나 모으기 전에 행을 줄이세요."),
        ),
        (
            "rows",
            ("The result has more rows than can be shown.", "결과의 행이 보여 줄 수 있는 것보다 많습니다."),
            ("Check the join conditions, or add LIMIT.", "조인 조건을 확인하거나 LIMIT을 붙이세요."),
        ),
        (
            "bytes",
            ("The result is larger than can be shown.", "결과가 보여 줄 수 있는 것보다 큽니다."),
            ("Select fewer columns, or shorter values.", "더 적은 열이나 더 짧은 값을 고르세요."),
        ),
    )
}  # fmt: skip

CRASHED: Final = _entry(
    "worker_died",
    "",
    ("The query made the database stop.", "쿼리 때문에 데이터베이스가 멈췄습니다."),
    ("Write it in a simpler way.", "더 단순하게 써 보세요."),
)

REFUSAL_HINTS: Final[dict[str, tuple[str, str]]] = {
    "unknown_table": ("Compare the name with the problem's tables.", "문제에 나온 테이블 이름과 비교해 보세요."),
    "multiple_statements": ("Keep the last statement only.", "마지막 문장만 남기세요."),
    "too_deep": ("Split it with WITH, or remove parentheses.", "WITH로 나누거나 괄호를 줄이세요."),
    "syntax": (
        "Look just before the mark too: a missing comma, parenthesis or keyword shows up after its place.",
        "표시된 곳의 바로 앞도 보세요. 쉼표, 괄호, 키워드가 빠지면 그 뒤에서 드러납니다.",
    ),
}
DEFAULT_REFUSAL_HINT: Final = (
    "Answer with one SELECT over the problem's tables.",
    "문제의 테이블을 읽는 SELECT 하나로 답하세요.",
)
