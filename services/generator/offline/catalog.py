"""What a schema's columns are good for: keys, links, categories, measures, moments."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from functools import cached_property

from sqlglot.dialects.duckdb import DuckDB

from services.generator.datasets.naming import split_words
from services.generator.datasets.profiles import ColumnProfile, Profile
from services.generator.offline.lexicon import Label, label
from services.kernel.sql.schema import Column, Schema, Table

# More values than this is not a category one groups by in an exercise.
MAX_CATEGORIES = 16
_EMPTY = ColumnProfile(0, 0, 0, (), ())
_INTEGER = re.compile(r"^(U?(TINY|SMALL|BIG|HUGE)?INT(EGER)?|INT\d*|LONG|SHORT)\b", re.I)
_FRACTION = re.compile(r"^(DECIMAL|NUMERIC)\b", re.I)
_FLOAT = re.compile(r"^(DOUBLE|FLOAT\d?|REAL)\b", re.I)
_STRING = re.compile(r"^(VARCHAR|TEXT|STRING|CHAR|BPCHAR|ENUM)\b", re.I)
# Numbers that name or place something: adding or averaging them says nothing.
_NOMINAL = {
    "year",
    "number",
    "no",
    "num",
    "code",
    "zip",
    "season",
    "version",
    "latitude",
    "longitude",
    "lat",
    "lon",
    "position",
    "id",
    "연도",
    "번호",
    "코드",
}
# Numbers whose average means something and whose sum does not.
_INTENSIVE = {
    "price",
    "rate",
    "ratio",
    "percent",
    "pct",
    "age",
    "rating",
    "score",
    "stars",
    "temperature",
    "level",
    "grade",
    "rank",
    "height",
    "weight",
    "speed",
    "avg",
    "average",
    "단가",
    "가격",
    "나이",
    "점수",
    "평점",
    "온도",
}


class Role(Enum):
    KEY = "key"  # identifies the row
    LINK = "link"  # points to another table
    CATEGORY = "category"
    FLAG = "flag"
    MEASURE = "measure"
    NUMBER = "number"  # comparable, but neither summed nor averaged
    DAY = "day"
    MOMENT = "moment"
    NAME = "name"  # text, nearly one per row
    OTHER = "other"


@dataclass(frozen=True)
class Field:
    table: str
    name: str
    type: str
    nullable: bool
    role: Role
    profile: ColumnProfile
    label: Label
    additive: bool = False

    @property
    def sql(self) -> str:
        return quoted(self.name)

    def of(self, alias: str) -> str:
        return f"{alias}.{self.sql}" if alias else self.sql

    @property
    def is_float(self) -> bool:
        return bool(_FLOAT.match(self.type))

    @property
    def temporal(self) -> bool:
        return self.role in (Role.DAY, Role.MOMENT)


@dataclass(frozen=True)
class Link:
    """Rows of `child` point to at most one row of `parent`. `nullable`: the pointer may be missing."""

    child: str
    columns: tuple[str, ...]
    parent: str
    ref_columns: tuple[str, ...]
    nullable: bool

    def on(self, child: str, parent: str) -> str:
        pairs = zip(self.columns, self.ref_columns, strict=True)
        return " AND ".join(f"{child}.{quoted(c)} = {parent}.{quoted(p)}" for c, p in pairs)


@dataclass(frozen=True)
class Relation:
    """A table as the composer sees it. `key`: columns that identify a row, empty when none is declared."""

    name: str
    fields: tuple[Field, ...]
    key: tuple[str, ...]
    rows: int
    label: Label

    @property
    def sql(self) -> str:
        return quoted(self.name)

    def having(self, *roles: Role) -> list[Field]:
        return [f for f in self.fields if f.role in roles]

    @cached_property
    def by_name(self) -> dict[str, Field]:
        return {f.name: f for f in self.fields}

    @property
    def key_fields(self) -> list[Field]:
        return [self.by_name[name] for name in self.key]

    @property
    def categories(self) -> list[Field]:
        return self.having(Role.CATEGORY, Role.FLAG)

    @property
    def measures(self) -> list[Field]:
        return self.having(Role.MEASURE)

    @property
    def moments(self) -> list[Field]:
        return self.having(Role.MOMENT, Role.DAY)


@dataclass(frozen=True)
class Catalog:
    relations: tuple[Relation, ...]
    links: tuple[Link, ...]
    by_name: Mapping[str, Relation] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "by_name", {r.name: r for r in self.relations})

    @property
    def filled(self) -> list[Relation]:
        """Relations with rows: an empty table makes no exercise, but may stand in a join's schema."""
        return [r for r in self.relations if r.rows > 1]

    def links_from(self, child: str) -> list[Link]:
        return [x for x in self.links if x.child == child and self.by_name[x.parent].rows > 1]

    def links_between_filled(self) -> list[Link]:
        return [x for x in self.links if self.by_name[x.child].rows > 1 and self.by_name[x.parent].rows > 1]


