# ruff: noqa: E501 - the same sentence in two languages stands on one line
"""Problems that need a result of a result: compare with an average, aggregate an aggregate, pick a first row."""

from __future__ import annotations

from services.generator.offline.catalog import Role, quoted
from services.generator.offline.composer import Composer, Unsuitable, recipe
from services.generator.offline.draft import Draft, Level, Output, Sort
from services.generator.offline.lexicon import snake
from services.generator.offline.recipes.rows import outputs_of, subject
from services.generator.offline.words import Text, say


@recipe(Level.MEDIUM)
def above_average(c: Composer) -> Draft:
    """Rows above the average of all rows, or of their own group (correlated)."""
    r = c.relation(lambda r: bool(r.key and any(f.profile.distinct > 4 for f in r.measures)))
    field = c.pick([f for f in r.measures if f.profile.distinct > 4])
    groups = [f for f in r.categories if f.profile.distinct > 1]
    group = c.pick(groups) if groups and c.chance(0.5) else None
    scope = c.scope(r, "x", most=1, without=[field, *([group] if group else [])])
    above = c.chance(0.7)
    op, ko, en = (">", "큰", "greater") if above else ("<", "작은", "less")
    inner = f" WHERE y.{group.sql} = x.{group.sql}" if group else ""
    test = f"x.{field.sql} {op} (SELECT AVG(y.{field.sql}) FROM {r.sql} AS y{inner})"
    fields = [*r.key_fields, *([group] if group else []), field]
    where = f"{scope.where} AND {test}" if scope.predicate else f" WHERE {test}"
    base = (
        say("같은 {g}인 모든 행의 평균", "the average of all rows with the same {g}", g=group.label.full)
        if group
        else Text("테이블 전체의 평균", "the average of the whole table")
    )
    nulls = (
        [
            say(
                "{f}의 NULL은 평균에서 빠지고 결과에도 나오지 않습니다.",
                "NULLs in {f} are left out of the average and of the result.",
                f=field.label.full,
            )
        ]
        if field.nullable
        else []
    )
    if group and group.nullable:
        nulls.append(
            say(
                "{g}이(가) NULL인 행은 비교할 그룹이 없으므로 나오지 않습니다.",
                "Rows where {g} is NULL have no group to compare with and do not appear.",
                g=group.label.full,
            )
        )
    return Draft(
        "above_average", Level.HARD if group else Level.MEDIUM,
        title=say("{g}평균보다 {f}이(가) {k} {t}", "{p} with {f} {e} than average{h}", g=say("{x}별 ", "", x=group.label.plain) if group else "", h=f" of their {group.label.plain.en}" if group else "",
                  f=field.label.plain, k=ko, e=en, t=r.label.plain, p=r.label.plural.capitalize()),
        task=say("{s} 중에서 {f}이(가) {b}보다 {k} 것을 구하세요.", "Among the {s}, find those whose {f} is {e} than {b}.", s=subject(r, scope), f=field.label.full, b=base, k=ko, e=en)
        + (Text(" 평균은 조건과 상관없이 모든 행으로 구합니다.", " The average is over all rows, whatever the condition.") if scope.conditions else Text("", "")),
        outputs=outputs_of(fields),
        body=f"SELECT {', '.join(f'x.{f.sql}' for f in fields)} FROM {r.sql} AS x{where}",
        tables=[r.name],
        grain=say("{t} 한 행", "one row of {t}", t=r.label.full),
        step=Text("평균을 구하는 쿼리를 괄호에 넣어 비교식의 오른쪽에 두세요. 그룹 평균이면 안쪽에서 바깥 행의 값을 씁니다.", "Put the query for the average in parentheses on the right of the comparison. For a group's average, use the outer row's value inside."),
        tags=["subquery-correlated" if group else "subquery-scalar", "filter-comparison", *scope.tags],
        unique=r.key,
        order=[Sort(name) for name in r.key],
        notes=[*scope.notes, *nulls],
        brief=scope.brief,
    )  # fmt: skip


