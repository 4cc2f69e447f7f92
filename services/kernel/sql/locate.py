"""Where an answer goes wrong, and what kind of mistake it is.

Evidence of two sorts: the trees differ in a clause, and exchanging that clause for the reference's makes the results
agree on the counterexample. The second is the stronger: form may differ freely.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Final, TypeAlias

from sqlglot import exp

from services.kernel.sql.clauses import PARTS, join_side, parts_of
from services.kernel.sql.compare import Difference
from services.kernel.sql.mistakes import Clause, Mistake, MistakeKind

Agrees: TypeAlias = Callable[
    [str], bool
]  # runs an SQL text on the counterexample: does it give the reference's result?

_BOUNDARIES: Final = (exp.LT, exp.LTE, exp.GT, exp.GTE)
_COMPARISONS: Final = (*_BOUNDARIES, exp.EQ, exp.NEQ)
_NULL_AWARE: Final = (exp.Is, exp.Coalesce, exp.NullSafeEQ, exp.NullSafeNEQ)
_RANKING: Final = (exp.Rank, exp.DenseRank)
_CUTTING: Final = (exp.Limit, exp.Fetch, exp.RowNumber)
_ARBITRARY: Final = (exp.AnyValue, exp.First, exp.Last)


# Without proof: the coarser the clause, the more it explains. The order of rows has been judged by then.
_SUSPICION: Final[tuple[Clause, ...]] = (
    "set_operation",
    "from",
    "where",
    "group_by",
    "having",
    "select",
    "limit",
    "distinct",
)
_VAGUE: Final = frozenset({"wrong_expression", "wrong_tables", "wrong_condition"})


def locate(
    reference: exp.Expr, candidate: exp.Expr, difference: Difference, *, by_chance: bool, agrees: Agrees
) -> tuple[Mistake, ...]:
    """Mistakes, the most telling first; never empty. Both trees are canonical (or both as parsed)."""
    if difference.kind == "column_count":
        columns = len(candidate.selects) if isinstance(candidate, exp.Query) else 0
        return (Mistake("wrong_columns", "select", parameters={"columns": columns}),)
    if difference.kind == "column_names":
        return (Mistake("wrong_columns", "select"),)
    if difference.kind == "order":
        return (Mistake("wrong_order", "order_by", parameters={"row": (difference.position or 0) + 1}),)
    if by_chance:
        cut = candidate.find(*_CUTTING) is not None
        return (Mistake("ties_in_top_n", "limit") if cut else Mistake("depends_on_row_order", ""),)
    confirmed = [
        clause for clause in _exchangeable(reference, candidate) if agrees(_exchanged(reference, candidate, clause))
    ]
    found = [_classify(clause, reference, candidate, difference, confirmed=True) for clause in confirmed]
    if not found:
        suspects = [clause for clause in _SUSPICION if parts_of(reference, clause) != parts_of(candidate, clause)]
        found = [_classify(clause, reference, candidate, difference, confirmed=False) for clause in suspects[:3]]
        found.sort(key=lambda mistake: mistake.kind in _VAGUE)
    return tuple(found) or (_by_effect(difference),)


def _by_effect(difference: Difference) -> Mistake:
    if difference.kind == "multiplicity":
        return Mistake("missing_distinct" if difference.extra else "needless_distinct", "")
    if difference.kind == "missing_rows":
        return Mistake("missing_rows", "")
    return Mistake("extra_rows" if difference.kind == "extra_rows" else "wrong_rows", "")


def _exchangeable(reference: exp.Expr, candidate: exp.Expr) -> Iterator[Clause]:
    """Clauses of the outermost SELECT whose texts differ, the cheapest explanation first."""
    if not isinstance(reference, exp.Select) or not isinstance(candidate, exp.Select):
        return
    order: tuple[Clause, ...] = ("distinct", "where", "having", "from", "group_by", "limit", "order_by", "select")
    for clause in order:
        if any(_sql(reference.args.get(part)) != _sql(candidate.args.get(part)) for part in PARTS[clause]):
            yield clause


def _sql(part: object) -> str:
    if isinstance(part, list):
        return ", ".join(_sql(item) for item in part)
    return part.sql("duckdb") if isinstance(part, exp.Expr) else ""


def _exchanged(reference: exp.Expr, candidate: exp.Expr, clause: Clause) -> str:
    """The candidate's text with one clause taken from the reference (and its CTEs where it needs them)."""
    mixed = candidate.copy()
    for part in PARTS[clause]:
        value = reference.args.get(part)
        if isinstance(value, list):
            mixed.set(part, [item.copy() for item in value])
        else:
            mixed.set(part, value.copy() if isinstance(value, exp.Expr) else value)
    ctes = reference.args.get("with_")
    if ctes is not None and mixed.args.get("with_") is None:
        mixed.set("with_", ctes.copy())
    return mixed.sql("duckdb")


def _classify(
    clause: Clause, reference: exp.Expr, candidate: exp.Expr, difference: Difference, *, confirmed: bool
) -> Mistake:
    kind, parameters = _KINDS[clause](reference, candidate, difference)
    return Mistake(kind, clause, confirmed, parameters)


_Kind: TypeAlias = tuple[MistakeKind, dict[str, str | int]]


def _distinct_kind(reference: exp.Expr, candidate: exp.Expr, difference: Difference) -> _Kind:
    fewer = bool(difference.missing)
    return ("needless_distinct" if fewer else "missing_distinct"), {}


