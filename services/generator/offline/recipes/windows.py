# ruff: noqa: E501 - the same sentence in two languages stands on one line
"""Problems for window functions: top N, latest rows, running totals, moving averages, changes, shares, buckets."""

from __future__ import annotations

from services.generator.offline.catalog import Field, Relation, Role, quoted
from services.generator.offline.clauses import Measure, Scope, count_rows
from services.generator.offline.composer import Composer, Dimension, Unsuitable, aliases, dedupe, from_clause, recipe
from services.generator.offline.draft import Draft, Level, Output, Sort
from services.generator.offline.recipes.rows import subject
from services.generator.offline.recipes.summaries import plain_noun
from services.generator.offline.words import Text, say


@recipe(Level.HARD)
def top_n_per_group(c: Composer) -> Draft:
    r = c.relation(
        lambda r: bool(r.key and r.categories and any(f.profile.distinct > 3 for f in r.measures + r.moments))
    )
    group = c.pick(r.categories)
    by = c.pick([f for f in r.measures + r.moments if f.profile.distinct > 3])
    scope = c.scope(r, most=1, without=[group, by]).requiring("", group, by)
    ties, down = c.chance(0.4), c.chance(0.7)
    n = c.pick([2, 3]) if ties else c.pick([1, 2, 3])
    function = "RANK()" if ties else "ROW_NUMBER()"
    direction = "DESC" if down else "ASC"
    breaker = "" if ties else ", " + ", ".join(f.sql for f in r.key_fields)
    ranked = c.fresh("ranked")
    fields = [group, *r.key_fields, by]
    ko, en = (
        (("늦은", "latest") if down else ("이른", "earliest"))
        if by.temporal
        else (("큰", "largest") if down else ("작은", "smallest"))
    )
    tie = (
        say(
            "동점이면 같은 순위를 주고, 순위가 {n} 이하인 행을 모두 냅니다.",
            "Ties share a rank; keep every row whose rank is at most {n}.",
            n=n,
        )
        if ties
        else say(
            "{b}이(가) 같으면 {k}이(가) 작은 행이 앞섭니다.",
            "On a tie in {b} the row with the smaller {k} comes first.",
            b=by.label.full,
            k=r.key_fields[0].label.full,
        )
    )
    return Draft(
        "top_n_per_group", Level.HARD,
        title=say("{g}별 {f}이(가) 가장 {k} {t} {n}개", "Top {n} {p} by {e} {f} in each {g}", g=group.label.plain, f=by.label.plain, k=ko, e=en, t=r.label.plain, p=r.label.plural, n=n),
        task=say("{s} 중에서 {g}별로 {f}이(가) 가장 {k} {n}개씩 구하세요. ", "Among the {s}, find for each {g} the {n} with the {e} {f}. ", s=subject(r, scope), g=group.label.full, f=by.label.full, k=ko, e=en, n=n) + tie,
        outputs=[*(Output(f.name, f.label.full) for f in fields), Output("position", say("{g} 안에서의 순위(1부터)", "the rank within {g}, from 1", g=group.label.full))],
        body=f"SELECT {', '.join(f.sql for f in fields)}, position FROM {ranked} WHERE position <= {n}",
        tables=[r.name],
        grain=say("{g}별로 뽑힌 {t} 한 행", "one chosen row of {t} per {g}", g=group.label.full, t=r.label.full),
        step=Text("그룹으로 나누고 정렬한 순위를 안쪽에서 구한 다음, 바깥에서 순위로 거르세요.", "Rank inside, partitioned and ordered; filter by the rank outside."),
        tags=["top-n-per-group", "window-rank", "cte", *scope.tags],
        unique=(group.name, "position", *(k for k in r.key if k != group.name)) if ties else (group.name,),
        order=[Sort(group.name), *([Sort("position")] if n > 1 else [])],
        ctes=[(ranked, f"SELECT {', '.join(f.sql for f in fields)}, {function} OVER (PARTITION BY {group.sql} ORDER BY {by.sql} {direction}{breaker}) AS position FROM {r.sql}{scope.where}")],
        notes=scope.notes,
        brief=scope.brief,
    )  # fmt: skip


