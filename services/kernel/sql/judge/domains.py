"""Small pools of values for each column: few enough to collide, chosen round every constant the queries mention."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Final, Literal, TypeAlias

from services.kernel.sql.dataset import Value
from services.kernel.sql.judge.hints import BaseColumn, Hints, Mention
from services.kernel.sql.judge.texts import pattern_texts, text_neighbours
from services.kernel.sql.schema import Column, Schema, Table

Family: TypeAlias = Literal["integer", "decimal", "float", "text", "date", "timestamp", "time", "boolean", "other"]

_FAMILIES: Final[dict[str, Family]] = {
    **dict.fromkeys(("TINYINT", "SMALLINT", "INTEGER", "BIGINT", "HUGEINT", "INT", "LONG"), "integer"),
    **dict.fromkeys(("UTINYINT", "USMALLINT", "UINTEGER", "UBIGINT", "UHUGEINT"), "integer"),
    **dict.fromkeys(("DECIMAL", "NUMERIC"), "decimal"),
    **dict.fromkeys(("DOUBLE", "FLOAT", "REAL"), "float"),
    **dict.fromkeys(("VARCHAR", "TEXT", "CHAR", "STRING", "BPCHAR"), "text"),
    "DATE": "date",
    **dict.fromkeys(("TIMESTAMP", "DATETIME", "TIMESTAMPTZ", "TIMESTAMP WITH TIME ZONE"), "timestamp"),
    "TIME": "time",
    "BOOLEAN": "boolean",
    "BOOL": "boolean",
}
_LIMITS: Final = {"TINYINT": 2**7, "SMALLINT": 2**15, "INTEGER": 2**31, "INT": 2**31, "BIGINT": 2**63}
_EPOCH: Final = date(2020, 3, 1)  # after a leap day, so that a day back crosses a month
_MIDNIGHT: Final = datetime.combine(_EPOCH, time())
_MAX_POOL: Final = 40
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


def family_of(column: Column) -> Family:
    base = column.type.upper().split("(")[0].strip()
    return "other" if column.type.endswith("]") else _FAMILIES.get(base, "other")


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
        return Domain(family, pool.values(), pool.likely(), pool.fresh, nullable)

    def _compared_as(self, base: BaseColumn, mentions: Iterable[Mention]) -> set[str]:
        """The type that a text column is cast to where it meets a number or a date: DuckDB casts the text."""
        if any(mention.bare and mention.operator in _ORDERINGS and _is_number(mention.value) for mention in mentions):
            return {"DECIMAL"} if any(isinstance(m.value, Decimal) for m in mentions if m.bare) else {"BIGINT"}
        partners = {other for pair in self._hints.linked if base in pair for other in pair if other != base}
        families = {family_of(self._schema.table(t).column(c)) for t, c in sorted(partners) if self._schema.has(t)}
        return next((_MET_AS[family] for family in sorted(families) if family in _MET_AS), set())


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
        for value in _plain_values(self._text_of or family, column):
            self._keep(self._plain, value)

    def values(self) -> tuple[Value, ...]:
        constants = [*self.likely(), *self._near][:_MAX_POOL]
        return tuple(dict.fromkeys([*self._plain, *constants]))

    def likely(self) -> tuple[Value, ...]:
        return tuple(dict.fromkeys([*self._likely, *self._perhaps]))

    def fresh(self, n: int) -> Value:
        family = self._text_of or self._family
        value = _fresh(family, n)
        return _as_text(value) if self._text_of else value

    def typed(self, value: object) -> Value:
        """``value`` as this column's type, or None when it cannot be."""
        family = self._text_of or self._family
        converted = _convert(value, family)
        if self._text_of:
            return value if isinstance(value, str) and converted is not None else _as_text(converted)
        return converted if _fits(converted, self._column) else None

    def add(self, mention: Mention) -> None:
        value = self.typed(mention.value)
        if value is None:
            self._add_foreign(mention)
            return
        if self._family == "text" and self._text_of is None:
            self._add_text(mention, str(value))
            return
        core = _convert(value, self._text_of) if self._text_of else value
        satisfying, near = _around(core, mention.operator)
        for target, found in ((self._likely if mention.bare else self._perhaps, satisfying), (self._near, near)):
            for item in found:
                self._keep(target, item)

    def _keep(self, target: dict[Value, None], value: Value) -> None:
        if value is not None and (self._text_of or _fits(value, self._column)):
            target[_as_text(value) if self._text_of and not isinstance(value, str) else value] = None

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
            for moment in _moments(value, self._functions):
                converted = _convert(moment, self._text_of or self._family)
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
        family = _FAMILIES.get(name.split("(")[0].strip(), "text")
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
        ),
        "time": (time(0, 0), time(12, 30), time(23, 59, 59)),
        "boolean": (True, False),
        "other": (),
    }
    return plain[family]


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


