"""Small pools of values for each column: few enough to collide, chosen round every constant the queries mention."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Final

from services.kernel.sql.dataset import Value
from services.kernel.sql.judge.conversion import FAMILIES, Family, as_text, convert, family_of, fits
from services.kernel.sql.judge.hints import BaseColumn, Hints, Mention
from services.kernel.sql.judge.moments import apart, pointed_at
from services.kernel.sql.judge.texts import JSON_TYPE, json_texts, pattern_texts, telling_texts, text_neighbours
from services.kernel.sql.schema import Column, Schema, Table

_EPOCH: Final = date(2020, 3, 1)  # after a leap day, so that a day back crosses a month
_MIDNIGHT: Final = datetime.combine(_EPOCH, time())
_MAX_POOL: Final = 40
# Functions that tell no more of a value than whether it is there, or what it is as a whole.
_WHOLE_VALUES: Final = frozenset({"Count", "Sum", "Avg", "Max", "Min", "Coalesce", "If", "Case", "AnyValue", "Nullif"})
_ORDERINGS: Final = frozenset({"=", "<>", "<", "<=", ">", ">="})
_MET_AS: Final[dict[Family, set[str]]] = {"integer": {"BIGINT"}, "decimal": {"DECIMAL"}, "float": {"DOUBLE"}}


@dataclass(frozen=True)
class Domain:
    """``values``: the pool, plain values first; ``likely``: those that satisfy a comparison met in a query, the surest
    first; ``fresh(n)``: the n-th of endlessly many distinct values, for keys; ``closed``: no other value is legal.
    """

    family: Family
    values: tuple[Value, ...]
    likely: tuple[Value, ...]
    fresh: Callable[[int], Value]
    nullable: bool
    closed: bool = False


class DomainBuilder:
    """Builds the domain of every column of a schema from the hints, sharing constants between linked columns."""

    def __init__(self, schema: Schema, hints: Hints) -> None:
        self._schema, self._hints = schema, hints
        self._group = _groups(schema, hints)
        self._shared: dict[BaseColumn, list[Mention]] = {}
        for base in sorted(hints.mentions):
            self._shared.setdefault(self.group(base), []).extend(sorted(hints.mentions[base], key=repr))

    def group(self, base: BaseColumn) -> BaseColumn:
        """The representative of the columns that share their values with ``base``."""
        return self._group.get(base, base)

    def build(self, table: Table, column: Column) -> Domain:
        base = (table.name, column.name)
        family = family_of(column)
        mentions = [*sorted(self._hints.mentions.get(base, ()), key=repr), *self._shared.get(self.group(base), ())]
        nullable = not table.is_required(column.name)
        enumerated = _enumerated(table, column)
        if enumerated:
            return Domain(family, enumerated, enumerated, lambda n: enumerated[n % len(enumerated)], nullable, True)
        cast_to = self._hints.cast_to.get(base, set()) or self._compared_as(base, mentions)
        pool = _Pool(family, column, cast_to, self._hints.functions.get(base, set()))
        for mention in dict.fromkeys(mentions):
            pool.add(mention)
        pool.add_for_functions(list(dict.fromkeys(mentions)))
        return Domain(family, pool.values(), pool.likely(), pool.fresh, nullable)

    def _compared_as(self, base: BaseColumn, mentions: Iterable[Mention]) -> set[str]:
        """The type that a text column is cast to where it meets a number or a date: DuckDB casts the text."""
        if any(mention.bare and mention.operator in _ORDERINGS and _is_number(mention.value) for mention in mentions):
            return {"DECIMAL"} if any(isinstance(m.value, Decimal) for m in mentions if m.bare) else {"BIGINT"}
        partners = {other for pair in self._hints.linked if base in pair for other in pair if other != base}
        families = {family_of(self._schema.table(t).column(c)) for t, c in sorted(partners) if self._schema.has(t)}
        return next((_MET_AS[family] for family in sorted(families) if family in _MET_AS), set())


def _small_number(value: object) -> int | None:
    if isinstance(value, str):
        return int(value) if value.isdigit() and len(value) < 4 else None
    number = int(value) if isinstance(value, int | Decimal) else None
    return number if number is not None and abs(number) < 1000 else None


def _is_number(value: object) -> bool:
    return isinstance(value, int | Decimal) and not isinstance(value, bool)


def _groups(schema: Schema, hints: Hints) -> dict[BaseColumn, BaseColumn]:
    """Union-find over linked columns and foreign keys."""
    parent: dict[BaseColumn, BaseColumn] = {}

    def find(base: BaseColumn) -> BaseColumn:
        while parent.setdefault(base, base) != base:
            base = parent[base]
        return base

    links = list(hints.linked)
    for table in schema.tables:
        for key in table.foreign_keys:
            target = schema.table(key.ref_table)
            for name, ref in zip(key.columns, key.ref_columns, strict=True):
                links.append(((table.name, table.column(name).name), (target.name, target.column(ref).name)))
    for one, other in sorted(links):
        low, high = sorted((find(one), find(other)))
        parent[high] = low
    return {base: find(base) for base in list(parent)}


def _enumerated(table: Table, column: Column) -> tuple[Value, ...]:
    """The values of an ENUM, or those that a CHECK (column IN (...)) allows; empty when any value may stand."""
    import sqlglot
    from sqlglot import exp

    if column.type.upper().startswith("ENUM"):
        parsed = sqlglot.parse_one(f"CAST(NULL AS {column.type})", read="duckdb")
        return tuple(literal.name for literal in parsed.find_all(exp.Literal))
    for check in table.checks:
        tree = sqlglot.parse_one(check, read="duckdb")
        if isinstance(tree, exp.In) and tree.this.name.lower() == column.name.lower() and tree.expressions:
            pool = _Pool(family_of(column), column, set(), set())
            return tuple(v for v in (pool.typed(part.to_py()) for part in tree.expressions) if v is not None)
    return ()


class _Pool:
    """Collects the values of one column."""

    def __init__(self, family: Family, column: Column, cast_to: set[str], functions: set[str]) -> None:
        self._family, self._column = family, column
        self._text_of = _text_family(cast_to) if family == "text" else None
        self._functions = functions
        self._plain: dict[Value, None] = {}
        self._near: dict[Value, None] = {}
        self._likely: dict[Value, None] = {}
        self._perhaps: dict[Value, None] = {}
        for value in _lists(column) if column.type.endswith("[]") else _plain_values(self._text_of or family, column):
            self._keep(self._plain, value)

    def values(self) -> tuple[Value, ...]:
        constants = [*self.likely(), *self._near][:_MAX_POOL]
        return tuple(dict.fromkeys([*self._plain, *constants]))

    def likely(self) -> tuple[Value, ...]:
        return tuple(dict.fromkeys([*self._likely, *self._perhaps]))

    def fresh(self, n: int) -> Value:
        family = self._text_of or self._family
        value = _fresh(family, n)
        return as_text(value) if self._text_of else value

    def typed(self, value: object) -> Value:
        """``value`` as this column's type, or None when it cannot be."""
        family = self._text_of or self._family
        converted = convert(value, family)
        if self._text_of:
            return value if isinstance(value, str) and converted is not None else as_text(converted)
        return converted if fits(converted, self._column) else None

    def add(self, mention: Mention) -> None:
        value = self.typed(mention.value)
        if value is None:
            self._add_foreign(mention)
            return
        if self._family == "text" and self._text_of is None:
            self._add_text(mention, str(value))
            return
        core = convert(value, self._text_of) if self._text_of else value
        satisfying, near = _around(core, mention.operator)
        for target, found in ((self._likely if mention.bare else self._perhaps, satisfying), (self._near, near)):
            for item in found:
                self._keep(target, item)

    def add_for_functions(self, mentions: Sequence[Mention]) -> None:
        """What the functions round a column tell apart: parts of texts, distances between dates, paths of JSON."""
        constants = [mention.value for mention in mentions]
        numbers = [number for value in constants if (number := _small_number(value)) is not None]
        if self._column.type.upper() == JSON_TYPE:
            paths = [str(mention.value) for mention in mentions if mention.operator == "path"]
            for text in json_texts(paths, [m.value for m in mentions if m.operator != "path"]):
                self._keep(self._plain, text)
        elif self._column.type.endswith("[]"):
            for value in constants:
                self._keep(self._near, (value,))
                self._keep(self._near, (value, value))
        elif self._functions - _WHOLE_VALUES:
            if self._family == "text" and self._text_of is None:
                for text in telling_texts(numbers):
                    self._keep(self._perhaps, text)
            elif self._family in {"date", "timestamp"}:
                moments = [m for v in constants if (m := convert(v, self._family)) is not None and not _is_number(v)]
                for moment in apart(moments, numbers):
                    self._keep(self._perhaps, moment)

    def _keep(self, target: dict[Value, None], value: Value) -> None:
        if value is not None and (self._text_of or fits(value, self._column)):
            target[as_text(value) if self._text_of and not isinstance(value, str) else value] = None

    def _add_text(self, mention: Mention, text: str) -> None:
        if mention.operator in {"like", "pattern"}:
            matching, missing = pattern_texts(text, regular=mention.operator == "pattern")
        else:
            matching, missing = text_neighbours(text, bare=mention.bare, operator=mention.operator)
        for index, value in enumerate(matching):
            first = index == 0 and mention.operator != "near"
            self._keep(self._likely if first else self._perhaps, value)
        for value in missing:
            self._keep(self._near, value)

    def _add_foreign(self, mention: Mention) -> None:
        """A constant of another type: a length beside a text, a year, a month or a number of days beside a date."""
        value = mention.value
        if isinstance(value, bool) or not isinstance(value, int | Decimal | str):
            return
        if self._family in {"date", "timestamp"} or self._text_of in {"date", "timestamp"}:
            for moment in pointed_at(value, self._functions, _EPOCH):
                converted = convert(moment, self._text_of or self._family)
                self._keep(self._perhaps, converted)
        elif self._family == "text" and isinstance(value, int | Decimal) and value == int(value):
            if mention.bare:
                for near in _around(int(value), mention.operator)[0]:
                    self._keep(self._likely, str(near))
            self._add_length(int(value))

    def _add_length(self, length: int) -> None:
        self._keep(self._near, str(length))
        if "Length" in self._functions and 0 <= length <= 400:
            for size in (length, length + 1, length - 1):
                if size >= 0:
                    self._keep(self._perhaps, "x" * size)


