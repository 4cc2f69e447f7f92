# ruff: noqa: E501 - the same sentence in two languages stands on one line
"""Problems whose answer is rows of a table: choosing, ordering, cutting, looking for what is missing."""

from __future__ import annotations

from services.generator.offline.catalog import Field, Relation, Role
from services.generator.offline.clauses import Scope, literal
from services.generator.offline.composer import Composer, Unsuitable, recipe
from services.generator.offline.draft import Draft, Level, Output, Sort
from services.generator.offline.words import Text, say


def subject(relation: Relation, scope: Scope) -> Text:
    """ "상태가 'paid'인 주문(`orders`)" / "rows of `orders` where `status` is 'paid'"."""
    return say("{s}{t}", "rows of {t}{s}", s=scope.text, t=relation.label.full)


def outputs_of(fields: list[Field]) -> list[Output]:
    return [Output(f.name, f.label.full, f.nullable) for f in fields]


def _shown_fields(c: Composer, relation: Relation, without: list[Field], count: int) -> list[Field]:
    rest = [f for f in relation.fields if f not in without and f.role is not Role.OTHER]
    chosen = c.rng.sample(rest, k=min(count, len(rest)))
    return [f for f in relation.fields if f in chosen]


def _columns(fields: list[Field]) -> str:
    return ", ".join(f.sql for f in fields)


@recipe(Level.EASY)
def select_rows(c: Composer) -> Draft:
    r = c.relation()
    scope = c.scope(r, most=2, least=1)
    fields = [*r.key_fields, *_shown_fields(c, r, r.key_fields, 3)]
    keyed = bool(r.key)
    return Draft(
        "select_rows", Level.EASY,
        title=say("{t} 조회", "Find {p}", t=r.label.plain, p=r.label.plural),
        task=say("{s}을(를) 모두 조회하세요.", "List all {s}.", s=subject(r, scope)),
        outputs=outputs_of(fields),
        body=f"SELECT {_columns(fields)} FROM {r.sql}{scope.where}",
        tables=[r.name],
        grain=say("{t} 한 행", "one row of {t}", t=r.label.full),
        step=Text("SELECT에 결과 열을 순서대로 적고, 조건을 WHERE에 AND로 이으세요.", "List the output columns in order in SELECT and join the conditions with AND in WHERE."),
        tags=[*scope.tags, "projection"],
        unique=r.key,
        order=[Sort(name) for name in r.key] if keyed else None,
        notes=scope.notes if keyed else [*scope.notes, Text("같은 행이 여러 번 있으면 그대로 모두 냅니다.", "Rows that occur several times stay as often as they occur.")],
        brief=scope.brief,
    )  # fmt: skip


@recipe(Level.EASY)
def top_rows(c: Composer) -> Draft:
    r = c.relation(lambda r: bool(r.key and (r.measures or r.moments)))
    by = c.pick(r.measures + r.moments)
    scope = c.scope(r, most=1, without=[by]).requiring("", by)
    fields = [*r.key_fields, *_shown_fields(c, r, [*r.key_fields, by], 1), by]
    down = c.chance(0.7)
    n = c.pick([3, 5, 7, 10])
    most = _superlative(by, down)
    return Draft(
        "top_rows", Level.EASY,
        title=say("{f}이(가) {k} {t} {n}개", "{n} {p} with the {e} {f}", f=by.label.plain, t=r.label.plain, p=r.label.plural, n=n, k=most.ko, e=most.en),
        task=say("{s} 중에서 {f}이(가) {k} {n}개를 구하세요.", "Among the {s}, find the {n} with the {e} {f}.", s=subject(r, scope), f=by.label.full, n=n, k=most.ko, e=most.en),
        outputs=[Output(f.name, f.label.full, f.nullable and f is not by) for f in fields],
        body=f"SELECT {_columns(fields)} FROM {r.sql}{scope.where}",
        tables=[r.name],
        grain=say("{t} 한 행", "one row of {t}", t=r.label.full),
        step=Text("먼저 전체를 정렬하고(동점 기준 포함), 마지막에 개수를 제한하세요.", "Order everything first, tie-breaker included, and limit the number of rows last."),
        tags=["limit", "order-by", *scope.tags],
        unique=r.key,
        order=[Sort(by.name, down)],
        limit=n,
        notes=scope.notes,
        brief=scope.brief,
    )  # fmt: skip


def _superlative(field: Field, down: bool) -> Text:
    if field.temporal:
        return Text("가장 늦은", "latest") if down else Text("가장 이른", "earliest")
    return Text("가장 큰", "largest") if down else Text("가장 작은", "smallest")


@recipe(Level.EASY)
def distinct_values(c: Composer) -> Draft:
    r = c.relation(lambda r: len(r.categories) >= 2)
    fields = c.rng.sample(r.categories, k=2)
    scope = c.scope(r, most=1, least=1, without=fields)
    names = say("{a}과(와) {b}", "{a} and {b}", a=fields[0].label.full, b=fields[1].label.full)
    return Draft(
        "distinct_values", Level.EASY,
        title=say("{t}의 {a}·{b} 조합", "Combinations of {a} and {b} in {p}", t=r.label.plain, p=r.label.plural, a=fields[0].label.plain, b=fields[1].label.plain),
        task=say("{s}에 나타나는 {n}의 서로 다른 조합을 구하세요.", "Find the distinct combinations of {n} that occur in the {s}.", s=subject(r, scope), n=names),
        outputs=outputs_of(fields),
        body=f"SELECT DISTINCT {_columns(fields)} FROM {r.sql}{scope.where}",
        tables=[r.name],
        grain=say("{n}의 조합 하나", "one combination of {n}", n=names),
        step=Text("두 열만 고른 뒤 같은 조합은 한 번만 남기세요.", "Select the two columns and keep each combination once."),
        tags=["distinct", *scope.tags],
        unique=tuple(f.name for f in fields),
        order=[Sort(f.name) for f in fields],
        notes=[*scope.notes, *(_null_value(f) for f in fields if f.nullable)],
        brief=scope.brief,
    )  # fmt: skip


