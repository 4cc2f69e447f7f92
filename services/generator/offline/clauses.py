# ruff: noqa: E501 - the same sentence in two languages stands on one line
"""Conditions and measures: SQL together with the words for it."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any

from services.generator.offline.catalog import Field, Relation, Role
from services.generator.offline.lexicon import snake
from services.generator.offline.words import EMPTY, Text, listed, say


@dataclass(frozen=True)
class Condition:
    """`attr` stands before a Korean noun ("...인"), `link` before another condition ("...이고"); English uses `attr`."""

    sql: str
    attr: Text
    link: Text
    brief: Text
    tags: tuple[str, ...]
    notes: tuple[Text, ...] = ()


@dataclass(frozen=True)
class Scope:
    """Zero or more conditions joined by AND. `required`: columns that must not be NULL, told in a note instead."""

    conditions: tuple[Condition, ...] = ()
    required: tuple[tuple[str, Text], ...] = ()

    @property
    def predicate(self) -> str:
        return " AND ".join([*(c.sql for c in self.conditions), *(sql for sql, _ in self.required)])

    @property
    def where(self) -> str:
        return f" WHERE {self.predicate}" if self.predicate else ""

    @property
    def also(self) -> str:
        """The same conditions behind an existing one."""
        return f" AND {self.predicate}" if self.predicate else ""

    def requiring(self, alias: str, *fields: Field) -> Scope:
        """Leave out rows in which one of the nullable `fields` is NULL, and say so."""
        extra = tuple(
            (
                f"{f.of(alias)} IS NOT NULL",
                say("{f}이(가) NULL인 행은 제외합니다.", "Leave out rows where {f} is NULL.", f=f.label.full),
            )
            for f in fields
            if f.nullable
        )
        return Scope(self.conditions, self.required + extra)

    @property
    def text(self) -> Text:
        """Korean: goes right before the noun. English: goes right after it."""
        if not self.conditions:
            return EMPTY
        *front, last = self.conditions
        korean = " ".join([*(c.link.ko for c in front), last.attr.ko]) + " "
        return Text(korean, " where " + " and ".join(c.attr.en for c in self.conditions))

    @property
    def brief(self) -> Text:
        if not self.conditions:
            return EMPTY
        return Text(", ".join(c.brief.ko for c in self.conditions), ", ".join(c.brief.en for c in self.conditions))

    @property
    def tags(self) -> list[str]:
        return [tag for c in self.conditions for tag in c.tags]

    @property
    def notes(self) -> list[Text]:
        return [note for c in self.conditions for note in c.notes] + [note for _, note in self.required]


@dataclass(frozen=True)
class Measure:
    """An aggregate: `sql` over rows of the relation, `noun` its words, `nullable` when a group may have no value."""

    sql: str
    name: str
    noun: Text
    tags: tuple[str, ...]
    nullable: bool = False
    notes: tuple[Text, ...] = ()


def literal(value: Any) -> str:
    if isinstance(value, bool):
        return "TRUE" if value else "FALSE"
    if isinstance(value, datetime):
        return f"TIMESTAMP '{value:%Y-%m-%d %H:%M:%S}'"
    if isinstance(value, date):
        return f"DATE '{value:%Y-%m-%d}'"
    if isinstance(value, (int, float, Decimal)):
        return f"{value:f}" if isinstance(value, Decimal) else str(value)
    return "'" + str(value).replace("'", "''") + "'"


def shown(value: Any) -> str:
    return f"'{value}'" if isinstance(value, str) else str(value)


def condition(rng: random.Random, field: Field, alias: str = "") -> Condition | None:
    """A condition on `field` that keeps some rows and drops some, judged by its profile."""
    makers = {
        Role.CATEGORY: (_equals, _equals, _one_of, _differs, _missing),
        Role.FLAG: (_flag,),
        Role.MEASURE: (_bound, _bound, _between, _missing),
        Role.NUMBER: (_bound, _between, _missing),
        Role.DAY: (_days, _since, _missing),
        Role.MOMENT: (_days, _since, _missing),
        Role.NAME: (_starts, _missing),
        Role.LINK: (_missing,),
        Role.OTHER: (_missing,),
    }.get(field.role, ())
    return rng.choice(makers)(rng, field, field.of(alias)) if makers else None


def scope(rng: random.Random, fields: Sequence[Field], alias: str, count: int) -> Scope:
    """Up to `count` conditions, each on another column."""
    found: list[Condition] = []
    for field in rng.sample(list(fields), k=min(len(fields), count * 3)):
        made = condition(rng, field, alias)
        if made is not None and len(found) < count:
            found.append(made)
    return Scope(tuple(found))


def _make(
    field: Field, sql: str, attr: str, link: str, english: str, brief: str, *tags: str, note: bool = True, **parts: Any
) -> Condition:
    """`attr`, `link` and `english` follow the column's label."""
    name = field.label
    notes = (
        (say("{f} 값이 NULL인 행은 조건에 맞지 않습니다.", "Rows where {f} is NULL do not match.", f=name.full),)
        if note and field.nullable
        else ()
    )
    return Condition(
        sql,
        say("{f}" + attr, "{f} " + english, f=name.full, **parts),
        say("{f}" + link, "{f} " + english, f=name.full, **parts),
        Text(name.plain.ko + " " + brief.format(**parts), name.plain.en + " " + brief.format(**parts)),
        tags,
        notes,
    )


