# ruff: noqa: E501 - the same sentence in two languages stands on one line
"""Problems that summarise: totals, groups, groups that pass a bar, shares, distributions, durations."""

from __future__ import annotations

from services.generator.offline.catalog import Field, Relation, Role, quoted
from services.generator.offline.clauses import Condition, Measure, condition
from services.generator.offline.composer import Composer, Dimension, Unsuitable, aliases, dedupe, from_clause, recipe
from services.generator.offline.draft import Draft, Level, Output, Sort
from services.generator.offline.recipes.rows import subject
from services.generator.offline.words import EMPTY, Text, listed, say


@recipe(Level.EASY)
def totals(c: Composer) -> Draft:
    """One row with two or three aggregates."""
    r = c.relation()
    scope = c.scope(r, most=2, least=1)
    measures = distinct_measures(c, r, "", 3)
    if len(measures) < 2:
        raise Unsuitable
    return Draft(
        "totals", Level.EASY,
        title=say("{t} 요약", "Summary of {p}", t=r.label.plain, p=r.label.plural),
        task=say("{s}에 대해 {m}을(를) 한 행으로 구하세요.", "Over the {s}, find {m} in one row.", s=subject(r, scope), m=listed([m.noun for m in measures])),
        outputs=[Output(m.name, m.noun, m.nullable) for m in measures],
        body=f"SELECT {', '.join(f'{m.sql} AS {quoted(m.name)}' for m in measures)} FROM {r.sql}{scope.where}",
        tables=[r.name],
        grain=EMPTY,
        step=Text("집계 함수를 나란히 두고 GROUP BY는 쓰지 마세요.", "Put the aggregates side by side without GROUP BY."),
        tags=[*measures[0].tags, *(t for m in measures[1:] for t in m.tags), *scope.tags],
        notes=[*scope.notes, *(n for m in measures for n in m.notes)],
        brief=scope.brief,
    )  # fmt: skip


def distinct_measures(c: Composer, r: Relation, alias: str, count: int) -> list[Measure]:
    found: dict[str, Measure] = {}
    for _ in range(count * 3):
        m = c.measure(r, alias)
        if len(found) < count:
            found.setdefault(m.name, m)
    return list(found.values())


@recipe(Level.MEDIUM)
def group_aggregate(c: Composer) -> Draft:
    r = c.relation()
    a, p = aliases(r.name, "parent")
    d = c.dimension(r, a, p)
    scope = c.scope(r, a, most=2)
    measures = distinct_measures(c, r, a, c.pick([1, 2]))
    names = dedupe([d.output.name, *(m.name for m in measures)])
    first = Output(names[0], d.output.meaning, d.output.nullable)
    outputs = [first, *(Output(n, m.noun, m.nullable) for n, m in zip(names[1:], measures, strict=True))]
    selected = ", ".join(f"{m.sql} AS {quoted(n)}" for n, m in zip(names[1:], measures, strict=True))
    order = [Sort(names[0])] if d.chronological else [Sort(names[1], True)]
    return Draft(
        "group_aggregate", Level.MEDIUM if d.link or len(scope.conditions) else Level.EASY,
        title=say("{d} {m}", "{m} {d}", d=d.plain, m=plain_noun(r, measures[0])),
        task=say("{s}에 대해 {d} {m}을(를) 구하세요.", "Over the {s}, find {m} for {d}.", s=subject(r, scope), d=d.each, m=listed([m.noun for m in measures])),
        outputs=outputs,
        body=f"SELECT {d.sql} AS {quoted(names[0])}, {selected} FROM {from_clause(r, a, d, p)}{scope.where} GROUP BY {d.sql}",
        tables=[r.name, *([d.link.parent] if d.link else [])],
        grain=say("{d} 한 행", "one row for {d}", d=d.each),
        step=Text("묶는 기준을 SELECT와 GROUP BY에 똑같이 적으세요.", "Write the grouping expression alike in SELECT and GROUP BY."),
        tags=[*d.tags, *(t for m in measures for t in m.tags), *scope.tags],
        unique=(names[0],),
        order=order if c.chance(0.8) else None,
        notes=[*scope.notes, *d.notes, *(n for m in measures for n in m.notes)],
        brief=scope.brief,
    )  # fmt: skip