def _moments(value: int | Decimal | str, functions: set[str]) -> Iterator[date]:
    """Dates that a year, a year and month, a month, or a number of days points at, with their neighbours outside."""
    if isinstance(value, str):
        parts = value.replace("/", "-").replace(".", "-").split("-")
        if not all(part.isdigit() for part in parts) or not parts:
            return
        numbers = [int(part) for part in parts]
        if len(numbers) == 1 and len(parts[0]) == 6:
            numbers = [numbers[0] // 100, numbers[0] % 100]
    else:
        numbers = [int(value)]
    year, month = numbers[0], (numbers[1] if len(numbers) > 1 else None)
    if 1000 <= year <= 9000 and (month is None or 1 <= month <= 12):
        first = date(year, month or 1, 1)
        after = date(year + (month in {None, 12}), (month or 12) % 12 + 1, 1)
        yield from (first, after - timedelta(days=1), first - timedelta(days=1), after, first + timedelta(days=10))
    elif 1 <= year <= 12 and functions & {"Month", "Extract", "TimeToStr", "DatePart", "Monthname"}:
        first = date(_EPOCH.year, year, 1)
        yield from (first, first - timedelta(days=1), first + timedelta(days=31), first.replace(year=first.year - 1))
    if isinstance(value, int) and abs(value) <= 400:
        for days in (value, value + 1, value - 1):
            yield _EPOCH + timedelta(days=days)


def _convert(value: object, family: Family) -> Value:
    try:
        return _CONVERTERS[family](value)
    except (ValueError, ArithmeticError, TypeError):
        return None


def _to_integer(value: object) -> Value:
    if isinstance(value, str):
        value = Decimal(value)
    return int(value) if isinstance(value, int | float | Decimal) else None


def _to_date(value: object) -> Value:
    if isinstance(value, datetime):
        return value.date()
    return value if isinstance(value, date) else date.fromisoformat(str(value)[:10])


def _to_timestamp(value: object) -> Value:
    if isinstance(value, date) and not isinstance(value, datetime):
        return datetime.combine(value, time())
    return value if isinstance(value, datetime) else datetime.fromisoformat(str(value))


def _to_text(value: object) -> Value:
    return value if isinstance(value, str) else None


def _to_number(value: object, kind: Callable[[str], Value]) -> Value:
    return kind(str(value)) if isinstance(value, int | float | Decimal | str) else None


_CONVERTERS: Final[dict[Family, Callable[[object], Value]]] = {
    "integer": _to_integer,
    "decimal": lambda value: _to_number(value, Decimal),
    "float": lambda value: _to_number(value, float),
    "text": _to_text,
    "date": _to_date,
    "timestamp": _to_timestamp,
    "time": lambda value: value if isinstance(value, time) else time.fromisoformat(str(value)),
    "boolean": lambda value: bool(value) if isinstance(value, bool | int) else None,
    "other": lambda value: None,
}


def _as_text(value: Value) -> Value:
    return None if value is None else str(value)


def _fits(value: Value, column: Column) -> bool:
    base = column.type.upper()
    if isinstance(value, int) and not isinstance(value, bool):
        limit = _LIMITS.get(base)
        return (limit is None or -limit <= value < limit) and not (base.startswith("U") and value < 0)
    if isinstance(value, Decimal) and base.startswith(("DECIMAL", "NUMERIC")):
        return _fits_decimal(value, base)
    return value is not None


def _fits_decimal(value: Decimal, declared: str) -> bool:
    inner = declared[declared.find("(") + 1 : declared.rfind(")")] if "(" in declared else "18,3"
    width, _, scale = inner.partition(",")
    exponent = value.as_tuple().exponent
    return (
        isinstance(exponent, int) and -exponent <= int(scale or 0) and value.adjusted() < int(width) - int(scale or 0)
    )
