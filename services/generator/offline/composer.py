"""What recipes draw from: seeded picks of tables, links, conditions, measures and groupings that suit a schema."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from services.generator.datasets.naming import split_words
from services.generator.offline import clauses
from services.generator.offline.catalog import Catalog, Field, Link, Relation, Role, quoted
from services.generator.offline.clauses import Measure, Scope
from services.generator.offline.draft import Draft, Level, Output
from services.generator.offline.lexicon import Label, label, snake
from services.generator.offline.words import Text, say

T = TypeVar("T")


class Unsuitable(Exception):
    """The schema has nothing that this recipe needs."""


@dataclass(frozen=True)
class Dimension:
    """What an answer is grouped by. `each`: "국가(`country`)별" / "each `country`". `plain`: for titles."""

    sql: str
    output: Output
    each: Text
    plain: Text
    tags: tuple[str, ...]
    notes: tuple[Text, ...] = ()
    link: Link | None = None
    chronological: bool = False


@dataclass(frozen=True)
class Actor:
    """The column that says whose row it is, and what such a one is called."""

    field: Field
    label: Label

    @property
    def each(self) -> Text:
        return say("{e}({c})별", "each {n} ({c})", e=self.label.plain, n=self.label.singular, c=f"`{self.field.name}`")


@dataclass(frozen=True)
class Activity:
    """A table of things somebody did at some time."""

    relation: Relation
    actor: Actor
    moment: Field


@dataclass(frozen=True)
class Recipe:
    name: str
    level: Level
    compose: Callable[[Composer], Draft]


RECIPES: list[Recipe] = []


def recipe(level: Level) -> Callable[[Callable[[Composer], Draft]], Callable[[Composer], Draft]]:
    def register(compose: Callable[[Composer], Draft]) -> Callable[[Composer], Draft]:
        RECIPES.append(Recipe(compose.__name__, level, compose))
        return compose

    return register


class Composer:
    def __init__(self, catalog: Catalog, rng: random.Random) -> None:
        self.catalog = catalog
        self.rng = rng
        self._taken = {r.name.lower() for r in catalog.relations}

    def pick(self, items: Sequence[T]) -> T:
        if not items:
            raise Unsuitable
        return self.rng.choice(items)

    def chance(self, probability: float) -> bool:
        return self.rng.random() < probability

    def relation(self, suits: Callable[[Relation], bool] = lambda _: True) -> Relation:
        return self.pick([r for r in self.catalog.filled if suits(r)])

    def link(self, suits: Callable[[Link], bool] = lambda _: True) -> Link:
        return self.pick([x for x in self.catalog.links_between_filled() if suits(x) and x.child != x.parent])

    def fresh(self, name: str) -> str:
        """A name for a CTE that no table of the schema has."""
        while name.lower() in self._taken:
            name += "_step"
        return quoted(name)

    def scope(
        self, relation: Relation, alias: str = "", most: int = 2, least: int = 0, without: Sequence[Field] = ()
    ) -> Scope:
        fields = [f for f in relation.fields if f.role is not Role.KEY and f not in without]
        made = clauses.scope(self.rng, fields, alias, self.rng.randint(least, most))
        if len(made.conditions) < least:
            raise Unsuitable
        return made

    def measure(self, relation: Relation, alias: str = "") -> Measure:
        """Mostly an aggregate of a measure; else a count of rows or of distinct links."""
        roll = self.rng.random()
        if relation.measures and roll < 0.55:
            return clauses.aggregate(self.rng, self.pick(relation.measures), alias)
        actors = self.actors(relation)
        if actors and roll < 0.75:
            actor = self.pick(actors)
            return clauses.count_distinct(actor.field, alias, actor.label.plural, actor.label.plain.ko)
        return clauses.count_rows(relation)

    def actors(self, relation: Relation) -> list[Actor]:
        """Declared links of one column, and columns that look like one (``..._id``) and repeat."""
        found = [
            Actor(relation.by_name[link.columns[0]], self.catalog.by_name[link.parent].label)
            for link in self.catalog.links
            if link.child == relation.name and len(link.columns) == 1 and link.parent != relation.name
        ]
        declared = {a.field.name for a in found}
        for field in relation.fields:
            words = split_words(field.name)
            looks = len(words) > 1 and words[-1] in ("id", "번호", "코드") and field.role is not Role.KEY
            if looks and field.name not in declared and 1 < field.profile.distinct < field.profile.rows:
                found.append(Actor(field, label("_".join(words[:-1]))))
        return [a for a in found if a.field.profile.distinct > 1]

    def activity(
        self, repeats: float = 1.5, timed: bool = False, suits: Callable[[Relation], bool] = lambda _: True
    ) -> Activity:
        """`repeats`: rows per actor at least. `timed`: the moment must have a time of day."""
        roles = (Role.MOMENT,) if timed else (Role.MOMENT, Role.DAY)
        found = [
            Activity(relation, actor, moment)
            for relation in self.catalog.filled
            if suits(relation)
            for actor in self.actors(relation)
            if relation.rows >= repeats * actor.field.profile.distinct
            for moment in relation.having(*roles)
            if moment.profile.distinct > 3
        ]
        return self.pick(found)

    def dimension(
        self, relation: Relation, alias: str, parent_alias: str, dates: bool = True, joins: bool = True
    ) -> Dimension:
        options: list[Callable[[], Dimension]] = []
        if relation.categories:
            options += [lambda: self._own(self.pick(relation.categories), alias)] * 3
        if dates and relation.moments:
            options += [lambda: self.bucket(self.pick(relation.moments), alias)] * 2
        if joins and (
            links := [x for x in self.catalog.links_from(relation.name) if self.catalog.by_name[x.parent].categories]
        ):
            options += [lambda: self._parent(self.pick(links), parent_alias)] * 3
        return self.pick(options)()

    def _own(self, field: Field, alias: str) -> Dimension:
        name = field.label
        return Dimension(
            field.of(alias),
            Output(field.name, say("{f}", "{f}", f=name.full), field.nullable),
            say("{f}별", "each {f}", f=name.full),
            say("{f}별", "by {f}", f=name.plain),
            ("group-by",),
            _null_group(field),
        )

    def _parent(self, link: Link, alias: str) -> Dimension:
        parent = self.catalog.by_name[link.parent]
        field = self.pick(parent.categories)
        name = field.label
        notes = _null_group(field)
        if link.nullable:
            notes += (
                say(
                    "{p}에 연결되지 않은 행은 제외합니다.",
                    "Leave out rows that are linked to no row of {p}.",
                    p=parent.label.full,
                ),
            )
        return Dimension(
            field.of(alias),
            Output(field.name, say("{p}의 {f}", "{f} of {p}", p=parent.label.full, f=name.full), field.nullable),
            say("{p}의 {f}별", "each {f} of {p}", p=parent.label.full, f=name.full),
            say("{p} {f}별", "by {n} {f}", p=parent.label.plain, f=name.plain, n=parent.label.singular),
            ("inner-join", "group-by"),
            notes,
            link,
        )

    def bucket(self, field: Field, alias: str, unit: str = "") -> Dimension:
        """Day, week (from Monday) or month of a moment."""
        column, name = field.of(alias), field.label
        days = _span(field)
        unit = unit or self.pick([u for u, least in (("day", 2), ("week", 21), ("month", 62)) if days >= least])
        as_day = column if field.role is Role.DAY else f"CAST({column} AS DATE)"
        sql = as_day if unit == "day" else f"CAST(DATE_TRUNC('{unit}', {column}) AS DATE)"
        korean, english = {"day": ("날짜", "day"), "week": ("주", "week"), "month": ("달", "month")}[unit]
        start = {
            "day": Text("", ""),
            "week": Text("(월요일 날짜로 표시)", " (shown as its Monday)"),
            "month": Text("(1일 날짜로 표시)", " (shown as its first day)"),
        }[unit]
        what = say("{f} 기준 {k}", "the {e} of {f}", f=name.full, k=korean, e=english) + start
        return Dimension(
            sql,
            Output(f"{unit}_start" if unit != "day" else "day", what, field.nullable),
            say("{f} 기준 {k}별", "each {e} of {f}", f=name.full, k=korean, e=english),
            say("{k}별", "by {e}", k={"day": "일", "week": "주", "month": "월"}[unit], e=english),
            ("date-trunc" if unit != "day" or field.role is Role.MOMENT else "group-by", "group-by"),
            _null_group(field),
            None,
            True,
        )


def _span(field: Field) -> int:
    steps = field.profile.quantiles
    return (steps[-1] - steps[0]).days if steps else 0


def _null_group(field: Field) -> tuple[Text, ...]:
    if not field.nullable:
        return ()
    return (
        say(
            "{f} 값이 NULL인 행들도 하나의 그룹입니다.",
            "Rows where {f} is NULL form a group of their own.",
            f=field.label.full,
        ),
    )


def aliases(*tables: str) -> list[str]:
    """Short aliases, distinct and never a keyword: first letters for plain names, else ``t1``, ``t2``, ..."""
    made: list[str] = []
    for i, table in enumerate(tables, 1):
        letters = "".join(word[0] for word in split_words(table) if word[0].isascii() and word[0].isalpha())
        name = letters if letters and letters not in made and quoted(letters) == letters else f"t{i}"
        made.append(name)
    return made


def from_clause(relation: Relation, alias: str, dimension: Dimension, parent_alias: str) -> str:
    base = f"{relation.sql} AS {alias}"
    if dimension.link is None:
        return base
    return f"{base} JOIN {quoted(dimension.link.parent)} AS {parent_alias} ON {dimension.link.on(alias, parent_alias)}"


def dedupe(names: Sequence[str]) -> list[str]:
    """Output names made distinct by a number behind the repeated ones."""
    out: list[str] = []
    for name in names:
        candidate, n = name, 2
        while candidate in out:
            candidate, n = f"{name}_{n}", n + 1
        out.append(candidate)
    return out


def named(text: str) -> str:
    return snake(text)
