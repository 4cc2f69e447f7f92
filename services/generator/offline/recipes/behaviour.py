# ruff: noqa: E501 - the same sentence in two languages stands on one line
"""Problems about what people do over time: funnels, cohorts, retention, sessions, streaks, repeats."""

from __future__ import annotations

from services.generator.offline.catalog import Field, Role
from services.generator.offline.clauses import literal
from services.generator.offline.composer import Composer, Unsuitable, recipe
from services.generator.offline.draft import Draft, Level, Output, Sort
from services.generator.offline.recipes.rows import subject
from services.generator.offline.words import Text, listed, say


def as_day(field: Field) -> str:
    return field.sql if field.role is Role.DAY else f"CAST({field.sql} AS DATE)"


@recipe(Level.EXPERT)
def funnel(c: Composer) -> Draft:
    """Actors whose first moments of two or three steps come in order."""
    act = c.activity(repeats=2.0, suits=lambda r: any(f.profile.distinct >= 3 for f in r.having(Role.CATEGORY)))
    r, key, moment = act.relation, act.actor.field, act.moment
    field = c.pick([f for f in r.having(Role.CATEGORY) if f.profile.distinct >= 3])
    ranked = [value for value, _ in field.profile.common]
    count = c.pick([2, 3])
    positions = sorted(c.rng.sample(range(min(6, len(ranked))), k=count))
    steps = [ranked[i] for i in positions]
    scope = c.scope(r, most=1, without=[key, moment, field]).requiring("", key, moment)
    cte = c.fresh("first_moments")
    columns = [f"step_{i}" for i in range(1, count + 1)]
    firsts = ", ".join(
        f"MIN({moment.sql}) FILTER (WHERE {field.sql} = {literal(v)}) AS {name}"
        for v, name in zip(steps, columns, strict=True)
    )
    reached = ["step_1 IS NOT NULL"] + [
        " AND ".join(f"{columns[j]} > {columns[j - 1]}" for j in range(1, i + 1)) for i in range(1, count)
    ]
    counts = ", ".join(f"COUNT(*) FILTER (WHERE {test}) AS reached_{i}" for i, test in enumerate(reached, 1))
    path = " → ".join(f"'{v}'" for v in steps)
    return Draft(
        "funnel", Level.EXPERT,
        title=say("{a} 퍼널: {p}", "Funnel of {n}: {p}", a=act.actor.label.plain, n=act.actor.label.plural, p=path),
        task=say(
            "{s}에 대해, {f}의 단계 {p}을(를) 차례로 거친 {a} 수를 단계마다 구하세요. 단계의 시각은 {e}로 그 값이 처음 나타난 {m}입니다. 2단계부터는 그 처음 시각이 바로 앞 단계의 처음 시각보다 뒤여야 하고, 앞 단계에도 모두 도달했어야 합니다.",
            "Over the {s}, count the {n} that went through the steps {p} of {f}, for each step. A step's moment is the first {m} with that value for {e}. From the second step on, it must be later than the first moment of the step before, and all steps before must have been reached.",
            s=subject(r, scope), f=field.label.full, p=path, a=act.actor.label.plain, n=act.actor.label.plural, e=act.actor.each, m=moment.label.full,
        ),
        outputs=[Output(f"reached_{i}", say("{i}단계 '{v}'에 도달한 {a} 수", "the number of {n} that reached step {i}, '{v}'", i=i, v=v, a=act.actor.label.plain, n=act.actor.label.plural)) for i, v in enumerate(steps, 1)],
        body=f"SELECT {counts} FROM {cte}",
        tables=[r.name],
        grain=Text("", ""),
        step=Text("한 행이 한 사람인 중간 결과를 만들고, 단계별 처음 시각을 열로 나란히 두면 비교가 쉬워집니다.", "Build a step with one row per person and the first moment of every step side by side; then compare the columns."),
        tags=["funnel", "conditional-aggregation", "cte", "group-by", "aggregate-min-max", *scope.tags],
        ctes=[(cte, f"SELECT {key.sql}, {firsts} FROM {r.sql}{scope.where} GROUP BY {key.sql}")],
        notes=scope.notes,
        brief=scope.brief,
    )  # fmt: skip