def plain_noun(r: Relation, m: Measure) -> Text:
    """The measure's noun for a title: no backquoted names, no rounding remark."""
    korean = m.noun.ko.replace("(소수 둘째 자리까지 반올림)", "")
    english = m.noun.en.replace(" (rounded to 2 decimals)", "").replace("`", "")
    for f in r.fields:
        korean = korean.replace(f.label.full.ko, f.label.plain.ko)
    return Text(korean, english.removeprefix("the "))


@recipe(Level.MEDIUM)
def group_having(c: Composer) -> Draft:
    """Actors or categories with at least so many rows."""
    r = c.relation(lambda r: any(f.profile.distinct >= 4 for f in r.fields))
    actors = [x.field for x in c.actors(r)]
    field = c.pick([f for f in actors + r.having(Role.CATEGORY) if f.profile.distinct >= 4])
    scope = c.scope(r, most=1, without=[field])
    scope = scope.requiring("", field)
    m = c.measure(r, "")
    # A bar that some group meets exactly, small enough for a handful of rows to show the boundary.
    counts = sorted({n for _, n in field.profile.common if 2 <= n <= 9})
    bars = [n for n in counts if n <= 4] or counts[:1]
    bar = c.pick(bars)
    names = dedupe([field.name, "row_count", *([m.name] if m.sql != "COUNT(*)" else [])])
    outputs = [
        Output(names[0], field.label.full),
        Output(names[1], Text("행 수", "the number of rows")),
        *([Output(names[2], m.noun, m.nullable)] if len(names) > 2 else []),
    ]
    extra = f", {m.sql} AS {quoted(names[2])}" if len(names) > 2 else ""
    return Draft(
        "group_having", Level.MEDIUM,
        title=say("{t}이(가) {n}건 이상인 {f}", "{f} with at least {n} {p}", t=r.label.plain, n=bar, f=field.label.plain, p=r.label.plural),
        task=say(
            "{s}을(를) {f}별로 묶어, 행이 {n}개 이상인 {f}만 구하세요.", "Group the {s} by {f} and keep only those with at least {n} rows.",
            s=subject(r, scope), f=field.label.full, n=bar,
        ),
        outputs=outputs,
        body=f"SELECT {field.sql}, COUNT(*) AS row_count{extra} FROM {r.sql}{scope.where} GROUP BY {field.sql} HAVING COUNT(*) >= {bar}",
        tables=[r.name],
        grain=say("{f} 하나", "one {f}", f=field.label.full),
        step=Text("WHERE로 행을 먼저 거르고, 묶은 다음의 개수 조건은 HAVING에 두세요.", "Filter rows in WHERE first; the condition on the count goes into HAVING."),
        tags=["having", "group-by", "aggregate-count", *(m.tags if extra else ()), *scope.tags],
        unique=(field.name,),
        order=[Sort("row_count", True)],
        notes=[*scope.notes, *(m.notes if extra else ())],
        brief=scope.brief,
    )  # fmt: skip


