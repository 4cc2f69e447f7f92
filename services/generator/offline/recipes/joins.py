# ruff: noqa: E501 - the same sentence in two languages stands on one line
"""Problems that bring tables together: partners, missing partners, the table with itself, stacked tables."""

from __future__ import annotations

from services.generator.offline.catalog import Field, Link, Relation, Role, quoted
from services.generator.offline.clauses import Scope, literal
from services.generator.offline.composer import Composer, Unsuitable, aliases, dedupe, recipe
from services.generator.offline.draft import Draft, Level, Output, Sort
from services.generator.offline.recipes.rows import outputs_of, subject
from services.generator.offline.words import Text, say


def ends(c: Composer, link: Link) -> tuple[Relation, Relation, str, str]:
    child, parent = c.catalog.by_name[link.child], c.catalog.by_name[link.parent]
    a, p = aliases(child.name, parent.name)
    return child, parent, a, p


def pointers(c: Composer, link: Link) -> list[Field]:
    """The columns a join already tests: a condition that they are not NULL would change nothing."""
    return [c.catalog.by_name[link.child].by_name[name] for name in link.columns]


def single_key(c: Composer) -> Link:
    """A link whose parent has a one-column key, so that one output column identifies the parent."""
    return c.link(
        lambda x: len(c.catalog.by_name[x.parent].key) == 1 and x.ref_columns == c.catalog.by_name[x.parent].key
    )


@recipe(Level.MEDIUM)
def join_rows(c: Composer) -> Draft:
    """Rows of the child with columns of the parent, conditions on both."""
    link = c.link(lambda x: bool(c.catalog.by_name[x.child].key))
    child, parent, a, p = ends(c, link)
    above, below = c.scope(parent, p, most=1, least=1), c.scope(child, a, most=1, without=pointers(c, link))
    shown = [f for f in parent.fields if f.role not in (Role.KEY, Role.OTHER, Role.LINK)]
    extra = c.rng.sample(shown, k=min(2, len(shown)))
    own = c.pick([f for f in child.fields if f.name not in child.key and f.role is not Role.OTHER])
    fields = [*child.key_fields, own, *extra]
    names = dedupe([f.name for f in fields])
    selected = ", ".join(
        f"{f.of(a if f.table == child.name else p)}" + (f" AS {quoted(n)}" if n != f.name else "")
        for f, n in zip(fields, names, strict=True)
    )
    outputs = [
        Output(n, say("{t}의 {f}", "{f} of {t}", t=c.catalog.by_name[f.table].label.full, f=f.label.full), f.nullable)
        for f, n in zip(fields, names, strict=True)
    ]
    both = Scope(above.conditions + below.conditions)
    return Draft(
        "join_rows", Level.MEDIUM,
        title=say("{p}와 함께 보는 {t}".replace("와", "과(와)"), "{c} with their {n}", p=parent.label.plain, t=child.label.plain, c=child.label.plural.capitalize(), n=parent.label.singular),
        task=say(
            "{u}에 연결된 {b}을(를), {p}의 정보와 함께 조회하세요.", "List the {b} that belong to {u}, together with columns of {p}.",
            u=subject(parent, above), b=subject(child, below), p=parent.label.full,
        ),
        outputs=outputs,
        body=f"SELECT {selected} FROM {child.sql} AS {a} JOIN {parent.sql} AS {p} ON {link.on(a, p)}{both.where}",
        tables=[child.name, parent.name],
        grain=say("{t} 한 행", "one row of {t}", t=child.label.full),
        step=Text("조인한 뒤 두 테이블의 조건을 모두 WHERE에 두세요. 열 이름 앞에 별칭을 붙이면 헷갈리지 않습니다.", "Join, then put the conditions of both tables into WHERE. Prefix columns with aliases to stay clear."),
        tags=["inner-join", *both.tags, "projection"],
        unique=tuple(names[: len(child.key)]),
        order=[Sort(n) for n in names[: len(child.key)]],
        notes=both.notes,
        brief=both.brief,
    )  # fmt: skip