@recipe(Level.EXPERT)
def retention(c: Composer) -> Draft:
    """Weekly cohorts by first activity: how many are active again exactly n weeks later."""
    act = c.activity(repeats=1.4)
    r, key, moment = act.relation, act.actor.field, act.moment
    scope = c.scope(r, most=1, without=[key, moment]).requiring("", key, moment)
    n = c.pick([1, 1, 2, 3])
    weeks, firsts = c.fresh("active_weeks"), c.fresh("cohorts")
    week = f"CAST(DATE_TRUNC('week', {moment.sql}) AS DATE)"
    later = f"w.week = f.cohort_week + INTERVAL {7 * n} DAY"
    return Draft(
        "retention", Level.EXPERT,
        title=say("{a}의 {n}주 뒤 재방문({t})", "{n}-week retention of {p} in {t}", a=act.actor.label.plain, n=n, t=r.label.plain, p=act.actor.label.plural),
        task=say(
            "{s}에서 {e}로 처음 활동한 주(월요일 시작, {m} 기준)로 코호트를 만드세요. 코호트마다 크기와, 정확히 {n}주 뒤의 주에 다시 활동한 {a} 수를 구하세요. 아무도 돌아오지 않은 코호트도 0으로 나옵니다.",
            "Among the {s}, form cohorts by the week of first activity for {e} (weeks start on Monday, by {m}). For each cohort find its size and the number of {p} active again exactly {n} calendar {w} later. Cohorts nobody came back from show 0.",
            s=subject(r, scope), e=act.actor.each, m=moment.label.full, n=n, a=act.actor.label.plain, p=act.actor.label.plural, w="week" if n == 1 else "weeks",
        ),
        outputs=[Output("cohort_week", Text("코호트의 주(월요일 날짜)", "the cohort's week (its Monday)")), Output("cohort_size", say("코호트의 {a} 수", "the number of {p} in the cohort", a=act.actor.label.plain, p=act.actor.label.plural)),
                 Output("returned", say("{n}주 뒤에 다시 활동한 {a} 수", "the number active again {n} {w} later", n=n, w="week" if n == 1 else "weeks", a=act.actor.label.plain))],
        body=f"SELECT f.cohort_week, COUNT(*) AS cohort_size, COUNT(w.week) AS returned FROM {firsts} AS f LEFT JOIN {weeks} AS w ON w.{key.sql} = f.{key.sql} AND {later} GROUP BY f.cohort_week",
        tables=[r.name],
        grain=Text("코호트(처음 활동한 주) 하나", "one cohort, that is one week of first activity"),
        step=Text("사람과 주의 조합을 중복 없이 만든 뒤, 사람마다 첫 주를 구해 n주 뒤의 주와 LEFT JOIN 하세요.", "Make distinct pairs of person and week, take each person's first week, and LEFT JOIN the week that lies n weeks later."),
        tags=["retention", "cohort", "cte", "left-join", "date-trunc", "distinct", "group-by", *scope.tags],
        unique=("cohort_week",),
        order=[Sort("cohort_week")],
        ctes=[(weeks, f"SELECT DISTINCT {key.sql}, {week} AS week FROM {r.sql}{scope.where}"), (firsts, f"SELECT {key.sql}, MIN(week) AS cohort_week FROM {weeks} GROUP BY {key.sql}")],
        notes=scope.notes,
        brief=scope.brief,
    )  # fmt: skip