def _text_family(cast_to: set[str]) -> Family | None:
    """What a text column is cast to somewhere: then only texts of that form can stand in it without an error."""
    for name in sorted(cast_to):
        family = FAMILIES.get(name.split("(")[0].strip(), "text")
        if family not in {"text", "other", "boolean"}:
            return family
    return None


def _plain_values(family: Family, column: Column) -> Iterable[Value]:
    plain: dict[Family, tuple[Value, ...]] = {
        "integer": (1, 2, 3, 0, 5, -1),
        "decimal": (Decimal(1), Decimal(2), Decimal(3), Decimal(0), Decimal("1.5"), Decimal(-1)),
        "float": (1.0, 2.0, 3.0, 0.0, 1.5, -1.0),
        "text": ("a", "b", "c", "A", "", "ab"),
        "date": tuple(_EPOCH + timedelta(days=n) for n in (0, 1, 2, -1, 31, -366)),
        "timestamp": (
            _MIDNIGHT,
            _MIDNIGHT + timedelta(hours=12, minutes=30),
            _MIDNIGHT + timedelta(days=1),
            _MIDNIGHT - timedelta(seconds=1),
            _MIDNIGHT + timedelta(days=31),
            _MIDNIGHT - timedelta(days=366),
        ),
        "time": (time(0, 0), time(12, 30), time(23, 59, 59)),
        "boolean": (True, False),
        "other": (),
    }
    return plain[family]