def _null_value(field: Field) -> Text:
    return say("{f}의 NULL도 하나의 값으로 봅니다.", "NULL counts as a value of {f}.", f=field.label.full)


@recipe(Level.EASY)
def fill_missing(c: Composer) -> Draft:
    """COALESCE to a stated word, counted by the filled value."""
    r = c.relation(lambda r: any(f.profile.nulls > 0 and f.role is Role.CATEGORY for f in r.fields))
    field = c.pick([f for f in r.having(Role.CATEGORY) if f.profile.nulls])
    scope = c.scope(r, most=1, without=[field])
    word = c.pick(["unknown", "none", "not given"])
    if any(value == word for value, _ in field.profile.common):
        raise Unsuitable
    filled = f"COALESCE({field.sql}, {literal(word)})"
    return Draft(
        "fill_missing", Level.MEDIUM,
        title=say("빈 {f}을(를) 채워 세기", "Count {p} with missing {f} filled in", f=field.label.plain, p=r.label.plural),
        task=say(
            "{s}의 {f}별 행 수를 구하세요. {f}이(가) NULL이면 대신 '{w}' 값을 보여 주세요.",
            "Count the {s} for each {f}. Show a NULL {f} as '{w}'.", s=subject(r, scope), f=field.label.full, w=word,
        ),
        outputs=[Output(field.name, say("{f}(NULL은 '{w}')", "{f}, with NULL shown as '{w}'", f=field.label.full, w=word)), Output("row_count", Text("행 수", "the number of rows"))],
        body=f"SELECT {filled} AS {field.sql}, COUNT(*) AS row_count FROM {r.sql}{scope.where} GROUP BY {filled}",
        tables=[r.name],
        grain=say("채운 뒤의 {f} 하나", "one value of {f} after filling", f=field.label.full),
        step=Text("채운 값으로 묶으세요. 묶은 뒤에 채우면 안 되는 경우가 있는지 생각해 보세요.", "Group by the filled value, and ask yourself when filling after grouping would go wrong."),
        tags=["coalesce", "group-by", "aggregate-count", *scope.tags],
        unique=(field.name,),
        order=[Sort("row_count", True)],
        notes=scope.notes,
        brief=scope.brief,
    )  # fmt: skip


@recipe(Level.MEDIUM)
def active_at(c: Composer) -> Draft:
    """Rows whose period [start, end) contains a day; a NULL end is still running."""
    r, start, end = c.pick(_periods(c))
    day = start.profile.quantiles[c.rng.randrange(8, 19)]
    at = literal(day)
    group = c.pick(list(r.categories))
    shown = say("{d}", "{d}", d=str(day))
    return Draft(
        "active_at", Level.MEDIUM,
        title=say("{d}에 유효했던 {t}", "{p} running on {d}", d=str(day)[:10], t=r.label.plain, p=r.label.plural.capitalize()),
        task=say(
            "{d} 시점에 유효했던 {t}의 수를 {g}별로 구하세요. {a}이(가) 그 시점보다 늦지 않고, {b}이(가) 그 시점보다 늦거나 NULL(아직 끝나지 않음)이면 유효합니다.",
            "Count the {t} that were running at {d} for each {g}. A row is running when {a} is not later than that moment and {b} is later than it or NULL (not ended yet).",
            d=shown, t=r.label.full, g=group.label.full, a=start.label.full, b=end.label.full,
        ),
        outputs=[*outputs_of([group]), Output("running_count", say("유효한 {t} 수", "the number of running {p}", t=r.label.plain, p=r.label.plural))],
        body=(
            f"SELECT {group.sql}, COUNT(*) AS running_count FROM {r.sql} WHERE {start.sql} <= {at}"
            f" AND ({end.sql} > {at} OR {end.sql} IS NULL) GROUP BY {group.sql}"
        ),
        tables=[r.name],
        grain=say("{g} 하나", "one {g}", g=group.label.full),
        step=Text("시작 조건과 끝 조건을 AND로 잇되, 끝 조건 안의 OR는 괄호로 묶으세요.", "Join the start and end conditions with AND, and put the OR of the end condition in parentheses."),
        tags=["point-in-time", "null-handling", "boolean-logic", "group-by", "aggregate-count"],
        unique=(group.name,),
        order=[Sort("running_count", True)],
    )  # fmt: skip


def _periods(c: Composer) -> list[tuple[Relation, Field, Field]]:
    """Tables with a required start and an optional end of the same type."""
    return [
        (r, start, end)
        for r in c.catalog.filled
        if r.categories
        for start in r.moments
        for end in r.moments
        if start.role is end.role and not start.nullable and end.profile.nulls > 0 and _begins(start, end)
    ]


def _begins(start: Field, end: Field) -> bool:
    a, b = start.profile.quantiles, end.profile.quantiles
    return bool(
        a
        and b
        and a[0] <= b[0]
        and any(w in end.name.lower() for w in ("end", "close", "cancel", "return", "expire", "종료", "until", "to"))
    )