@recipe(Level.EXPERT)
def cohort_activity(c: Composer) -> Draft:
    """Parents by the month or week they began, and how many have done something since."""
    links = [
        x
        for x in c.catalog.links_between_filled()
        if x.child != x.parent
        and len(x.columns) == 1
        and len(c.catalog.by_name[x.parent].key) == 1
        and c.catalog.by_name[x.parent].moments
        and c.catalog.by_name[x.child].moments
    ]
    link = c.pick(links)
    parent, child = c.catalog.by_name[link.parent], c.catalog.by_name[link.child]
    began, did = c.pick(parent.moments), c.pick(child.moments)
    days = c.pick([3, 7, 14, 30])
    scope = c.scope(child, "a", most=1, without=[did, child.by_name[link.columns[0]]])
    bucket = c.bucket(began, "p", c.pick(["week", "month"]))
    outer = c.scope(parent, "p", most=0).requiring("p", began)
    start, end = (as_day_of("p", began), as_day_of("a", did))
    return Draft(
        "cohort_activity", Level.EXPERT,
        title=say("{d} {p} 코호트의 {n}일 안 {t} 비율", "Share of {P} with {t} within {n} days, {d}", d=bucket.plain, p=parent.label.plain, P=parent.label.plural, n=days, t=Text(child.label.plain.ko, child.label.plural)),
        task=say(
            "{p}을(를) {d} 코호트로 나누고, 코호트의 크기와, {b} 날짜로부터 0~{n}일 사이(양 끝 포함)에 {m}이(가) 있는 {s}이(가) 하나라도 있는 비율(%)을 구하세요.",
            "Split {p} into cohorts for {d}, and find the size of each and the percentage with at least one of the {s} whose {m} lies 0 to {n} days (both included) after the date of {b}.",
            p=parent.label.full, d=bucket.each, b=began.label.full, n=days, m=did.label.full, s=subject(child, scope),
        ),
        outputs=[Output(bucket.output.name, bucket.output.meaning), Output("cohort_size", say("코호트의 {p} 수", "the number of {P} in the cohort", p=parent.label.plain, P=parent.label.plural)), Output("percentage", Text("비율(%), 소수 첫째 자리까지 반올림", "the percentage, rounded to 1 decimal"))],
        body=(
            f"SELECT {bucket.sql} AS {bucket.output.name}, COUNT(*) AS cohort_size, ROUND(100.0 * COUNT(*) FILTER (WHERE EXISTS (SELECT 1 FROM {child.sql} AS a"
            f" WHERE {link.on('a', 'p')} AND DATE_DIFF('day', {start}, {end}) BETWEEN 0 AND {days}{scope.also})) / COUNT(*), 1) AS percentage FROM {parent.sql} AS p{outer.where} GROUP BY {bucket.sql}"
        ),
        tables=[parent.name, child.name],
        grain=Text("코호트 하나", "one cohort"),
        step=Text("사람마다 조건에 맞는 행이 있는지 EXISTS로 검사하고, 그 참거짓을 코호트별로 세세요.", "Test with EXISTS whether each one has a matching row, and count those tests per cohort."),
        tags=["cohort", "semi-join", "subquery-correlated", "date-difference", "percentage", "conditional-aggregation", "group-by", *scope.tags],
        unique=(bucket.output.name,),
        order=[Sort(bucket.output.name)],
        notes=[*outer.notes, *scope.notes],
        brief=scope.brief,
    )  # fmt: skip


def as_day_of(alias: str, field: Field) -> str:
    return field.of(alias) if field.role is Role.DAY else f"CAST({field.of(alias)} AS DATE)"