@recipe(Level.MEDIUM)
def pivot(c: Composer) -> Draft:
    """Counts of two or three categories in columns."""
    r = c.relation(lambda r: any(f.profile.distinct >= 2 for f in r.having(Role.CATEGORY)))
    field = c.pick(r.having(Role.CATEGORY))
    a, p = aliases(r.name, "parent")
    d = c.dimension(r, a, p)
    if d.sql == field.of(a):
        raise Unsuitable
    values = [v for v, _ in field.profile.common[: c.pick([2, 3])]]
    names = dedupe([d.output.name, *(named_value(v) for v in values)])
    counted = ", ".join(
        f"COUNT(*) FILTER (WHERE {field.of(a)} = {_quote(v)}) AS {quoted(n)}"
        for v, n in zip(values, names[1:], strict=True)
    )
    listing = listed([Text(f"'{v}'", f"'{v}'") for v in values])
    return Draft(
        "pivot", Level.MEDIUM,
        title=say("{d} {f} 피벗", "{f} pivoted {d}", d=d.plain, f=field.label.plain),
        task=say(
            "{t}에 대해 {d} {f}이(가) {v}인 행의 수를 각각 한 열로 구하세요. 해당하는 행이 없으면 0입니다.",
            "Over {t}, for {d}, count the rows where {f} is {v}, one column each. Show 0 where there are none.",
            t=r.label.full, d=d.each, f=field.label.full, v=listing,
        ),
        outputs=[Output(names[0], d.output.meaning, d.output.nullable), *(
            Output(n, say("{f}이(가) '{v}'인 행 수", "the number of rows where {f} is '{v}'", f=field.label.full, v=v)) for n, v in zip(names[1:], values, strict=True)
        )],
        body=f"SELECT {d.sql} AS {quoted(names[0])}, {counted} FROM {from_clause(r, a, d, p)} GROUP BY {d.sql}",
        tables=[r.name, *([d.link.parent] if d.link else [])],
        grain=say("{d} 한 행", "one row for {d}", d=d.each),
        step=Text("값마다 조건이 다른 COUNT를 하나씩 두고, 조건에 맞는 행이 없는 그룹도 남기세요.", "Use one COUNT per value, each with its own condition, and keep groups in which nothing matches."),
        tags=["conditional-aggregation", *d.tags, "aggregate-count"],
        unique=(names[0],),
        order=[Sort(names[0])],
        notes=list(d.notes),
    )  # fmt: skip


def _quote(value: object) -> str:
    from services.generator.offline.clauses import literal

    return literal(value)


def named_value(value: object) -> str:
    from services.generator.offline.lexicon import snake

    return f"{snake(str(value))}_count"


@recipe(Level.HARD)
def group_percentage(c: Composer) -> Draft:
    """Share of rows in a group that meet a condition."""
    r = c.relation(lambda r: bool(r.categories))
    a, p = aliases(r.name, "parent")
    d = c.dimension(r, a, p, dates=c.chance(0.3))
    test = _condition(c, r, a, d)
    share = f"ROUND(100.0 * COUNT(*) FILTER (WHERE {test.sql}) / COUNT(*), 1)"
    names = dedupe([d.output.name, "row_count", "percentage"])
    return Draft(
        "group_percentage", Level.MEDIUM if d.link is None else Level.HARD,
        title=say("{d} {b} 비율", "Percentage of {b} {d}", d=d.plain, b=test.brief),
        task=say(
            "{t}에 대해 {d} 전체 행 수와, 그중 {x} 행의 비율(%)을 구하세요.", "Over {t}, for {d}, find the number of rows and the percentage of them where {x}.",
            t=r.label.full, d=d.each, x=test.attr,
        ),
        outputs=[
            Output(names[0], d.output.meaning, d.output.nullable),
            Output(names[1], Text("전체 행 수", "the number of all rows")),
            Output(names[2], Text("조건에 맞는 행의 비율(%), 소수 첫째 자리까지 반올림", "the percentage of rows that match, rounded to 1 decimal")),
        ],
        body=f"SELECT {d.sql} AS {quoted(names[0])}, COUNT(*) AS row_count, {share} AS percentage FROM {from_clause(r, a, d, p)} GROUP BY {d.sql}",
        tables=[r.name, *([d.link.parent] if d.link else [])],
        grain=say("{d} 한 행", "one row for {d}", d=d.each),
        step=Text("분모는 그룹의 모든 행, 분자는 조건에 맞는 행입니다. WHERE로 거르면 분모가 줄어듭니다.", "The denominator is every row of the group, the numerator the matching ones. A WHERE would shrink the denominator."),
        tags=["percentage", "conditional-aggregation", *d.tags, "rounding", *test.tags],
        unique=(names[0],),
        order=[Sort(names[0])] if d.chronological else [Sort("percentage", True)],
        notes=[*d.notes, *(_unmatched(n) for n in test.notes)],
    )  # fmt: skip