@recipe(Level.HARD)
def average_of_counts(c: Composer) -> Draft:
    """Per actor first, then an aggregate over actors."""
    r = c.relation(lambda r: bool(c.actors(r)))
    actor = c.pick(c.actors(r))
    additive = [f for f in r.measures if f.additive and not f.is_float]
    field = c.pick(additive) if additive and c.chance(0.5) else None
    scope = c.scope(r, most=2, without=[actor.field]).requiring("", actor.field, *([field] if field else []))
    value = f"SUM({field.sql})" if field else "COUNT(*)"
    what = say("{f} 합계", "total {f}", f=field.label.full) if field else Text("행 수", "number of rows")
    step = c.fresh(f"per_{snake(actor.label.singular)}")
    return Draft(
        "average_of_counts", Level.HARD,
        title=say("{a}당 평균 {w}", "Average {w} per {s}", a=actor.label.plain, s=actor.label.singular, w=say("{f}", "{f}", f=field.label.plain) if field else say("{t} 수", "number of {p}", t=r.label.plain, p=r.label.plural)),
        task=say(
            "{s}에 대해 먼저 {e} {w}을(를) 구하고, 그 값들의 개수, 평균, 최댓값을 한 행으로 구하세요.",
            "Over the {s}, first find the {w} for {e}; then, in one row, how many such values there are, their average and the largest.",
            s=subject(r, scope), e=actor.each, w=what,
        ),
        outputs=[
            Output("group_count", say("값의 개수({a} 수)", "the number of values (of {p})", a=actor.label.plain, p=actor.label.plural)),
            Output("average", say("{a}당 {w}의 평균, 소수 둘째 자리까지 반올림", "the average {w} per {s}, rounded to 2 decimals", a=actor.label.plain, s=actor.label.singular, w=what)),
            Output("largest", say("{a}당 {w}의 최댓값", "the largest {w} of one {s}", a=actor.label.plain, s=actor.label.singular, w=what)),
        ],
        body=f"SELECT COUNT(*) AS group_count, ROUND(AVG(amount), 2) AS average, MAX(amount) AS largest FROM {step}",
        tables=[r.name],
        grain=Text("", ""),
        step=Text("첫 단계의 한 행은 묶음 하나입니다. 두 번째 단계는 그 행들을 GROUP BY 없이 집계합니다.", "A row of the first step is one group. The second step aggregates those rows without GROUP BY."),
        tags=["cte", "group-by", "aggregate-average", "aggregate-min-max", "rounding", *scope.tags],
        ctes=[(step, f"SELECT {actor.field.sql}, {value} AS amount FROM {r.sql}{scope.where} GROUP BY {actor.field.sql}")],
        notes=scope.notes,
        brief=scope.brief,
    )  # fmt: skip


@recipe(Level.HARD)
def busiest_actors(c: Composer) -> Draft:
    """Actors whose number of rows is above the average number."""
    r = c.relation(lambda r: any(x.field.profile.distinct >= 5 for x in c.actors(r)))
    actor = c.pick([x for x in c.actors(r) if x.field.profile.distinct >= 5])
    scope = c.scope(r, most=1, without=[actor.field]).requiring("", actor.field)
    step = c.fresh(f"per_{snake(actor.label.singular)}")
    key = actor.field
    return Draft(
        "busiest_actors", Level.HARD,
        title=say("{t} 수가 평균보다 많은 {a}", "{A} with more {p} than average", t=r.label.plain, a=actor.label.plain, A=actor.label.plural.capitalize(), p=r.label.plural),
        task=say(
            "{s}의 수를 {e}로 세고, 그 수가 평균보다 많은 경우만 구하세요. 평균은 행이 하나라도 있는 {a}만으로 구합니다.",
            "Count the {s} for {e} and keep those with more than the average count. The average is over {p} with at least one such row.",
            s=subject(r, scope), e=actor.each, a=actor.label.plain, p=actor.label.plural,
        ),
        outputs=[Output(key.name, key.label.full), Output("row_count", Text("행 수", "the number of rows"))],
        body=f"SELECT {key.sql}, row_count FROM {step} WHERE row_count > (SELECT AVG(row_count) FROM {step})",
        tables=[r.name],
        grain=say("{a} 하나", "one {s}", a=actor.label.plain, s=actor.label.singular),
        step=Text("센 결과에 이름을 붙여 두 번 쓰세요. 한 번은 거르는 데, 한 번은 평균을 구하는 데.", "Name the counts and use them twice: once to filter, once for the average."),
        tags=["cte", "subquery-scalar", "group-by", "aggregate-count", *scope.tags],
        unique=(key.name,),
        order=[Sort("row_count", True)],
        ctes=[(step, f"SELECT {key.sql}, COUNT(*) AS row_count FROM {r.sql}{scope.where} GROUP BY {key.sql}")],
        notes=scope.notes,
        brief=scope.brief,
    )  # fmt: skip