def _values(field: Field) -> list[Any]:
    return [value for value, _ in field.profile.common]


def _equals(rng: random.Random, field: Field, sql: str) -> Condition | None:
    if len(values := _values(field)) < 2:
        return None
    value = rng.choice(values[:6])
    return _make(
        field,
        f"{sql} = {literal(value)}",
        "이(가) {v}인",
        "이(가) {v}이고",
        "is {v}",
        "= {v}",
        "filter-equality",
        v=shown(value),
    )


def _one_of(rng: random.Random, field: Field, sql: str) -> Condition | None:
    if len(values := _values(field)) < 4:
        return None
    chosen = sorted(rng.sample(values[:8], k=rng.choice((2, 2, 3))), key=str)
    words = listed([Text(shown(v), shown(v)) for v in chosen])
    return Condition(
        f"{sql} IN ({', '.join(map(literal, chosen))})",
        say("{f}이(가) {v} 중 하나인", "{f} is one of {v}", f=field.label.full, v=words),
        say("{f}이(가) {v} 중 하나이고", "{f} is one of {v}", f=field.label.full, v=words),
        Text(f"{field.label.plain.ko} {words.ko}", f"{field.label.plain.en} {words.en}"),
        ("filter-in-list",),
    )


def _differs(rng: random.Random, field: Field, sql: str) -> Condition | None:
    if len(values := _values(field)) < 3:
        return None
    v = rng.choice(values[:4])
    return _make(
        field,
        f"{sql} <> {literal(v)}",
        "이(가) {v}이(가) 아닌",
        "이(가) {v}이(가) 아니고",
        "is not {v}",
        "≠ {v}",
        "filter-inequality",
        v=shown(v),
    )


def _flag(rng: random.Random, field: Field, sql: str) -> Condition | None:
    yes = rng.random() < 0.5
    value = "TRUE" if yes else "FALSE"
    return _make(
        field, sql if yes else f"NOT {sql}", " 값이 {v}인", " 값이 {v}이고", "is {v}", "= {v}", "boolean-logic", v=value
    )


def _bound(rng: random.Random, field: Field, sql: str) -> Condition | None:
    if field.profile.distinct < 4 or not (steps := field.profile.quantiles):
        return None
    value = rng.choice(steps[5:16])
    choices: list[tuple[str, str, str]] = [
        (">=", "이상", "is at least"),
        (">", "보다 큰", "is greater than"),
        ("<=", "이하", "is at most"),
        ("<", "보다 작은", "is less than"),
    ]
    op, korean, english = rng.choice(choices)
    if (op == "<" and value <= steps[0]) or (op == ">" and value >= steps[-1]):
        return None
    if op in (">", "<"):
        attr, link = f"이(가) {{v}}{korean}", f"이(가) {{v}}보다 {'크고' if op == '>' else '작고'}"
    else:
        attr, link = f"이(가) {{v}} {korean}인", f"이(가) {{v}} {korean}이고"
    return _make(
        field,
        f"{sql} {op} {literal(value)}",
        attr,
        link,
        f"{english} {{v}}",
        f"{op} {{v}}",
        "filter-comparison",
        v=shown(value),
    )


def _between(rng: random.Random, field: Field, sql: str) -> Condition | None:
    steps = field.profile.quantiles
    if field.profile.distinct < 6 or not steps:
        return None
    low, high = steps[rng.randrange(3, 8)], steps[rng.randrange(12, 18)]
    if not low < high:
        return None
    return _make(
        field, f"{sql} BETWEEN {literal(low)} AND {literal(high)}", "이(가) {a} 이상 {b} 이하인", "이(가) {a} 이상 {b} 이하이고",
        "is between {a} and {b} inclusive", "{a}~{b}", "filter-range", a=shown(low), b=shown(high),
    )  # fmt: skip


def _missing(rng: random.Random, field: Field, sql: str) -> Condition | None:
    if not 0 < field.profile.nulls < field.profile.rows:
        return None
    if rng.random() < 0.5:
        return _make(
            field,
            f"{sql} IS NULL",
            "이(가) 비어 있는(NULL)",
            "이(가) 비어 있고(NULL)",
            "is NULL",
            "NULL",
            "null-handling",
            note=False,
        )
    return _make(
        field, f"{sql} IS NOT NULL", "이(가) 비어 있지 않은(NULL이 아닌)", "이(가) 비어 있지 않고(NULL이 아니고)", "is not NULL",
        "IS NOT NULL", "null-handling", note=False,
    )  # fmt: skip


def _day(value: Any) -> date:
    return value.date() if isinstance(value, datetime) else value