def _unmatched(note: Text) -> Text:
    return note + Text(" 그래도 분모에는 들어갑니다.", " They still count in the denominator.")


def _condition(c: Composer, r: Relation, alias: str, d: Dimension) -> Condition:
    fields = [f for f in r.categories + r.measures if f.of(alias) != d.sql]
    made = condition(c.rng, c.pick(fields), alias)
    if made is None:
        raise Unsuitable
    return made


@recipe(Level.MEDIUM)
def time_pattern(c: Composer) -> Draft:
    """Distribution over hours of the day or ISO weekdays."""
    r = c.relation(lambda r: bool(r.moments))
    field = c.pick(r.moments)
    hourly = field.role is Role.MOMENT and c.chance(0.5)
    scope = c.scope(r, most=1, without=[field]).requiring("", field)
    part = "HOUR" if hourly else "ISODOW"
    name, what = (
        ("hour", Text("시(0~23)", "the hour (0-23)"))
        if hourly
        else ("weekday", Text("요일 번호(월요일 1 ~ 일요일 7)", "the ISO weekday (Monday 1 to Sunday 7)"))
    )
    m = c.measure(r, "")
    unit = Text("시간대", "hour of the day") if hourly else Text("요일", "weekday")
    return Draft(
        "time_pattern", Level.MEDIUM,
        title=say("{u}별 {m}", "{m} by {u}", u=unit, m=plain_noun(r, m)),
        task=say("{s}에 대해 {f} 기준 {u}별 {m}을(를) 구하세요.", "Over the {s}, find {m} for each {u} of {f}.", s=subject(r, scope), f=field.label.full, u=unit, m=m.noun),
        outputs=[Output(name, what), Output(m.name, m.noun, m.nullable)],
        body=f"SELECT EXTRACT({part} FROM {field.sql}) AS {quoted(name)}, {m.sql} AS {quoted(m.name)} FROM {r.sql}{scope.where} GROUP BY EXTRACT({part} FROM {field.sql})",
        tables=[r.name],
        grain=say("{u} 하나", "one {u}", u=unit),
        step=Text("꺼낸 부분으로 묶으세요. 행이 없는 구간은 결과에 나오지 않습니다.", "Group by the part you took out. Parts without rows do not appear."),
        tags=["date-part", "group-by", *m.tags, *scope.tags],
        unique=(name,),
        order=[Sort(m.name, True)] if c.chance(0.4) else [Sort(name)],
        notes=[*scope.notes, *m.notes],
        brief=scope.brief,
    )  # fmt: skip