@recipe(Level.HARD)
def group_extreme(c: Composer) -> Draft:
    """Rows that hold their group's largest or smallest value, ties included."""
    r = c.relation(
        lambda r: bool(r.key and r.categories and any(f.profile.distinct > 3 for f in r.measures + r.moments))
    )
    field = c.pick([f for f in r.measures + r.moments if f.profile.distinct > 3])
    group = c.pick(r.categories)
    down = c.chance(0.6)
    ko, en = (
        (("가장 늦은", "latest") if down else ("가장 이른", "earliest"))
        if field.temporal
        else (("가장 큰", "largest") if down else ("가장 작은", "smallest"))
    )
    fields = [group, *r.key_fields, field]
    notes = (
        [say("{f}이(가) NULL인 행은 비교에서 빠집니다.", "Rows where {f} is NULL take no part.", f=field.label.full)]
        if field.nullable
        else []
    )
    if group.nullable:
        notes.append(
            say("{g}이(가) NULL인 행은 나오지 않습니다.", "Rows where {g} is NULL do not appear.", g=group.label.full)
        )
    return Draft(
        "group_extreme", Level.HARD,
        title=say("{g}별 {f}이(가) {k} {t}", "{p} with the {e} {f} by {g}", g=group.label.plain, f=field.label.plain, k=ko, e=en, t=r.label.plain, p=r.label.plural.capitalize()),
        task=say("{t}에서 {g}별로 {f}이(가) {k} 행을 구하세요. 동점이면 모두 냅니다.", "In {t}, find for each {g} the row with the {e} {f}. Keep all ties.", t=r.label.full, g=group.label.full, f=field.label.full, k=ko, e=en),
        outputs=[Output(f.name, f.label.full) for f in fields],
        body=f"SELECT {', '.join(f.of('x') for f in fields)} FROM {r.sql} AS x WHERE {field.of('x')} = (SELECT {'MAX' if down else 'MIN'}({field.of('y')}) FROM {r.sql} AS y WHERE {group.of('y')} = {group.of('x')})",
        tables=[r.name],
        grain=say("{g}별 {f}이(가) {k} 행 하나", "one row with the {e} {f} of its {g}", g=group.label.full, f=field.label.full, k=ko, e=en),
        step=Text("같은 그룹의 극값을 구하는 하위 쿼리와 비교하거나, 동점을 남기는 순위 함수로 거르세요.", "Compare with a subquery for the extreme of the same group, or filter by a ranking function that keeps ties."),
        tags=["subquery-correlated", "aggregate-min-max"],
        unique=(group.name, *(k for k in r.key if k != group.name)),
        order=[Sort(group.name)],
        notes=notes,
    )  # fmt: skip


@recipe(Level.HARD)
def first_row_of_each(c: Composer) -> Draft:
    """How actors split by a property of their first row."""
    act = c.activity(repeats=1.3, suits=lambda r: bool(r.key and r.having(Role.CATEGORY)))
    r, key, moment = act.relation, act.actor.field, act.moment
    field = c.pick(r.having(Role.CATEGORY))
    scope = c.scope(r, most=1, without=[key, moment, field]).requiring("", key, moment)
    if len(r.key) != 1 or r.key[0] == key.name:
        raise Unsuitable
    first = c.fresh("first_rows")
    return Draft(
        "first_row_of_each", Level.HARD,
        title=say("{a}의 첫 {t}은(는) 어떤 {f}인가", "{f} of each {s}'s first {n}", a=act.actor.label.plain, t=r.label.plain, f=field.label.plain, s=act.actor.label.singular, n=r.label.singular),
        task=say(
            "{s}에서 {e}로 {m} 기준 첫 행을 고르세요({m}이(가) 같으면 {k}이(가) 작은 행). 그 첫 행의 {f}별로 {a} 수를 구하세요.",
            "Among the {s}, take for {e} the first row by {m} (on a tie the one with the smaller {k}). Count the {p} by {f} of that first row.",
            s=subject(r, scope), e=act.actor.each, m=moment.label.full, k=r.key_fields[0].label.full, f=field.label.full, a=act.actor.label.plain, p=act.actor.label.plural,
        ),
        outputs=[Output(field.name, say("첫 행의 {f}", "{f} of the first row", f=field.label.full), field.nullable), Output("actor_count", say("{a} 수", "the number of {p}", a=act.actor.label.plain, p=act.actor.label.plural))],
        body=f"SELECT {field.sql}, COUNT(*) AS actor_count FROM {first} WHERE position = 1 GROUP BY {field.sql}",
        tables=[r.name],
        grain=say("첫 행의 {f} 하나", "one {f} of a first row", f=field.label.full),
        step=Text("먼저 번호를 매겨 첫 행만 남기고, 남은 행을 다시 묶어 세세요.", "Number the rows, keep the first of each, then group and count what is left."),
        tags=["window-rank", "cte", "deduplication", "group-by", "aggregate-count", *scope.tags],
        unique=(field.name,),
        order=[Sort("actor_count", True)],
        ctes=[(first, f"SELECT {field.sql}, ROW_NUMBER() OVER (PARTITION BY {key.sql} ORDER BY {moment.sql}, {quoted(r.key[0])}) AS position FROM {r.sql}{scope.where}")],
        notes=[*scope.notes, *([say("첫 행의 {f}이(가) NULL이면 NULL 그룹으로 셉니다.", "A first row with NULL in {f} counts in a NULL group.", f=field.label.full)] if field.nullable else [])],
        brief=scope.brief,
    )  # fmt: skip