def _from_kind(reference: exp.Expr, candidate: exp.Expr, difference: Difference) -> _Kind:
    wanted, given = _tables(reference), _tables(candidate)
    if wanted != given:
        return "wrong_tables", {"tables": ", ".join(sorted(set(given)))}
    sides = [sorted(join_side(join) for join in tree.find_all(exp.Join)) for tree in (reference, candidate)]
    if sides[0] != sides[1]:
        return "wrong_join_type", {"joins": ", ".join(sides[1])}
    return "wrong_join_condition", {}


def _tables(tree: exp.Expr) -> list[str]:
    return sorted(table.name.lower() for table in tree.find_all(exp.Table))


def _condition_kind(clause: Clause) -> Callable[[exp.Expr, exp.Expr, Difference], _Kind]:
    def kind(reference: exp.Expr, candidate: exp.Expr, difference: Difference) -> _Kind:
        wanted, given = parts_of(reference, clause), parts_of(candidate, clause)
        lacking, beyond = list((wanted - given).elements()), list((given - wanted).elements())
        own = {"condition": _shown(beyond[0])} if beyond else {}
        if any(_shifted(one, other) for one in lacking for other in beyond):
            return "boundary_off_by_one", dict(own)
        if _aware_of_nulls(lacking) != _aware_of_nulls(beyond):
            return "nulls_ignored", dict(own)
        if lacking and not beyond:
            return "missing_condition", {"missing": len(lacking)}
        return ("needless_condition" if beyond and not lacking else "wrong_condition"), dict(own)

    return kind


def _shown(condition: str) -> str:
    """A condition without the names that the canonical form gave to its tables."""
    from sqlglot import parse_one

    tree = parse_one(condition, read="duckdb")
    for column in tree.find_all(exp.Column):
        column.set("table", None)
    return tree.sql("duckdb")


def _aware_of_nulls(conditions: list[str]) -> bool:
    from sqlglot import parse_one

    return any(parse_one(condition, read="duckdb").find(*_NULL_AWARE) is not None for condition in conditions)


def _shifted(one: str, other: str) -> bool:
    """True when two comparisons differ only by < against <=, or by a constant one step away."""
    from sqlglot import parse_one

    left, right = parse_one(one, read="duckdb"), parse_one(other, read="duckdb")
    if not isinstance(left, _COMPARISONS) or not isinstance(right, _COMPARISONS):
        return False
    if (left.this, left.expression) == (right.this, right.expression):
        return isinstance(left, _BOUNDARIES) and isinstance(right, _BOUNDARIES) and _same_way(left, right)
    if type(left) is not type(right):
        return False
    return (left.this == right.this and _one_apart(left.expression, right.expression)) or (
        left.expression == right.expression and _one_apart(left.this, right.this)
    )


def _same_way(left: exp.Expr, right: exp.Expr) -> bool:
    return isinstance(left, exp.LT | exp.LTE) == isinstance(right, exp.LT | exp.LTE)


def _one_apart(left: exp.Expr, right: exp.Expr) -> bool:
    numbers = [node for node in (left, right) if isinstance(node, exp.Literal) and not node.is_string]
    return len(numbers) == 2 and abs(float(numbers[0].name) - float(numbers[1].name)) == 1


def _group_kind(reference: exp.Expr, candidate: exp.Expr, difference: Difference) -> _Kind:
    if candidate.find(*_ARBITRARY) is not None and reference.find(*_ARBITRARY) is None:
        return "ungrouped_column", {}
    return "wrong_grouping", {}


def _select_kind(reference: exp.Expr, candidate: exp.Expr, difference: Difference) -> _Kind:
    aggregates = [sorted(_aggregates(tree)) for tree in (reference, candidate)]
    if aggregates[0] != aggregates[1]:
        distinct = [sum("DISTINCT" in text for text in side) for side in aggregates]
        if distinct[0] != distinct[1]:
            return ("missing_distinct" if distinct[0] > distinct[1] else "needless_distinct"), {}
        if _counts_rows(aggregates[0]) != _counts_rows(aggregates[1]):
            return "nulls_ignored", {}
        return "wrong_aggregate", {"functions": ", ".join(sorted({text.split("(")[0] for text in aggregates[1]}))}
    if (reference.find(*_NULL_AWARE) is None) != (candidate.find(*_NULL_AWARE) is None):
        return "nulls_ignored", {}
    return "wrong_expression", {}


def _aggregates(tree: exp.Expr) -> Iterator[str]:
    for node in tree.find_all(exp.AggFunc):
        yield node.sql("duckdb")


def _counts_rows(aggregates: list[str]) -> bool:
    return "COUNT(*)" in aggregates


def _limit_kind(reference: exp.Expr, candidate: exp.Expr, difference: Difference) -> _Kind:
    tied = reference.find(*_CUTTING) is None or reference.find(*_RANKING) is not None
    return ("ties_in_top_n" if tied and candidate.find(*_CUTTING) is not None else "wrong_limit"), {}


def _order_kind(reference: exp.Expr, candidate: exp.Expr, difference: Difference) -> _Kind:
    return "wrong_order", {}


def _set_kind(reference: exp.Expr, candidate: exp.Expr, difference: Difference) -> _Kind:
    return "wrong_set_operation", {}


_KINDS: Final[Mapping[Clause, Callable[[exp.Expr, exp.Expr, Difference], _Kind]]] = {
    "select": _select_kind,
    "distinct": _distinct_kind,
    "from": _from_kind,
    "where": _condition_kind("where"),
    "group_by": _group_kind,
    "having": _condition_kind("having"),
    "order_by": _order_kind,
    "limit": _limit_kind,
    "set_operation": _set_kind,
}
