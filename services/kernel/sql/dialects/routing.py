"""Which GoogleSQL constructs DuckDB may stand in for. An allowlist: what is not known to be right goes to BigQuery.

Each condition follows BigQuery's function reference (cloud.google.com/bigquery/docs/reference/standard-sql) and was
compared with DuckDB's behaviour; tests hold the documented examples. Not modelled: FLOAT64 results beyond 1.8e308,
which are errors in BigQuery and infinities in DuckDB.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from services.kernel.sql.dialects.types import Types, family_of

if TYPE_CHECKING:
    from sqlglot import exp

    from services.kernel.sql.schema import Schema


@dataclass(frozen=True, slots=True)
class Reason:
    """Why a statement goes to BigQuery: the construct as written in GoogleSQL, and a stable ``code``.

    Codes: ``unverified`` (nobody has shown the translation right), ``semantics`` (known to differ in DuckDB),
    ``untyped`` (right for some argument types, and these are not known), ``type_mismatch`` (BigQuery rejects it).
    """

    code: str
    construct: str


# Constructs that mean the same in both, or that ``rewrites`` or sqlglot translate right whatever their arguments.
_SAME_TEXT: Final = """
    Abs Alias And Avg Boolean CTE Case Ceil Coalesce Column Concat Count CountIf Cube CumeDist CurrentDate DPipe
    DataType DataTypeParam DenseRank Distinct Div EndsWith Except Exists FirstValue Floor From Greatest Group
    GroupConcat GroupingSets Having Identifier If IgnoreNulls IntDiv Intersect Is Join Lag LastValue Lead Least
    Length Limit Literal Ln LogicalAnd LogicalOr Lower Max Min Mod Mul Neg Not NthValue Ntile Null NullSafeEQ
    NullSafeNEQ Nullif Offset Or Order Ordered Paren PercentRank Qualify Rank RawString RespectNulls Reverse
    Rollup Round RowNumber SafeDivide Sign Sqrt Star StartsWith Stddev StddevPop StddevSamp Subquery Sum Table
    TableAlias Trunc Tuple Union Upper Values Var Variance VariancePop WeekStart Where Window WindowSpec With
"""
_SAME: Final = frozenset(_SAME_TEXT.split())

Rule = Callable[[Any, Types], str | None]

_DATE_PARTS: Final = frozenset({"DAY", "MONTH", "QUARTER", "YEAR"})
_WEEK_FROM_MONDAY: Final = frozenset({"ISOWEEK", "WEEK(MONDAY)"})
_TIME_PARTS: Final = frozenset({"MICROSECOND", "MILLISECOND", "SECOND", "MINUTE", "HOUR", "DAY"})
_EXTRACTED: Final = frozenset(
    {
        "YEAR",
        "MONTH",
        "DAY",
        "QUARTER",
        "HOUR",
        "MINUTE",
        "SECOND",
        "DAYOFYEAR",
        "DAYOFWEEK",
        "ISOWEEK",
        "ISOYEAR",
        "DATE",
    }
)
_FORMATS: Final = re.compile(r"(?:[^%]|%[YmdHMSFTjyBbAa%])*")
_INTEGER_TEXT: Final = re.compile(r"[+-]?[0-9]{1,18}")


def unit_of(node: exp.Expr) -> str:
    """The date part of a function, in upper case, as written: ``DAY``, ``WEEK(MONDAY)``."""
    unit = node.args.get("unit")
    return "DAY" if unit is None else unit.sql("bigquery").upper().strip("'")


def _comparison(node: Any, types: Types) -> str | None:
    """BigQuery compares a string only with a string; a literal string is also read as a date or time."""
    from sqlglot import exp

    left, right = types.of(node.this), types.of(node.expression)
    if "unknown" in (left, right) or (left == "string") == (right == "string"):
        return None
    text, other = (node.this, right) if left == "string" else (node.expression, left)
    if isinstance(text, exp.Literal) and other in {"date", "datetime", "timestamp"}:
        return None
    return "type_mismatch"


def _between(node: Any, types: Types) -> str | None:
    from sqlglot import exp

    bounds = (node.args["low"], node.args["high"])
    found = [_comparison(exp.EQ(this=node.this.copy(), expression=bound.copy()), types) for bound in bounds]
    return next((code for code in found if code is not None), None)


def _in(node: Any, types: Types) -> str | None:
    from sqlglot import exp

    unnest = node.args.get("unnest")
    if unnest is not None:
        return "unverified"
    for option in node.expressions:
        reason = _comparison(exp.EQ(this=node.this.copy(), expression=option.copy()), types)
        if reason is not None:
            return reason
    return None


def _cast(node: Any, types: Types) -> str | None:
    """Casts that agree for every value: see "Conversion rules" in BigQuery's reference."""
    target = family_of(node.to)
    source = types.of(node.this)
    text = node.this.name if node.this.is_string else None
    if node.args.get("format") is not None or target in {"unknown", "decimal", "bytes"}:
        return "semantics"
    if source == target != "decimal":
        return None
    if text is not None:
        return None if _literal_cast_agrees(text, target) else "semantics"
    if source == "unknown":
        return "untyped"
    agreed = {
        "integer": {"boolean", "float", "decimal"},  # from floats through the rewrite: half away from zero
        "float": {"integer", "decimal"},
        "string": {"integer", "date", "boolean"},
        "boolean": {"integer"},
        "date": {"datetime", "timestamp"},
        "datetime": {"date", "timestamp"},
        "timestamp": {"date", "datetime"},
    }
    return None if source in agreed.get(target, set()) else "semantics"