def _days(rng: random.Random, field: Field, sql: str) -> Condition | None:
    """Whole days, both included; a half-open range on a timestamp."""
    steps = field.profile.quantiles
    if not steps:
        return None
    first, last = _day(steps[rng.randrange(2, 9)]), _day(steps[rng.randrange(11, 18)])
    if first >= last:
        return None
    if field.role is Role.DAY:
        test = f"{sql} BETWEEN {literal(first)} AND {literal(last)}"
    else:
        test = f"{sql} >= {literal(first)} AND {sql} < {literal(last + timedelta(days=1))}"
    return _make(
        field, test, "이(가) {a}부터 {b}까지인(두 날 모두 포함)", "이(가) {a}부터 {b}까지이고(두 날 모두 포함)",
        "is from {a} to {b} (both days included)", "{a}~{b}", "date-range", a=f"{first}", b=f"{last}",
    )  # fmt: skip


def _since(rng: random.Random, field: Field, sql: str) -> Condition | None:
    steps = field.profile.quantiles
    if not steps:
        return None
    day = _day(steps[rng.randrange(6, 15)])
    if day <= _day(steps[0]):
        return None
    if rng.random() < 0.5:
        return _make(
            field,
            f"{sql} >= {literal(day)}",
            "이(가) {a} 이후인(그날 포함)",
            "이(가) {a} 이후이고(그날 포함)",
            "is on or after {a}",
            "≥ {a}",
            "date-range",
            a=f"{day}",
        )
    return _make(
        field,
        f"{sql} < {literal(day)}",
        "이(가) {a}보다 이른(그날 제외)",
        "이(가) {a}보다 이르고(그날 제외)",
        "is before {a} (that day excluded)",
        "< {a}",
        "date-range",
        a=f"{day}",
    )


def _starts(rng: random.Random, field: Field, sql: str) -> Condition | None:
    prefixes = sorted(
        {str(v).split(" ")[0] for v in _values(field) if " " in str(v)} or {str(v)[:1] for v in _values(field)}
    )
    prefixes = [p for p in prefixes if p and not set("%_\\{}") & set(p)]
    if len(prefixes) < 2:
        return None
    prefix = rng.choice(prefixes)
    return _make(
        field, f"{sql} LIKE {literal(prefix + '%')}", "이(가) {v}으로(로) 시작하는",
        "이(가) {v}으로(로) 시작하고", "starts with {v}", "{v}…", "pattern-matching", v=shown(prefix),
    )  # fmt: skip


def count_rows(relation: Relation, name: str = "") -> Measure:
    noun = say("{t} 수", "the number of {p}", t=relation.label.plain, p=relation.label.plural)
    return Measure("COUNT(*)", name or f"{snake(relation.label.singular)}_count", noun, ("aggregate-count",))


def count_distinct(field: Field, alias: str, entity: str, korean: str) -> Measure:
    notes = (
        (say("{f} 값이 NULL인 행은 세지 않습니다.", "Rows where {f} is NULL are not counted.", f=field.label.full),)
        if field.nullable
        else ()
    )
    noun = say("서로 다른 {e} 수", "the number of distinct {p}", e=Text(korean, ""), p=entity)
    name = f"distinct_{snake(entity)}"
    return Measure(f"COUNT(DISTINCT {field.of(alias)})", name, noun, ("count-distinct",), False, notes)


def aggregate(rng: random.Random, field: Field, alias: str) -> Measure:
    """SUM, AVG, MIN or MAX of a measure. Averages and sums of floats are rounded: their order of addition is free."""
    kind = rng.choice(("sum", "sum", "avg", "max", "min") if field.additive else ("avg", "avg", "max", "min"))
    column = field.of(alias)
    sql, korean, english, tag = {
        "sum": (f"SUM({column})", "합계", "the total", "aggregate-sum"),
        "avg": (f"ROUND(AVG({column}), 2)", "평균", "the average", "aggregate-average"),
        "max": (f"MAX({column})", "최댓값", "the largest", "aggregate-min-max"),
        "min": (f"MIN({column})", "최솟값", "the smallest", "aggregate-min-max"),
    }[kind]
    rounded = kind == "avg" or (kind == "sum" and field.is_float)
    if kind == "sum" and field.is_float:
        sql = f"ROUND({sql}, 2)"
    noun = say("{f}의 {k}", "{e} {f}", f=field.label.full, k=korean, e=english)
    if rounded:
        noun += Text("(소수 둘째 자리까지 반올림)", " (rounded to 2 decimals)")
    notes = (
        (
            say(
                "{f} 값이 NULL인 행은 {k}에서 빠집니다.",
                "NULLs in {f} are left out of {e}.",
                f=field.label.full,
                k=korean,
                e=english,
            ),
        )
        if field.nullable
        else ()
    )
    tags = (tag, "rounding") if rounded else (tag,)
    return Measure(sql, f"{kind}_{snake(field.name)}", noun, tags, field.nullable, notes)