@recipe(Level.HARD)
def latest_per_actor(c: Composer) -> Draft:
    """One row per actor: the latest or the earliest."""
    act = c.activity(repeats=1.2, suits=lambda r: len(r.key) == 1)
    r, key, moment = act.relation, act.actor.field, act.moment
    if r.key[0] == key.name:
        raise Unsuitable
    scope = c.scope(r, most=1, least=0, without=[key, moment]).requiring("", key, moment)
    down = c.chance(0.65)
    word = Text("마지막", "latest") if down else Text("첫", "earliest")
    d = "DESC" if down else "ASC"
    row_id = r.key_fields[0]
    extra = [f for f in r.having(Role.CATEGORY, Role.FLAG, Role.MEASURE) if f is not key]
    fields = [key, row_id, moment, *c.rng.sample(extra, k=min(1, len(extra)))]
    ranked = c.fresh("ranked")
    return Draft(
        "latest_per_actor", Level.HARD,
        title=say("{a}별 {w} {t}", "{W} {n} of each {s}", a=act.actor.label.plain, w=word, t=r.label.plain, W=word.en.capitalize(), n=r.label.singular, s=act.actor.label.singular),
        task=say(
            "{s}에서 {e}로 {m} 기준 {w} 행만 하나씩 남기세요. {m}이(가) 같으면 {k}이(가) {b} 행을 남깁니다.",
            "Among the {s}, keep for {e} just the {w} row by {m}. If {m} is equal, keep the one with the {b} {k}.",
            s=subject(r, scope), e=act.actor.each, m=moment.label.full, w=word, k=row_id.label.full, b=Text("큰", "larger") if down else Text("작은", "smaller"),
        ),
        outputs=[Output(f.name, f.label.full, f.nullable and f not in (key, moment)) for f in fields],
        body=f"SELECT {', '.join(f.sql for f in fields)} FROM {ranked} WHERE position = 1",
        tables=[r.name],
        grain=say("{a} 하나", "one {s}", a=act.actor.label.plain, s=act.actor.label.singular),
        step=Text("한 묶음 안에서 번호를 매기고 1번만 남기세요. 동점 기준까지 정렬에 넣어야 결과가 하나로 정해집니다.", "Number the rows of each group and keep number 1. The tie-breaker belongs in that order too."),
        tags=["deduplication", "window-rank", "cte", *scope.tags],
        unique=(key.name,),
        order=[Sort(key.name)],
        ctes=[(ranked, f"SELECT {', '.join(f.sql for f in fields)}, ROW_NUMBER() OVER (PARTITION BY {key.sql} ORDER BY {moment.sql} {d}, {row_id.sql} {d}) AS position FROM {r.sql}{scope.where}")],
        notes=scope.notes,
        brief=scope.brief,
    )  # fmt: skip


def _series(c: Composer) -> tuple[Relation, Field, Dimension, Scope, Measure]:
    """A table, a moment cut to a period, conditions, and a measure that adds up."""
    r = c.relation(lambda r: any(f.profile.distinct > 4 for f in r.moments))
    field = c.pick([f for f in r.moments if f.profile.distinct > 4])
    scope = c.scope(r, most=1, without=[field]).requiring("", field)
    additive = [f for f in r.measures if f.additive and not f.is_float and not f.nullable]
    if additive and c.chance(0.5):
        target = c.pick(additive)
        m = Measure(
            f"SUM({target.sql})",
            f"total_{target.name}",
            say("{f}의 합계", "the total {f}", f=target.label.full),
            ("aggregate-sum",),
        )
    else:
        m = count_rows(r)
    return r, field, c.bucket(field, "", c.pick(["day", "week"])), scope, m


@recipe(Level.HARD)
def running_total(c: Composer) -> Draft:
    r, _field, d, scope, m = _series(c)
    step = c.fresh("per_period")
    day, value = d.output.name, m.name
    return Draft(
        "running_total", Level.HARD,
        title=say("{d} {m}과(와) 누적", "{m} {d} with a running total", d=d.plain, m=plain_noun(r, m)),
        task=say(
            "{s}에 대해 {d} {m}을(를) 구하고, 처음부터 그 기간까지의 누적 합도 함께 내세요. 행이 없는 기간은 나오지 않습니다.",
            "Over the {s}, find {m} for {d}, and beside it the running total from the start up to that period. Periods without rows do not appear.",
            s=subject(r, scope), d=d.each, m=m.noun,
        ),
        outputs=[Output(day, d.output.meaning), Output(value, m.noun), Output("running_total", say("{m}의 누적 합", "the running total of {m}", m=m.noun))],
        body=f"SELECT {day}, {quoted(value)}, SUM({quoted(value)}) OVER (ORDER BY {day} ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW) AS running_total FROM {step}",
        tables=[r.name],
        grain=say("{d} 한 행", "one row for {d}", d=d.each),
        step=Text("먼저 기간별로 집계하고, 그 결과 위에서 기간 순서로 누적하세요.", "Aggregate by period first, then accumulate over that result in order of time."),
        tags=["window-running-total", "cte", *d.tags, *m.tags, *scope.tags],
        unique=(day,),
        order=[Sort(day)],
        ctes=[(step, f"SELECT {d.sql} AS {day}, {m.sql} AS {quoted(value)} FROM {r.sql}{scope.where} GROUP BY {d.sql}")],
        notes=scope.notes,
        brief=scope.brief,
    )  # fmt: skip