def _literal_cast_agrees(text: str, target: str) -> bool:
    if target in {"integer", "float"}:
        return _INTEGER_TEXT.fullmatch(text) is not None
    if target == "date":
        return re.fullmatch(r"\d{4}-\d{2}-\d{2}", text) is not None
    if target in {"datetime", "timestamp"}:
        return re.fullmatch(r"\d{4}-\d{2}-\d{2}(?:[ T]\d{2}:\d{2}:\d{2}(?:\.\d{1,6})?)?", text) is not None
    return False


def _date_arithmetic(node: Any, types: Types) -> str | None:
    if unit_of(node) not in {"DAY", "WEEK", "MONTH", "QUARTER", "YEAR"}:
        return "semantics"
    return None if types.of(node.this) == "date" else "untyped"


def _timestamp_arithmetic(node: Any, types: Types) -> str | None:
    return None if unit_of(node) in _TIME_PARTS else "semantics"


def _datetime_arithmetic(node: Any, types: Types) -> str | None:
    known = types.of(node.this) in {"datetime", "timestamp"}
    return None if known and unit_of(node) in _TIME_PARTS | _DATE_PARTS | {"WEEK"} else "semantics"


def _date_difference(node: Any, types: Types) -> str | None:
    if unit_of(node) not in _DATE_PARTS:
        return "semantics"
    return None if types.of(node.this) == types.of(node.expression) == "date" else "untyped"


def _datetime_difference(node: Any, types: Types) -> str | None:
    return None if unit_of(node) in _TIME_PARTS | _DATE_PARTS else "semantics"


def _date_truncation(node: Any, types: Types) -> str | None:
    if unit_of(node) not in _DATE_PARTS | _WEEK_FROM_MONDAY:
        return "semantics"
    return None if types.of(node.this) == "date" else "untyped"


def _time_truncation(node: Any, types: Types) -> str | None:
    if unit_of(node) not in (_TIME_PARTS | _DATE_PARTS) or node.args.get("zone") is not None:
        return "semantics"
    return None if types.of(node.this) in {"datetime", "timestamp"} else "untyped"


def _extract(node: Any, types: Types) -> str | None:
    from sqlglot import exp

    if node.name.upper() not in _EXTRACTED or node.find(exp.AtTimeZone):
        return "semantics"
    return None if types.of(node.expression) in {"date", "datetime", "timestamp"} else "untyped"


def _date(node: Any, types: Types) -> str | None:
    if node.args.get("zone") is not None or node.expressions:
        return "semantics"
    return None if types.of(node.this) in {"date", "datetime", "timestamp"} else "untyped"


def _format_time(node: Any, types: Types) -> str | None:
    from sqlglot import exp

    written = node.args.get("format")
    if not isinstance(written, exp.Literal) or node.args.get("zone") is not None:
        return "semantics"
    return None if _FORMATS.fullmatch(written.name) else "semantics"


def _substring(node: Any, types: Types) -> str | None:
    """Positions from 1 agree; 0 and negative ones do not ("if position is 0 it is interpreted as 1")."""
    from sqlglot import exp

    start, length = node.args.get("start"), node.args.get("length")
    if types.of(node.this) == "bytes":
        return "semantics"
    positive = isinstance(start, exp.Literal) and start.is_int and int(start.name) >= 1
    counted = length is None or (isinstance(length, exp.Literal) and length.is_int)
    return None if positive and counted else "semantics"


def _like(node: Any, types: Types) -> str | None:
    """GoogleSQL's backslash escapes inside a pattern; DuckDB's does not."""
    from sqlglot import exp

    pattern = node.expression
    return None if isinstance(pattern, exp.Literal) and "\\" not in pattern.name else "semantics"


def _regular_expression(node: Any, types: Types) -> str | None:
    """Both engines use RE2; a pattern known in advance cannot fail in one of them only."""
    from sqlglot import exp

    parts = [node.expression, node.args.get("replacement")]
    literal = all(part is None or isinstance(part, exp.Literal | exp.RawString) for part in parts)
    return None if literal and types.of(node.this) != "bytes" else "semantics"


