"""Every single-place mutant of a SELECT.

The operators follow J. Tuya, M. J. Suarez-Cabal and C. de la Riva, "Mutating database queries", Information and
Software Technology 49 (2007): clauses (joins, DISTINCT, grouping, ordering, aggregates), operators (comparison,
logical, arithmetic, boundaries) and NULL handling; window functions and dates are added in the same spirit.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import sqlglot
from sqlglot import exp

from services.kernel.errors import PermanentError
from services.kernel.sql.mutation import clauses, expressions, windows
from services.kernel.sql.mutation.edits import Edit
from services.kernel.sql.mutation.facts import Facts
from services.kernel.sql.schema import Schema

_OPERATORS = (clauses.edits, expressions.edits, windows.edits)


class NotMutable(PermanentError):
    """The text is not one query that can be parsed."""

    code = "not_mutable"


@dataclass(frozen=True, slots=True)
class Mutant:
    """`operator`: the family, such as ``join`` or ``boundary``. `detail`: what was changed, for reports."""

    sql: str
    operator: str
    detail: str


def make_mutants(sql: str, *, ordered: bool, schema: Schema | None = None, limit: int | None = None) -> list[Mutant]:
    """Distinct mutants of `sql` (DuckDB), in the order of the places they change.

    `ordered`: whether the order of rows counts; without it the outermost ORDER BY is left alone unless a LIMIT makes
    it matter. `schema`: changes that its keys and NOT NULL constraints make void are left out. `limit`: keep at most so
    many, spread evenly over the query. Raises NotMutable.
    """
    try:
        tree = sqlglot.parse_one(sql, read="duckdb")
    except sqlglot.errors.SqlglotError as error:
        raise NotMutable(f"the query cannot be parsed: {error}") from error
    if not isinstance(tree, exp.Query):
        raise NotMutable(f"only a query has mutants, not {type(tree).__name__.upper()}")
    seen = {tree.sql(dialect="duckdb")}
    found: list[Mutant] = []
    for index, edit in _edits(tree, ordered, Facts(tree, schema)):
        mutant = tree.copy()
        for place in [_node(mutant, place) for place in _places(tree, index)]:
            edit.apply(place)
        text = mutant.sql(dialect="duckdb")
        if text not in seen:
            seen.add(text)
            found.append(Mutant(text, edit.operator, edit.detail))
    if limit is None or len(found) <= limit:
        return found
    return [found[i * len(found) // limit] for i in range(limit)]


def _edits(tree: exp.Expr, ordered: bool, facts: Facts) -> Iterator[tuple[int, Edit]]:
    free_order = None
    if not ordered and not tree.args.get("limit"):
        free_order = tree.args.get("order")
    for index, node in enumerate(tree.walk()):
        if free_order is not None and (node is free_order or node.find_ancestor(exp.Order) is free_order):
            continue
        for operator in _OPERATORS:
            for edit in operator(node, facts):
                yield index, edit


def _node(tree: exp.Expr, index: int) -> exp.Expr:
    return next(node for i, node in enumerate(tree.walk()) if i == index)


def _places(tree: exp.Expr, index: int) -> list[int]:
    """The place itself, or every copy of it within an expression that is grouped by: changed in one of them only, the
    query would not run."""
    node = _node(tree, index)
    select = node.find_ancestor(exp.Select)
    group = select.args.get("group") if select is not None else None
    wholes = [e for e in group.expressions if not isinstance(e, exp.Column)] if group is not None else []
    if not any(_within(node, whole) for whole in wholes):
        return [index]
    return [
        i
        for i, other in enumerate(tree.walk())
        if other == node
        and other.find_ancestor(exp.Select) is select
        and any(_within(other, whole) for whole in wholes)
    ]


def _within(node: exp.Expr, whole: exp.Expr) -> bool:
    """Whether `node` is, or stands in, a copy of `whole`."""
    up: exp.Expr | None = node
    while up is not None and not isinstance(up, exp.Select):
        if up == whole:
            return True
        up = up.parent
    return False