@recipe(Level.EXPERT)
def sessions(c: Composer) -> Draft:
    """Runs of activity of one actor with no gap longer than so many minutes."""
    act = c.activity(repeats=2.0, timed=True)
    r, key, moment = act.relation, act.actor.field, act.moment
    minutes = c.pick([10, 15, 30, 60, 120])
    scope = c.scope(r, most=1, without=[key, moment]).requiring("", key, moment)
    marked = c.fresh("marked")
    gap = f"LAG({moment.sql}) OVER (PARTITION BY {key.sql} ORDER BY {moment.sql})"
    n = c.pick([10, 15, 20])
    return Draft(
        "sessions", Level.EXPERT,
        title=say("{t}을(를) {n}분 간격으로 묶은 {a}별 묶음 수", "{T} of each {s} grouped by gaps of {n} minutes", t=r.label.plain, n=minutes, a=act.actor.label.plain, s=act.actor.label.singular, T=r.label.plural.capitalize()),
        task=say(
            "{s}을(를) {e}로 {m} 순서로 세웠을 때, 바로 앞 행과의 간격이 {n}분보다 길거나 앞 행이 없으면 새 묶음이 시작됩니다. {a}마다 묶음의 수와 행의 수를 구하세요.",
            "Put the {s} in order of {m} for {e}. A new run starts where there is no row before, or where the gap to it is longer than {n} minutes. For each {i} find the number of runs and of rows.",
            s=subject(r, scope), e=act.actor.each, m=moment.label.full, n=minutes, a=act.actor.label.plain, i=act.actor.label.singular,
        ),
        outputs=[Output(key.name, key.label.full), Output("run_count", Text("묶음의 수", "the number of runs")), Output("row_count", Text("행의 수", "the number of rows"))],
        body=f"SELECT {key.sql}, COUNT(*) FILTER (WHERE previous IS NULL OR {moment.sql} > previous + INTERVAL {minutes} MINUTE) AS run_count, COUNT(*) AS row_count FROM {marked} GROUP BY {key.sql}",
        tables=[r.name],
        grain=say("{a} 하나", "one {s}", a=act.actor.label.plain, s=act.actor.label.singular),
        step=Text("앞 행의 시각을 옆에 두고, 새로 시작하는 행만 세면 묶음의 수가 됩니다.", "Put the previous row's moment beside each row; the rows that start anew are as many as the runs."),
        tags=["sessionization", "window-lag", "cte", "conditional-aggregation", "group-by", *scope.tags],
        unique=(key.name,),
        order=[Sort("run_count", True)],
        limit=n,
        ctes=[(marked, f"SELECT {key.sql}, {moment.sql}, {gap} AS previous FROM {r.sql}{scope.where}")],
        notes=scope.notes,
        brief=scope.brief,
    )  # fmt: skip


@recipe(Level.EXPERT)
def streaks(c: Composer) -> Draft:
    """Islands: consecutive days of activity per actor."""
    act = c.activity(repeats=1.4)
    r, key, moment = act.relation, act.actor.field, act.moment
    scope = c.scope(r, most=1, without=[key, moment]).requiring("", key, moment)
    least = c.pick([2, 2, 3])
    days, islands = c.fresh("active_days"), c.fresh("islands")
    number = f"ROW_NUMBER() OVER (PARTITION BY {key.sql} ORDER BY day)"
    return Draft(
        "streaks", Level.EXPERT,
        title=say("{t}이(가) {n}일 이상 이어진 {a}", "{P} with {t} on {n} or more days in a row", t=r.label.plain, n=least, a=act.actor.label.plain, P=act.actor.label.plural.capitalize()),
        task=say(
            "{s}에서 {e}로 하루도 빠짐없이 이어진 날({m} 기준)의 구간을 찾아, {n}일 이상 이어진 구간의 시작일과 날 수를 구하세요. 같은 날의 여러 행은 하루로 칩니다.",
            "Among the {s}, find for {e} the stretches of days (by {m}) without a missing day, and list the start and the number of days of those that last {n} days or longer. Several rows on a day count as one day.",
            s=subject(r, scope), e=act.actor.each, m=moment.label.full, n=least,
        ),
        outputs=[Output(key.name, key.label.full), Output("first_day", Text("구간의 시작일", "the first day of the stretch")), Output("day_count", Text("이어진 날 수", "the number of days"))],
        body=f"SELECT {key.sql}, MIN(day) AS first_day, COUNT(*) AS day_count FROM {islands} GROUP BY {key.sql}, island HAVING COUNT(*) >= {least}",
        tables=[r.name],
        grain=say("{a}의 연속 구간 하나", "one stretch of one {s}", a=act.actor.label.plain, s=act.actor.label.singular),
        step=Text("먼저 사람과 날의 조합을 한 번씩만 남기고, 날짜에서 순번만큼의 날을 빼 같은 값끼리 묶으세요.", "Keep each pair of person and day once, subtract the running number of days from the date, and group equal values."),
        tags=["gaps-and-islands", "window-rank", "distinct", "cte", "group-by", "having", *scope.tags],
        unique=(key.name, "first_day"),
        order=[Sort("day_count", True)],
        ctes=[(days, f"SELECT DISTINCT {key.sql}, {as_day(moment)} AS day FROM {r.sql}{scope.where}"), (islands, f"SELECT {key.sql}, day, day - CAST({number} AS INTEGER) AS island FROM {days}")],
        notes=scope.notes,
        brief=scope.brief,
    )  # fmt: skip


