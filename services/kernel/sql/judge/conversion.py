"""Constants of a query as values of a column's type."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, datetime, time
from decimal import Decimal
from typing import Final, Literal, TypeAlias

from services.kernel.sql.dataset import Value
from services.kernel.sql.schema import Column

Family: TypeAlias = Literal["integer", "decimal", "float", "text", "date", "timestamp", "time", "boolean", "other"]

FAMILIES: Final[dict[str, Family]] = {
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


def family_of(column: Column) -> Family:
    base = column.type.upper().split("(")[0].strip()
    return "other" if column.type.endswith("]") else FAMILIES.get(base, "other")


def convert(value: object, family: Family) -> Value:
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


def as_text(value: Value) -> Value:
    return None if value is None else str(value)


def fits(value: Value, column: Column) -> bool:
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