@recipe(Level.HARD)
def duration(c: Composer) -> Draft:
    """Average time between two moments of a row, by group."""
    pairs = [(r, x, y) for r in c.catalog.filled for x in r.moments for y in r.moments if _follows(x, y)]
    r, start, end = c.pick(pairs)
    a, p = aliases(r.name, "parent")
    d = c.dimension(r, a, p, dates=False)
    scope = c.scope(r, a, most=1, without=[start, end]).requiring(a, start, end)
    unit, per, korean = ("seconds", 1, "초") if start.role is Role.MOMENT else ("days", 86400, "일")
    seconds = (
        f"EPOCH({end.of(a)}) - EPOCH({start.of(a)})" if per == 1 else f"DATE_DIFF('day', {start.of(a)}, {end.of(a)})"
    )
    names = dedupe([d.output.name, f"avg_{unit}", f"max_{unit}"])
    gap = say(
        "{a}부터 {b}까지 걸린 시간({u})",
        "the time from {a} to {b} in {e}",
        a=start.label.full,
        b=end.label.full,
        u=korean,
        e=unit,
    )
    return Draft(
        "duration", Level.HARD,
        title=say("{d} {a}부터 {b}까지 걸린 시간", "Time from {a} to {b} {d}", d=d.plain, a=start.label.plain, b=end.label.plain),
        task=say("{s}에 대해 {d} {g}의 평균과 최댓값을 구하세요.", "Over the {s}, for {d}, find the average and the largest of {g}.", s=subject(r, scope), d=d.each, g=gap),
        outputs=[
            Output(names[0], d.output.meaning, d.output.nullable),
            Output(names[1], gap + Text("의 평균(소수 둘째 자리까지 반올림)", ", averaged (rounded to 2 decimals)")),
            Output(names[2], gap + Text("의 최댓값", ", the largest")),
        ],
        body=f"SELECT {d.sql} AS {quoted(names[0])}, ROUND(AVG({seconds}), 2) AS {names[1]}, MAX({seconds}) AS {names[2]} FROM {from_clause(r, a, d, p)}{scope.where} GROUP BY {d.sql}",
        tables=[r.name, *([d.link.parent] if d.link else [])],
        grain=say("{d} 한 행", "one row for {d}", d=d.each),
        step=Text("행마다 차이를 먼저 구하고, 그 차이를 집계하세요.", "Take the difference row by row first, then aggregate it."),
        tags=["date-difference", *d.tags, "aggregate-average", "aggregate-min-max", "rounding", *scope.tags],
        unique=(names[0],),
        order=[Sort(names[1], True)],
        notes=[*scope.notes, *d.notes],
        brief=scope.brief,
    )  # fmt: skip


def _follows(start: Field, end: Field) -> bool:
    a, b = start.profile.quantiles, end.profile.quantiles
    return (
        start is not end
        and start.role is end.role
        and bool(a and b)
        and a != b
        and all(x <= y for x, y in zip(a, b, strict=True))
    )


@recipe(Level.HARD)
def median_by_group(c: Composer) -> Draft:
    r = c.relation(lambda r: bool(r.measures and r.categories))
    field = c.pick(r.measures)
    a, p = aliases(r.name, "parent")
    d = c.dimension(r, a, p, dates=False)
    scope = c.scope(r, a, most=1, without=[field]).requiring(a, field)
    names = dedupe([d.output.name, f"median_{field.name}", f"avg_{field.name}"])
    return Draft(
        "median_by_group", Level.MEDIUM,
        title=say("{d} {f}의 중앙값과 평균", "Median and average {f} {d}", d=d.plain, f=field.label.plain),
        task=say("{s}에 대해 {d} {f}의 중앙값과 평균을 구하세요.", "Over the {s}, for {d}, find the median and the average of {f}.", s=subject(r, scope), d=d.each, f=field.label.full),
        outputs=[
            Output(names[0], d.output.meaning, d.output.nullable),
            Output(names[1], say("{f}의 중앙값(행 수가 짝수이면 가운데 두 값의 평균, 소수 둘째 자리까지 반올림)", "the median of {f} (with an even number of rows the mean of the middle two), rounded to 2 decimals", f=field.label.full)),
            Output(names[2], say("{f}의 평균(소수 둘째 자리까지 반올림)", "the average of {f}, rounded to 2 decimals", f=field.label.full)),
        ],
        body=f"SELECT {d.sql} AS {quoted(names[0])}, ROUND(MEDIAN({field.of(a)}), 2) AS {quoted(names[1])}, ROUND(AVG({field.of(a)}), 2) AS {quoted(names[2])} FROM {from_clause(r, a, d, p)}{scope.where} GROUP BY {d.sql}",
        tables=[r.name, *([d.link.parent] if d.link else [])],
        grain=say("{d} 한 행", "one row for {d}", d=d.each),
        step=Text("두 집계를 같은 그룹에서 나란히 구하세요.", "Compute both aggregates side by side over the same groups."),
        tags=["median", "aggregate-average", *d.tags, "rounding", *scope.tags],
        unique=(names[0],),
        order=[Sort(names[1], True)],
        notes=[*scope.notes, *d.notes],
        brief=scope.brief,
    )  # fmt: skip