@recipe(Level.HARD)
def count_children(c: Composer) -> Draft:
    """Every parent with the number of its children, those without any included."""
    link = single_key(c)
    child, parent, a, p = ends(c, link)
    inside, outside = c.scope(child, a, most=1, without=pointers(c, link)), c.scope(parent, p, most=1)
    key = parent.key_fields[0]
    additive = [f for f in child.measures if f.additive and not f.is_float]
    target = c.pick(additive) if additive and c.chance(0.5) else None
    value = (
        f"COALESCE(SUM({target.of(a)}), 0)"
        if target
        else f"COUNT({quoted(link.columns[0]) if not a else f'{a}.{quoted(link.columns[0])}'})"
    )
    name = f"total_{target.name}" if target else "row_count"
    what = (
        say("{f}의 합계(더할 값이 없으면 0)", "the total {f} (0 if there is nothing to add)", f=target.label.full)
        if target
        else say("수(없으면 0)", "the number of {p} (0 if none)", t=child.label.plain, p=child.label.plural)
    )
    return Draft(
        "count_children", Level.MEDIUM,
        title=say("{p}별 {t} {k} (없으면 0)", "{e} per {n}, zero included", p=parent.label.plain, t=child.label.plain, k="합계" if target else "수", n=parent.label.singular,
                  e=f"Total {target.label.plain.en}" if target else f"Number of {child.label.plural}"),
        task=say(
            "{u}마다 연결된 {b}의 {w}을(를) 구하세요. 연결된 행이 하나도 없는 경우도 결과에 남겨야 합니다.",
            "For each of the {u}, find {w}, over the {b} linked to it. Keep those with no linked row.",
            u=subject(parent, outside), b=subject(child, inside), w=what,
        ),
        outputs=[Output(key.name, key.label.full), Output(name, what)],
        body=f"SELECT {key.of(p)}, {value} AS {quoted(name)} FROM {parent.sql} AS {p} LEFT JOIN {child.sql} AS {a} ON {link.on(a, p)}{inside.also}{outside.where} GROUP BY {key.of(p)}",
        tables=[parent.name, child.name],
        grain=say("{p} 하나", "one row of {p}", p=parent.label.full),
        step=Text("짝이 없는 행을 지키려면 오른쪽 테이블의 조건을 ON에 두고, 오른쪽의 열을 세거나 더하세요.", "To keep rows without partners, put the right table's condition into ON, and count or add a column of the right table."),
        tags=["left-join", "group-by", "aggregate-sum" if target else "aggregate-count", *(["coalesce"] if target else []), *inside.tags, *outside.tags],
        unique=(key.name,),
        order=[Sort(name, c.chance(0.7))],
        notes=inside.notes + outside.notes,
        brief=inside.brief,
    )  # fmt: skip


def _partner(c: Composer, missing: bool) -> Draft:
    link = single_key(c)
    child, parent, a, p = ends(c, link)
    inside = c.scope(child, a, most=1, least=0 if missing else 1, without=pointers(c, link))
    outside = c.scope(parent, p, most=1)
    fields = [
        *parent.key_fields,
        *c.rng.sample(
            rest := [f for f in parent.fields if f.role in (Role.CATEGORY, Role.NAME, Role.DAY)], k=min(1, len(rest))
        ),
    ]
    test = f"{'NOT ' if missing else ''}EXISTS (SELECT 1 FROM {child.sql} AS {a} WHERE {link.on(a, p)}{inside.also})"
    where = f"{outside.where} AND {test}" if outside.predicate else f" WHERE {test}"
    ko, en = ("하나도 없는", "no") if missing else ("하나라도 있는", "at least one")
    return Draft(
        "without_partner" if missing else "with_partner", Level.MEDIUM,
        title=say("{t}이(가) {k} {p}", "{P} with {e} {t}", t=child.label.plain, p=parent.label.plain, k="없는" if missing else "있는", P=parent.label.plural.capitalize(), e="no" if missing else "some", t_=""),
        task=say(
            "{u} 가운데 연결된 {b}이(가) {k} 것을 조회하세요. 한 번씩만 나와야 합니다.", "Among the {u}, list those with {k} linked row among the {b}, each once.",
            u=subject(parent, outside), b=subject(child, inside), k=Text(ko, en),
        ),
        outputs=outputs_of(fields),
        body=f"SELECT {', '.join(f.of(p) for f in fields)} FROM {parent.sql} AS {p}{where}",
        tables=[parent.name, child.name],
        grain=say("{p} 하나", "one row of {p}", p=parent.label.full),
        step=Text("바깥 행의 키와 안쪽 행의 키를 잇는 조건을 하위 쿼리 안에 두세요.", "Put the condition that links the outer and the inner key inside the subquery."),
        tags=["anti-join" if missing else "semi-join", "subquery-correlated", *inside.tags, *outside.tags],
        unique=parent.key,
        order=[Sort(name) for name in parent.key] if c.chance(0.6) else None,
        notes=inside.notes + outside.notes,
        brief=inside.brief,
    )  # fmt: skip