def _lists(column: Column) -> Iterator[Value]:
    """Lists of plain values: one, none, two that differ, two alike; nothing for lists of lists."""
    element = Column(column.name, column.type.removesuffix("[]"))
    plain = list(_plain_values(family_of(element), element))
    if plain:
        yield from ((plain[0],), (), (plain[0], plain[1]), (plain[0], plain[0]))


def _fresh(family: Family, n: int) -> Value:
    makers: dict[Family, Callable[[int], Value]] = {
        "integer": lambda k: k + 1,
        "decimal": lambda k: Decimal(k + 1),
        "float": lambda k: float(k + 1),
        "text": lambda k: chr(ord("a") + k) if k < 26 else f"k{k}",
        "date": lambda k: _EPOCH + timedelta(days=k),
        "timestamp": lambda k: _MIDNIGHT + timedelta(hours=7 * k),
        "time": lambda k: time(k % 24, k // 24 % 60),
        "boolean": lambda k: k % 2 == 0,
        "other": lambda k: None,
    }
    return makers[family](n)


def _around(value: Value, operator: str) -> tuple[list[Value], list[Value]]:
    """Values that satisfy ``column operator value``, and values near it that may not."""
    at, below, above = [value], list(_step(value, -1)), list(_step(value, 1))
    if operator in {"=", ">=", "<="}:
        extra = above if operator == ">=" else below if operator == "<=" else []
        return at + extra, below + above
    if operator in {">", "<"}:
        return (above if operator == ">" else below), at + below + above
    return [], at + below + above


def _step(value: Value, sign: int) -> Iterator[Value]:
    if isinstance(value, bool):
        yield not value
    elif isinstance(value, int):
        yield value + sign
        if abs(value) > 3:
            yield value + sign * abs(value)  # well beyond
    elif isinstance(value, Decimal):
        exponent = value.as_tuple().exponent
        yield value + sign
        yield value + sign * Decimal(1).scaleb(exponent if isinstance(exponent, int) else 0)
    elif isinstance(value, float):
        yield value + sign
        yield value + sign * 0.01
    elif isinstance(value, datetime):
        yield value + timedelta(seconds=sign)
        yield value + timedelta(days=sign)
    elif isinstance(value, date):
        yield value + timedelta(days=sign)