def build_catalog(schema: Schema, profile: Profile) -> Catalog:
    relations = tuple(_relation(table, profile.get(table.name, {})) for table in schema.tables)
    names = {table.name for table in schema.tables}
    links = tuple(
        Link(
            table.name,
            tuple(fk.columns),
            fk.ref_table,
            tuple(fk.ref_columns),
            any(not c.not_null for c in table.columns if c.name in fk.columns and c.name not in table.primary_key),
        )
        for table in schema.tables
        for fk in table.foreign_keys
        if fk.ref_table in names
    )
    return Catalog(relations, links)


def _relation(table: Table, profiles: Mapping[str, ColumnProfile]) -> Relation:
    key = tuple(table.primary_key) or _not_null_unique(table)
    fields = tuple(_field(table, column, key, profiles.get(column.name, _EMPTY)) for column in table.columns)
    rows = max((p.rows for p in profiles.values()), default=0)
    return Relation(table.name, fields, key, rows, label(table.name))


def _not_null_unique(table: Table) -> tuple[str, ...]:
    required = {c.name for c in table.columns if c.not_null}
    return next((tuple(u) for u in table.unique if set(u) <= required), ())


def _field(table: Table, column: Column, key: tuple[str, ...], profile: ColumnProfile) -> Field:
    linked = {name for fk in table.foreign_keys for name in fk.columns}
    nullable = not column.not_null and column.name not in table.primary_key
    if column.name in linked:
        role = Role.LINK
    elif column.name in key:
        role = Role.KEY
    else:
        role = _role(column, profile)
    words = set(split_words(column.name))
    additive = role is Role.MEASURE and not words & _INTENSIVE
    return Field(table.name, column.name, column.type, nullable, role, profile, label(column.name), additive)


def _role(column: Column, profile: ColumnProfile) -> Role:
    kind = column.type.upper()
    if kind.startswith("TIMESTAMP") and "TIME ZONE" not in kind and kind != "TIMESTAMPTZ":
        return Role.MOMENT
    if kind == "DATETIME":
        return Role.MOMENT
    if kind == "DATE":
        return Role.DAY
    if kind in ("BOOLEAN", "BOOL"):
        return Role.FLAG
    if _INTEGER.match(kind) or _FRACTION.match(kind) or _FLOAT.match(kind):
        words = split_words(column.name)
        return Role.NUMBER if set(words) & _NOMINAL else Role.MEASURE
    if _STRING.match(kind):
        if 2 <= profile.distinct <= MAX_CATEGORIES and profile.distinct * 2 <= profile.rows - profile.nulls:
            return Role.CATEGORY
        return Role.NAME if profile.distinct * 2 > profile.rows - profile.nulls else Role.OTHER
    return Role.OTHER


_PLAIN = re.compile(r"^[a-z_][a-z0-9_]*$")


def quoted(name: str) -> str:
    """`name` as a DuckDB identifier: quoted when it is a keyword or not a plain lower-case word."""
    if _PLAIN.match(name) and name.upper() not in _KEYWORDS:
        return name
    return '"' + name.replace('"', '""') + '"'


_UNTOKENIZED = {
    "ALL", "ANALYSE", "ANALYZE", "AND", "ANTI", "ANY", "ARRAY", "AS", "ASC", "ASYMMETRIC", "AT", "AUTHORIZATION",
    "BINARY",
    "BOTH", "BY", "CASE", "CAST", "CHECK", "COLLATE", "COLUMN", "CONCURRENTLY", "CONSTRAINT", "CREATE", "CROSS",
    "DEFAULT", "DEFERRABLE", "DESC", "DESCRIBE", "DISTINCT", "DO", "ELSE", "END", "EXCEPT", "FALSE", "FETCH", "FOR",
    "FOREIGN", "FREEZE", "FROM", "FULL", "GENERATED", "GLOB", "GRANT", "GROUP", "HAVING", "ILIKE", "IN", "INITIALLY",
    "INNER", "INTERSECT", "INTO", "IS", "ISNULL", "JOIN", "LAMBDA", "LATERAL", "LEADING", "LEFT", "LIKE", "LIMIT",
    "MAP",
    "NATURAL", "NOT", "NOTNULL", "NULL", "OFFSET", "ON", "ONLY", "OR", "ORDER", "OUTER", "OVERLAPS", "PIVOT",
    "PIVOT_LONGER", "PIVOT_WIDER", "PLACING", "POSITIONAL", "PRIMARY", "QUALIFY", "REFERENCES", "RETURNING", "RIGHT",
    "SELECT", "SEMI", "SHOW", "SIMILAR", "SOME", "STRUCT", "SUMMARIZE", "SYMMETRIC", "TABLE", "TABLESAMPLE", "THEN",
    "TO",
    "TRAILING", "TRUE", "TRY_CAST", "UNION", "UNIQUE", "UNPIVOT", "UNPACK", "USING", "VARIADIC", "VERBOSE", "WHEN",
    "WHERE", "WINDOW", "WITH",
}  # fmt: skip
# The reserved words of DuckDB's grammar (duckdb_keywords()) and whatever the tokenizer treats as a keyword, except the
# few common column names that need no quotes.
_KEYWORDS = (_UNTOKENIZED | {k for k in DuckDB.Tokenizer.KEYWORDS if " " not in k}) - {
    "COMMENT", "FORMAT", "NAME", "TYPE", "DATE", "TIME", "TEXT", "INDEX", "UUID", "JSON", "YEAR", "STATUS",
}  # fmt: skip
