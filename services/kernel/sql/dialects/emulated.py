"""What a local BigQuery emulator may stand in for. An allowlist again: it translates to DuckDB too, and errs elsewhere.

Every construct here was run on bqemulator 1.4 against the examples of BigQuery's function reference; tests hold them.
What it is known to get wrong: CAST of fractions to INT64, TIMESTAMP_DIFF, WEEK(<day>), SUBSTR from 0, TRIM without a
set, FARM_FINGERPRINT, NORMALIZE, SAFE.<function>, and FORMAT beyond plain numbers and strings.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from services.kernel.sql.dialects.routing import Reason, Rule, reason_code, unit_of, written
from services.kernel.sql.dialects.types import Types, family_of

if TYPE_CHECKING:
    from sqlglot import exp

    from services.kernel.sql.schema import Schema

_PARTS: Final = frozenset(
    {"YEAR", "QUARTER", "MONTH", "WEEK", "DAY", "ISOYEAR", "ISOWEEK", "DAYOFWEEK", "DAYOFYEAR", "HOUR", "MINUTE"}
)
_CALENDAR: Final = frozenset({"DAY", "WEEK", "WEEK(SUNDAY)", "MONTH", "QUARTER", "YEAR"})
_PLAIN_FORMAT: Final = re.compile(r"(?:[^%]|%0?[1-9]?[0-9]?[ds]|%\.[0-9]f)*")


def _extract(node: Any, types: Types) -> str | None:
    from sqlglot import exp

    if node.name.upper() not in _PARTS or not isinstance(node.this, exp.Var) or node.find(exp.AtTimeZone):
        return "semantics"
    return None if types.of(node.expression) in {"date", "datetime"} else "untyped"


def _cast(node: Any, types: Types) -> str | None:
    source = types.of(node.this)
    if family_of(node.to) == "integer" and source not in {"integer", "string", "boolean"}:
        return "semantics"
    return reason_code(node, types)


def _calendar(node: Any, types: Types) -> str | None:
    if unit_of(node) not in _CALENDAR:
        return "semantics"
    dates = [node.this, node.expression] if type(node).__name__ == "DateDiff" else [node.this]
    return None if all(types.of(part) == "date" for part in dates) else "untyped"


def _format(node: Any, types: Types) -> str | None:
    from sqlglot import exp

    text = node.this
    return None if isinstance(text, exp.Literal) and _PLAIN_FORMAT.fullmatch(text.name) else "semantics"


def _substring(node: Any, types: Types) -> str | None:
    """From a known place other than 0, in either direction."""
    from sqlglot import exp

    start = node.args.get("start")
    start = start.this if isinstance(start, exp.Neg) else start
    known = isinstance(start, exp.Literal) and start.is_int and int(start.name) != 0
    return None if known and types.of(node.this) == "string" else "semantics"


def _trim(node: Any, types: Types) -> str | None:
    return "semantics" if node.expression is None else reason_code(node, types)


def _unnest(node: Any, types: Types) -> str | None:
    known = all(type(array).__name__ in {"Array", "GenerateSeries"} for array in node.expressions)
    return None if known else "semantics"


def _right(node: Any, types: Types) -> str | None:
    return None


def _wrong(node: Any, types: Types) -> str | None:
    return "semantics"


_RULES: Final[dict[str, Rule]] = {
    "Extract": _extract,
    **dict.fromkeys(("Cast", "TryCast"), _cast),
    **dict.fromkeys(("DateAdd", "DateSub", "DateDiff", "DateTrunc"), _calendar),
    "Format": _format,
    "Substring": _substring,
    "Trim": _trim,
    "Unnest": _unnest,
    **dict.fromkeys(("Left", "Right", "Pad", "Repeat", "Initcap", "LastDay", "UnixDate", "Translate"), _right),
    **dict.fromkeys(("Ln", "Sqrt", "TimestampDiff"), _wrong),
}


def emulator_gaps(tree: exp.Expr, schema: Schema | None) -> tuple[Reason, ...]:
    """Why an emulator cannot be trusted with ``tree``, read as GoogleSQL; empty when it can."""
    types = Types(tree, schema)
    found: dict[Reason, None] = {}
    for node in tree.walk():
        code = _RULES.get(type(node).__name__, reason_code)(node, types)
        if code is not None:
            found[Reason(code, written(node))] = None
    return tuple(found)