@recipe(Level.MEDIUM)
def without_partner(c: Composer) -> Draft:
    return _partner(c, True)


@recipe(Level.MEDIUM)
def with_partner(c: Composer) -> Draft:
    return _partner(c, False)


@recipe(Level.HARD)
def self_reference(c: Composer) -> Draft:
    """A table that points to itself: how many rows point to each."""
    link = c.pick(
        [
            x
            for x in c.catalog.links
            if x.child == x.parent and len(x.columns) == 1 and c.catalog.by_name[x.child].rows > 1
        ]
    )
    r = c.catalog.by_name[link.child]
    if r.key != link.ref_columns:
        raise Unsuitable
    pointer, key = r.by_name[link.columns[0]], r.key_fields[0]
    scope = c.scope(r, "child", most=1, without=[pointer])
    group = c.pick(r.categories) if r.categories and c.chance(0.5) else None
    if group:
        body = f"SELECT parent.{group.sql}, COUNT(*) AS row_count FROM {r.sql} AS child JOIN {r.sql} AS parent ON {link.on('child', 'parent')}{scope.where} GROUP BY parent.{group.sql}"
        first = Output(
            group.name, say("가리켜진 쪽의 {g}", "{g} of the row pointed to", g=group.label.full), group.nullable
        )
        each = say("가리켜진 행의 {g}별로", "for each {g} of the row pointed to", g=group.label.full)
    else:
        body = f"SELECT parent.{key.sql}, COUNT(*) AS row_count FROM {r.sql} AS child JOIN {r.sql} AS parent ON {link.on('child', 'parent')}{scope.where} GROUP BY parent.{key.sql}"
        first = Output(key.name, say("가리켜진 행의 {k}", "{k} of the row pointed to", k=key.label.full))
        each = say("가리켜진 행의 {k}별로", "for each {k} that is pointed to", k=key.label.full)
    return Draft(
        "self_reference", Level.HARD,
        title=say("{f}(으)로 이어진 {t}".replace("(으)로", "으로(로)"), "{p} linked by {f}", f=pointer.label.plain, t=r.label.plain, p=r.label.plural.capitalize()),
        task=say(
            "{f}은(는) 같은 테이블 {t}의 다른 행을 가리킵니다. {s}에 대해, {e} 그 행을 가리키는 행의 수를 구하세요.",
            "{f} points to another row of the same table {t}. Over the {s}, count the rows that point, {e}.",
            f=pointer.label.full, t=r.label.full, s=subject(r, scope), e=each,
        ),
        outputs=[first, Output("row_count", Text("가리키는 행의 수", "the number of rows that point to it"))],
        body=body,
        tables=[r.name],
        grain=first.meaning + Text(" 하나", ""),
        step=Text("한쪽 별칭은 가리키는 행, 다른 쪽 별칭은 가리켜진 행입니다. 조건은 가리키는 쪽에 겁니다.", "One alias is the row that points, the other the row pointed to. The conditions belong to the former."),
        tags=["self-join", "group-by", "aggregate-count", *scope.tags],
        unique=(first.name,),
        order=[Sort("row_count", True)],
        notes=scope.notes,
        brief=scope.brief,
    )  # fmt: skip