@recipe(Level.EXPERT)
def time_between(c: Composer) -> Draft:
    """Days between consecutive rows of an actor, on average."""
    act = c.activity(repeats=1.6)
    r, key, moment = act.relation, act.actor.field, act.moment
    scope = c.scope(r, most=1, without=[key, moment]).requiring("", key, moment)
    days, gaps = c.fresh("active_days"), c.fresh("gaps")
    return Draft(
        "time_between", Level.EXPERT,
        title=say("{a}별 {t} 사이의 평균 간격", "Average gap between {p} of each {s}", a=act.actor.label.plain, t=r.label.plain, p=r.label.plural, s=act.actor.label.singular),
        task=say(
            "{s}에서 {e}로 활동한 날({m} 기준, 같은 날은 한 번만)을 순서대로 놓고, 이웃한 날 사이의 간격(일)의 평균과 최댓값을 구하세요. 활동한 날이 하루뿐이면 나오지 않습니다.",
            "Among the {s}, put the active days for {e} in order (by {m}, each day once) and find the average and the largest gap in days between neighbours. Those with a single active day do not appear.",
            s=subject(r, scope), e=act.actor.each, m=moment.label.full,
        ),
        outputs=[Output(key.name, key.label.full), Output("avg_gap", Text("평균 간격(일), 소수 둘째 자리까지 반올림", "the average gap in days, rounded to 2 decimals")), Output("max_gap", Text("가장 긴 간격(일)", "the longest gap in days"))],
        body=f"SELECT {key.sql}, ROUND(AVG(gap), 2) AS avg_gap, MAX(gap) AS max_gap FROM {gaps} WHERE gap IS NOT NULL GROUP BY {key.sql}",
        tables=[r.name],
        grain=say("{a} 하나", "one {s}", a=act.actor.label.plain, s=act.actor.label.singular),
        step=Text("앞 활동일을 가져와 날짜 차이를 구하고, 첫날의 NULL은 빼고 집계하세요.", "Fetch the previous active day, take the difference, and leave out the NULL of the first day."),
        tags=["window-lag", "date-difference", "distinct", "cte", "group-by", "aggregate-average", "rounding", *scope.tags],
        unique=(key.name,),
        order=[Sort("avg_gap", c.chance(0.5))],
        ctes=[(days, f"SELECT DISTINCT {key.sql}, {as_day(moment)} AS day FROM {r.sql}{scope.where}"),
              (gaps, f"SELECT {key.sql}, DATE_DIFF('day', LAG(day) OVER (PARTITION BY {key.sql} ORDER BY day), day) AS gap FROM {days}")],
        notes=scope.notes,
        brief=scope.brief,
    )  # fmt: skip