def _replace(node: Any, types: Types) -> str | None:
    from sqlglot import exp

    return None if isinstance(node.expression, exp.Literal) and node.expression.name else "semantics"


def _position(node: Any, types: Types) -> str | None:
    return "semantics" if node.args.get("position") or node.args.get("occurrence") else None


def _power(node: Any, types: Types) -> str | None:
    """POW(0, -1) and POW(-1, 0.5) are errors in BigQuery and values in DuckDB."""
    from sqlglot import exp

    return None if isinstance(node.expression, exp.Literal) and node.expression.is_int else "semantics"


def _subtraction(node: Any, types: Types) -> str | None:
    """A difference of dates is an INTERVAL in GoogleSQL and a number in DuckDB."""
    return "semantics" if types.of(node.this) in {"date", "datetime", "timestamp"} else None


def _addition(node: Any, types: Types) -> str | None:
    """Numbers only: for dates the engines differ in the result's type."""
    temporal = {"date", "datetime", "timestamp"}
    return "semantics" if {types.of(node.this), types.of(node.expression)} & temporal else None


def _interval(node: Any, types: Types) -> str | None:
    return None if type(node.parent).__name__ in _DATE_FUNCTIONS else "semantics"


def _unnest(node: Any, types: Types) -> str | None:
    """Literal arrays and GENERATE_ARRAY without an offset; offsets count from 0 in GoogleSQL, from 1 in DuckDB."""
    if node.args.get("offset"):
        return "semantics"
    known = all(type(array).__name__ in {"Array", "GenerateSeries"} for array in node.expressions)
    return None if known else "semantics"


def _select(node: Any, types: Types) -> str | None:
    """SELECT AS STRUCT and AS VALUE."""
    return "semantics" if node.args.get("kind") else None


def _array(node: Any, types: Types) -> str | None:
    """As a source of rows only: as a value, BigQuery refuses NULLs in it."""
    return None if type(node.parent).__name__ == "Unnest" else "semantics"


def _trim(node: Any, types: Types) -> str | None:
    return "semantics" if types.of(node.this) == "bytes" else None


_DATE_FUNCTIONS: Final = frozenset({"DateAdd", "DateSub", "DatetimeAdd", "DatetimeSub", "TimestampAdd", "TimestampSub"})

_RULES: Final[dict[str, Rule]] = {
    **dict.fromkeys(("EQ", "NEQ", "LT", "LTE", "GT", "GTE"), _comparison),
    "Add": _addition,
    "Sub": _subtraction,
    "Between": _between,
    "In": _in,
    **dict.fromkeys(("Array", "GenerateSeries"), _array),
    **dict.fromkeys(("Cast", "TryCast"), _cast),
    **dict.fromkeys(("DateAdd", "DateSub"), _date_arithmetic),
    **dict.fromkeys(("TimestampAdd", "TimestampSub"), _timestamp_arithmetic),
    **dict.fromkeys(("DatetimeAdd", "DatetimeSub"), _datetime_arithmetic),
    "DateDiff": _date_difference,
    "DatetimeDiff": _datetime_difference,
    "TimestampDiff": _timestamp_arithmetic,
    "DateTrunc": _date_truncation,
    **dict.fromkeys(("TimestampTrunc", "DatetimeTrunc"), _time_truncation),
    "Extract": _extract,
    "Date": _date,
    "DateFromParts": lambda node, types: None,
    "TimeToStr": _format_time,
    **dict.fromkeys(("TsOrDsToDate", "TsOrDsToTimestamp", "TsOrDsToDatetime"), lambda node, types: None),
    "Substring": _substring,
    "Like": _like,
    **dict.fromkeys(("RegexpLike", "RegexpReplace"), _regular_expression),
    "Replace": _replace,
    "StrPosition": _position,
    "Pow": _power,
    "Interval": _interval,
    "Select": _select,
    "Unnest": _unnest,
    "Trim": _trim,
}


def reasons_for(tree: exp.Expr, schema: Schema | None) -> tuple[Reason, ...]:
    """Why ``tree``, read as GoogleSQL, cannot be trusted to DuckDB; empty when it can."""
    types = Types(tree, schema)
    found: dict[Reason, None] = {}
    for node in tree.walk():
        code = reason_code(node, types)
        if code is not None:
            found[Reason(code, written(node))] = None
    return tuple(found)


def reason_code(node: exp.Expr, types: Types) -> str | None:
    """Why DuckDB cannot stand in for this one node, its children aside; None when it can."""
    kind = type(node).__name__
    rule = _RULES.get(kind)
    return rule(node, types) if rule is not None else None if kind in _SAME else "unverified"


def written(node: exp.Expr) -> str:
    """A construct as its reader knows it, shortened."""
    text = node.sql("bigquery")
    return text if len(text) <= 80 else text[:77] + "..."