@recipe(Level.HARD)
def moving_average(c: Composer) -> Draft:
    r, _field, d, scope, m = _series(c)
    n = c.pick([3, 4, 5, 7])
    step = c.fresh("per_period")
    day, value = d.output.name, m.name
    return Draft(
        "moving_average", Level.HARD,
        title=say("{d} {m}의 {n}행 이동 평균", "{m} {d} with a moving average of {n} rows", d=d.plain, m=plain_noun(r, m), n=n),
        task=say(
            "{s}에 대해 {d} {m}을(를) 구하고, 그 행과 바로 앞 {k}개 행의 이동 평균을 함께 내세요. 앞의 행이 모자라면 있는 행만으로 평균을 냅니다. 행이 없는 기간은 건너뜁니다.",
            "Over the {s}, find {m} for {d}, and the moving average of that row and the {k} rows before it. With fewer rows before it, average those there are. Periods without rows are skipped.",
            s=subject(r, scope), d=d.each, m=m.noun, k=n - 1,
        ),
        outputs=[Output(day, d.output.meaning), Output(value, m.noun), Output("moving_average", say("최근 {n}개 행의 평균(소수 둘째 자리까지 반올림)", "the average of the last {n} rows, rounded to 2 decimals", n=n))],
        body=f"SELECT {day}, {quoted(value)}, ROUND(AVG({quoted(value)}) OVER (ORDER BY {day} ROWS BETWEEN {n - 1} PRECEDING AND CURRENT ROW), 2) AS moving_average FROM {step}",
        tables=[r.name],
        grain=say("{d} 한 행", "one row for {d}", d=d.each),
        step=Text("윈도의 프레임을 '앞 몇 행부터 현재 행까지'로 적으세요.", "Give the window a frame from so many rows before up to the current row."),
        tags=["window-moving-average", "cte", *d.tags, *m.tags, "rounding", *scope.tags],
        unique=(day,),
        order=[Sort(day)],
        ctes=[(step, f"SELECT {d.sql} AS {day}, {m.sql} AS {quoted(value)} FROM {r.sql}{scope.where} GROUP BY {d.sql}")],
        notes=scope.notes,
        brief=scope.brief,
    )  # fmt: skip


@recipe(Level.HARD)
def change_from_previous(c: Composer) -> Draft:
    r, _field, d, scope, m = _series(c)
    step = c.fresh("per_period")
    day, value = d.output.name, m.name
    previous = f"LAG({quoted(value)}) OVER (ORDER BY {day})"
    return Draft(
        "change_from_previous", Level.HARD,
        title=say("{d} {m}의 증감", "Change of {m} {d}", d=d.plain, m=plain_noun(r, m)),
        task=say(
            "{s}에 대해 {d} {m}과(와), 바로 앞 기간(행이 있는 기간)보다 얼마나 늘었는지를 구하세요. 첫 기간의 증감은 NULL입니다.",
            "Over the {s}, find {m} for {d} and the change since the previous period that has rows. The first period's change is NULL.",
            s=subject(r, scope), d=d.each, m=m.noun,
        ),
        outputs=[Output(day, d.output.meaning), Output(value, m.noun), Output("change", Text("앞 기간 대비 증감(줄었으면 음수)", "the change since the previous period, negative for a fall"), True)],
        body=f"SELECT {day}, {quoted(value)}, {quoted(value)} - {previous} AS change FROM {step}",
        tables=[r.name],
        grain=say("{d} 한 행", "one row for {d}", d=d.each),
        step=Text("기간별 집계 위에서 앞 행의 값을 가져와 빼세요.", "On top of the aggregate by period, fetch the previous row's value and subtract."),
        tags=["window-lag", "cte", *d.tags, *m.tags, *scope.tags],
        unique=(day,),
        order=[Sort(day)],
        ctes=[(step, f"SELECT {d.sql} AS {day}, {m.sql} AS {quoted(value)} FROM {r.sql}{scope.where} GROUP BY {d.sql}")],
        notes=scope.notes,
        brief=scope.brief,
    )  # fmt: skip


