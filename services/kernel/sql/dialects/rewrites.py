"""Where sqlglot's DuckDB for a GoogleSQL construct differs from BigQuery, a form that does not.

Each takes a node of the GoogleSQL tree and returns what stands in its place. Sources: BigQuery's function reference.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from services.kernel.sql.dialects.routing import unit_of
from services.kernel.sql.dialects.types import Types, family_of

if TYPE_CHECKING:
    from sqlglot import exp

Rewrite = Callable[[Any, Types], "exp.Expr"]

# TRIM without a set removes every character with Unicode's White_Space property; DuckDB's removes spaces only.
_WHITE_SPACE: Final = (
    "\t\n\x0b\x0c\r \x85\xa0\u1680" + "".join(map(chr, range(0x2000, 0x200B))) + "\u2028\u2029\u202f\u205f\u3000"
)


def rewrite(tree: exp.Expr, types: Types) -> exp.Expr:
    """``tree`` with every rewrite applied, innermost first. Changes ``tree``."""
    for node in reversed(list(tree.bfs())):
        change = _REWRITES.get(type(node).__name__)
        if change is not None:
            replacement = change(node, types)
            if replacement is not node:
                if node is tree:
                    return replacement
                node.replace(replacement)
    return tree


def _error_unless_valid(invalid: exp.Expr, message: str, value: exp.Expr) -> exp.Expr:
    from sqlglot import exp

    return exp.Paren(
        this=exp.Case(
            ifs=[exp.If(this=invalid, true=exp.Anonymous(this="error", expressions=[exp.Literal.string(message)]))],
            default=value,
        )
    )


def _division(node: Any, types: Types) -> exp.Expr:
    """Division by zero is an error, not an infinity."""
    from sqlglot import exp

    if node.expression.is_number and float(node.expression.name) != 0:
        return node  # type: ignore[no-any-return]
    divisor = exp.Paren(this=node.expression.copy())
    zero = exp.EQ(this=divisor, expression=exp.Literal.number(0))
    guarded = _error_unless_valid(zero, "division by zero", divisor.copy())
    return exp.Div(this=node.this.copy(), expression=guarded, typed=False, safe=False)


def _logarithm(node: Any, types: Types) -> exp.Expr:
    from sqlglot import exp

    invalid = exp.LTE(this=exp.Paren(this=node.this.copy()), expression=exp.Literal.number(0))
    return _error_unless_valid(invalid, "logarithm of a number not above zero", node.copy())


def _square_root(node: Any, types: Types) -> exp.Expr:
    from sqlglot import exp

    invalid = exp.LT(this=exp.Paren(this=node.this.copy()), expression=exp.Literal.number(0))
    return _error_unless_valid(invalid, "square root of a negative number", node.copy())


def _to_integer(node: Any, types: Types) -> exp.Expr:
    """ "Returns the closest INT64 value; halfway cases round away from zero." DuckDB's cast rounds to even."""
    from sqlglot import exp

    if family_of(node.to) == "integer" and types.of(node.this) in {"float", "decimal"}:
        node.set("this", exp.Round(this=node.this.copy()))
    return node  # type: ignore[no-any-return]


def _as_date(node: Any, types: Types) -> exp.Expr:
    """A DATE in, a DATE out; DuckDB's result is a TIMESTAMP."""
    from sqlglot import exp

    if type(node).__name__ == "DateTrunc" and unit_of(node) == "WEEK(MONDAY)":
        node.set("unit", exp.var("ISOWEEK"))
    return exp.Cast(this=node.copy(), to=exp.DataType.build("DATE"))


def _difference_in_whole_units(node: Any, types: Types) -> exp.Expr:
    """TIMESTAMP_DIFF counts whole units that have passed; DuckDB's date_diff counts boundaries, its date_sub units."""
    from sqlglot import exp

    arguments = [exp.Literal.string(unit_of(node).lower()), node.expression.copy(), node.this.copy()]
    return exp.Anonymous(this="date_sub", expressions=arguments)


def _extract(node: Any, types: Types) -> exp.Expr:
    from sqlglot import exp

    part = node.name.upper()
    if part == "DAYOFWEEK":  # 1 is Sunday; DuckDB's 0 is
        return exp.Paren(this=exp.Add(this=node.copy(), expression=exp.Literal.number(1)))
    if part == "ISOWEEK":  # DuckDB's only week
        return exp.Extract(this=exp.var("WEEK"), expression=node.expression.copy())
    if part == "DATE":
        return exp.Cast(this=node.expression.copy(), to=exp.DataType.build("DATE"))
    return node  # type: ignore[no-any-return]


def _number(node: Any, types: Types) -> exp.Expr:
    """1.5 is a FLOAT64; to DuckDB it is a DECIMAL, unless written with an exponent. Beside a NUMERIC it is one."""
    from sqlglot import exp

    if node.is_string or "." not in node.name or "e" in node.name.lower():
        return node  # type: ignore[no-any-return]
    parent = node.parent
    others = [child for child in parent.iter_expressions() if child is not node] if parent is not None else []
    if any(types.of(other) == "decimal" for other in others):
        return node  # type: ignore[no-any-return]
    return exp.Literal(this=f"{node.name}e0", is_string=False)


def _trim(node: Any, types: Types) -> exp.Expr:
    from sqlglot import exp

    if node.expression is None:
        node.set("expression", exp.Literal.string(_WHITE_SPACE))
    return node  # type: ignore[no-any-return]


def _table(node: Any, types: Types) -> exp.Expr:
    """A problem's tables have plain names in DuckDB, whatever project and data set they were written with."""
    from sqlglot import exp

    name = node.name.split(".")[-1]
    node.set("this", exp.to_identifier(name, quoted=True))
    node.set("db", None)
    node.set("catalog", None)
    return node  # type: ignore[no-any-return]


_REWRITES: Final[dict[str, Rewrite]] = {
    "Div": _division,
    "Ln": _logarithm,
    "Sqrt": _square_root,
    "Cast": _to_integer,
    "TryCast": _to_integer,
    "DateAdd": _as_date,
    "DateSub": _as_date,
    "DateTrunc": _as_date,
    "TimestampDiff": _difference_in_whole_units,
    "Extract": _extract,
    "Literal": _number,
    "Trim": _trim,
    "Table": _table,
}