@recipe(Level.HARD)
def repeated_rows(c: Composer) -> Draft:
    """Groups of rows that agree in everything that should tell them apart."""
    act = c.activity(
        repeats=1.2,
        timed=True,
        suits=lambda r: any(0 < f.profile.distinct < r.rows - f.profile.nulls for f in r.having(Role.MOMENT)),
    )
    r, key, moment = act.relation, act.actor.field, act.moment
    others = list(r.having(Role.CATEGORY))
    same = [key, moment, *c.rng.sample(others, k=min(1, len(others)))]
    if moment.profile.distinct >= r.rows - moment.profile.nulls:
        raise Unsuitable
    scope = c.scope(r, most=0, without=same).requiring("", *same)
    names = listed([f.label.full for f in same])
    return Draft(
        "repeated_rows", Level.HARD,
        title=say("중복된 {t} 찾기", "Find repeated {p}", t=r.label.plain, p=r.label.plural),
        task=say("{s}에서 {n}이(가) 모두 같은 행이 둘 이상인 경우를 찾아, 그 값들과 행 수를 구하세요.", "Among the {s}, find where two or more rows agree in {n}; list those values and the number of rows.", s=subject(r, scope), n=names),
        outputs=[*(Output(f.name, f.label.full) for f in same), Output("copies", Text("같은 행의 수", "the number of such rows"))],
        body=f"SELECT {', '.join(f.sql for f in same)}, COUNT(*) AS copies FROM {r.sql}{scope.where} GROUP BY {', '.join(f.sql for f in same)} HAVING COUNT(*) > 1",
        tables=[r.name],
        grain=say("{n}의 조합 하나", "one combination of {n}", n=names),
        step=Text("같아야 할 열을 모두 GROUP BY에 두고, 개수 조건을 HAVING에 두세요.", "Put every column that must agree into GROUP BY and the condition on the count into HAVING."),
        tags=["duplicate-detection", "having", "group-by", "aggregate-count", *scope.tags],
        unique=tuple(f.name for f in same),
        order=[Sort("copies", True)],
        notes=scope.notes,
        brief=scope.brief,
    )  # fmt: skip


@recipe(Level.HARD)
def two_periods(c: Composer) -> Draft:
    """Counts before and from a day, side by side, by group."""
    r = c.relation(lambda r: bool(r.moments and (r.categories or c.actors(r))))
    moment = c.pick([f for f in r.moments if len(set(f.profile.quantiles)) > 6])
    groups = r.categories + [a.field for a in c.actors(r) if a.field.profile.distinct <= 60]
    group = c.pick([f for f in groups if f is not moment])
    scope = c.scope(r, most=1, without=[moment, group]).requiring("", moment)
    middle = moment.profile.quantiles[c.rng.randrange(8, 13)]
    day = middle.date() if moment.role is Role.MOMENT else middle
    cut = literal(day)
    before, after = f"COUNT(*) FILTER (WHERE {moment.sql} < {cut})", f"COUNT(*) FILTER (WHERE {moment.sql} >= {cut})"
    return Draft(
        "two_periods", Level.HARD,
        title=say("{g}별 {d} 전후 {t} 수", "{P} before and after {d} by {g}", g=group.label.plain, d=str(day), t=r.label.plain, P=r.label.plural.capitalize()),
        task=say(
            "{s}의 수를 {g}별로, {m}이(가) {d}보다 이른 경우(그날 제외)와 {d} 이후인 경우(그날 포함)로 나누어 구하고, 뒤에서 앞을 뺀 증감도 구하세요.",
            "Count the {s} for each {g}: those whose {m} is before {d} (that day excluded), those on or after it, and the change from the former to the latter.",
            s=subject(r, scope), g=group.label.full, m=moment.label.full, d=str(day),
        ),
        outputs=[Output(group.name, group.label.full, group.nullable), Output("before_count", Text("앞 기간의 행 수", "the number of rows before")), Output("after_count", Text("뒤 기간의 행 수", "the number of rows from that day on")), Output("change", Text("증감", "the change"))],
        body=f"SELECT {group.sql}, {before} AS before_count, {after} AS after_count, {after} - {before} AS change FROM {r.sql}{scope.where} GROUP BY {group.sql}",
        tables=[r.name],
        grain=say("{g} 하나", "one {g}", g=group.label.full),
        step=Text("조건이 다른 COUNT 두 개를 한 행에 두고 빼세요.", "Put two COUNTs with different conditions in one row and subtract."),
        tags=["period-comparison", "conditional-aggregation", "group-by", "aggregate-count", "date-range", *scope.tags],
        unique=(group.name,),
        order=[Sort("change", True)],
        notes=[*scope.notes, *([say("{g}의 NULL도 하나의 그룹입니다.", "NULL in {g} forms a group of its own.", g=group.label.full)] if group.nullable else [])],
        brief=scope.brief,
    )  # fmt: skip