@recipe(Level.HARD)
def share_of_total(c: Composer) -> Draft:
    r = c.relation()
    a, p = aliases(r.name, "parent")
    d = c.dimension(r, a, p, dates=False)
    scope = c.scope(r, a, most=1)
    additive = [f for f in r.measures if f.additive and not f.is_float and not f.nullable]
    target = c.pick(additive) if additive and c.chance(0.5) else None
    m = (
        Measure(
            f"SUM({target.of(a)})",
            f"total_{target.name}",
            say("{f}의 합계", "the total {f}", f=target.label.full),
            ("aggregate-sum",),
        )
        if target
        else count_rows(r)
    )
    names = dedupe([d.output.name, m.name, "percentage"])
    return Draft(
        "share_of_total", Level.HARD,
        title=say("{d} {m}의 비중", "Share of {m} {d}", d=d.plain, m=plain_noun(r, m)),
        task=say("{s}에 대해 {d} {m}과(와), 그것이 전체에서 차지하는 비중(%)을 구하세요.", "Over the {s}, find {m} for {d} and its percentage of the total over all groups.", s=subject(r, scope), d=d.each, m=m.noun),
        outputs=[Output(names[0], d.output.meaning, d.output.nullable), Output(names[1], m.noun), Output(names[2], Text("전체 대비 비중(%), 소수 첫째 자리까지 반올림", "the percentage of the total, rounded to 1 decimal"))],
        body=f"SELECT {d.sql} AS {quoted(names[0])}, {m.sql} AS {quoted(names[1])}, ROUND(100.0 * {m.sql} / SUM({m.sql}) OVER (), 1) AS percentage FROM {from_clause(r, a, d, p)}{scope.where} GROUP BY {d.sql}",
        tables=[r.name, *([d.link.parent] if d.link else [])],
        grain=say("{d} 한 행", "one row for {d}", d=d.each),
        step=Text("그룹의 집계를 다시 윈도로 더하면 전체가 됩니다.", "Adding up the groups' aggregates over a window gives the total."),
        tags=["window-share", "percentage", *d.tags, *m.tags, "rounding", *scope.tags],
        unique=(names[0],),
        order=[Sort(names[1], True)],
        notes=[*scope.notes, *d.notes],
        brief=scope.brief,
    )  # fmt: skip


@recipe(Level.EXPERT)
def quartiles(c: Composer) -> Draft:
    """Rows cut into equal buckets by a measure, and each bucket described."""
    r = c.relation(lambda r: any(f.profile.distinct > 8 for f in r.measures))
    field = c.pick([f for f in r.measures if f.profile.distinct > 8])
    scope = c.scope(r, most=1, without=[field]).requiring("", field)
    n = c.pick([3, 4, 5])
    step = c.fresh("buckets")
    return Draft(
        "quartiles", Level.EXPERT,
        title=say("{f} {n}분위별 {t}", "{p} in {n} buckets of {f}", f=field.label.plain, n=n, t=r.label.plain, p=r.label.plural.capitalize()),
        task=say(
            "{s}을(를) {f} 오름차순으로 세워 크기가 같은 {n}개 구간으로 나누고, 구간마다 행 수, {f}의 최솟값과 최댓값을 구하세요. 나누어떨어지지 않으면 앞 구간이 한 행씩 더 가집니다.",
            "Put the {s} in ascending order of {f}, cut them into {n} buckets of equal size, and find for each bucket the number of rows and the smallest and largest {f}. If they do not divide evenly, the first buckets get one row more.",
            s=subject(r, scope), f=field.label.full, n=n,
        ),
        outputs=[Output("bucket", say("구간 번호(1~{n})", "the bucket's number (1-{n})", n=n)), Output("row_count", Text("행 수", "the number of rows")),
                 Output("lowest", say("{f}의 최솟값", "the smallest {f}", f=field.label.full)), Output("highest", say("{f}의 최댓값", "the largest {f}", f=field.label.full))],
        body=f"SELECT bucket, COUNT(*) AS row_count, MIN({field.sql}) AS lowest, MAX({field.sql}) AS highest FROM {step} GROUP BY bucket",
        tables=[r.name],
        grain=Text("구간 하나", "one bucket"),
        step=Text("구간 번호를 먼저 매기고, 그 번호로 묶어 집계하세요.", "Number the buckets first, then group by that number."),
        tags=["window-ntile", "cte", "group-by", "aggregate-count", "aggregate-min-max", *scope.tags],
        unique=("bucket",),
        order=[Sort("bucket")],
        ctes=[(step, f"SELECT {field.sql}, NTILE({n}) OVER (ORDER BY {field.sql}) AS bucket FROM {r.sql}{scope.where}")],
        notes=scope.notes,
        brief=scope.brief,
    )  # fmt: skip