@recipe(Level.HARD)
def activity_feed(c: Composer) -> Draft:
    """Two tables with moments stacked: rows per day or month and source."""
    relations = [r for r in c.catalog.filled if r.moments]
    if len(relations) < 2:
        raise Unsuitable
    chosen = c.rng.sample(relations, k=2)
    fields = [c.pick(r.moments) for r in chosen]
    unit = c.pick(["week", "month"])
    scopes = [c.scope(r, most=1, without=[f]).requiring("", f) for r, f in zip(chosen, fields, strict=True)]
    feed = c.fresh("feed")
    parts = " UNION ALL ".join(
        f"SELECT {literal(r.name)} AS source, CAST(DATE_TRUNC('{unit}', {f.sql}) AS DATE) AS period FROM {r.sql}{s.where}"
        for r, f, s in zip(chosen, fields, scopes, strict=True)
    )
    korean, english = (
        ("주(월요일 날짜)", "week (its Monday)") if unit == "week" else ("달(1일 날짜)", "month (its first day)")
    )
    return Draft(
        "activity_feed", Level.HARD,
        title=say("{a}과(와) {b}의 {k} 활동", "{A} and {b} per {e}", a=chosen[0].label.plain, b=chosen[1].label.plain, k="주별" if unit == "week" else "월별", e=unit,
                  A=chosen[0].label.plain.en.capitalize()),
        task=say(
            "{s}({f} 기준)과(와) {t}({g} 기준)을(를) 위아래로 이어, {k}과(와) 출처별 행 수를 구하세요.",
            "Stack the {s} (by {f}) on the {t} (by {g}) and count rows for each {k} and source.",
            s=subject(chosen[0], scopes[0]), f=fields[0].label.full, t=subject(chosen[1], scopes[1]), g=fields[1].label.full, k=Text(korean, english),
        ),
        outputs=[
            Output("period", Text(korean, f"the {english}")),
            Output("source", say("출처 테이블의 이름: '{a}' 또는 '{b}'", "the name of the source table: '{a}' or '{b}'", a=chosen[0].name, b=chosen[1].name)),
            Output("row_count", Text("행 수", "the number of rows")),
        ],
        body=f"SELECT period, source, COUNT(*) AS row_count FROM {feed} GROUP BY period, source",
        tables=[r.name for r in chosen],
        grain=Text("기간과 출처의 조합 하나", "one combination of period and source"),
        step=Text("두 SELECT의 열 수와 순서를 맞추고, 상수 열로 출처를 표시한 다음 한 번에 세세요.", "Give both SELECTs the same columns, mark the source with a constant, then count once."),
        tags=["union", "date-trunc", "cte", "group-by", "aggregate-count", *(t for s in scopes for t in s.tags)],
        unique=("period", "source"),
        order=[Sort("period"), Sort("source")],
        ctes=[(feed, parts)],
        notes=[n for s in scopes for n in s.notes],
    )  # fmt: skip


@recipe(Level.MEDIUM)
def shared_actors(c: Composer) -> Draft:
    """Keys that occur in two tables, or in one but not the other."""
    pairs = [
        (x, y)
        for x in c.catalog.links_between_filled()
        for y in c.catalog.links_between_filled()
        if x.parent == y.parent
        and x.child != y.child
        and len(x.columns) == len(y.columns) == 1
        and x.child != x.parent
        and y.child != y.parent
    ]
    x, y = c.pick(pairs)
    first, second = c.catalog.by_name[x.child], c.catalog.by_name[y.child]
    parent = c.catalog.by_name[x.parent]
    keys = [first.by_name[x.columns[0]], second.by_name[y.columns[0]]]
    both = c.chance(0.5)
    scopes = [c.scope(first, most=1, without=[keys[0]]), c.scope(second, most=1, without=[keys[1]])]
    if keys[1].nullable or not both:  # an intersection with keys that are never NULL holds no NULL anyway
        scopes[0] = scopes[0].requiring("", keys[0])
    name = keys[0].name
    ko, en = ("에도 나타나고", "both in") if both else ("에는 나타나지만", "in")
    tail = Text("에도 나타나는", "and in") if both else Text("에는 나타나지 않는", "but not in")
    return Draft(
        "shared_actors", Level.MEDIUM,
        title=say("{a}{k} {b}{t} {p}", "{P} {e} {a} {t} {b}", a=first.label.plain, b=second.label.plain, k=ko, e=en, t=tail, p=parent.label.plain, P=parent.label.plural.capitalize()),
        task=say(
            "{s}{k}, {u}{t} {p}의 키를 구하세요. 같은 키는 한 번만 냅니다.", "Find the keys of {p} that occur {e} the {s} {t} the {u}, each once.",
            s=subject(first, scopes[0]), u=subject(second, scopes[1]), k=ko, e=en, t=tail, p=parent.label.full,
        ),
        outputs=[Output(name, say("{p}의 키", "the key of {p}", p=parent.label.full))],
        body=f"SELECT {keys[0].sql} FROM {first.sql}{scopes[0].where} {'INTERSECT' if both else 'EXCEPT'} SELECT {keys[1].sql}{'' if keys[1].name == name else f' AS {quoted(name)}'} FROM {second.sql}{scopes[1].where}",
        tables=[first.name, second.name],
        grain=say("{p} 하나", "one row of {p}", p=parent.label.full),
        step=Text("키만 고른 두 결과를 집합 연산으로 잇거나, EXISTS로 같은 뜻을 표현해 보세요.", "Join two results of keys by a set operation, or say the same with EXISTS."),
        tags=["set-operation", *(t for s in scopes for t in s.tags)],
        unique=(name,),
        order=[Sort(name)],
        notes=[n for s in scopes for n in s.notes],
        brief=scopes[0].brief,
    )  # fmt: skip
