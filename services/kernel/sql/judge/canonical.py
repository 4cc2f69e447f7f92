"""One text for queries that differ only in form: names resolved, aliases renamed, operands sorted.

Only rewrites that hold for every data set under SQL's three-valued logic; what cannot be resolved has no such form.
"""

from __future__ import annotations

import re
from collections import Counter

from sqlglot import exp
from sqlglot.errors import SqlglotError
from sqlglot.optimizer.qualify import qualify
from sqlglot.optimizer.scope import traverse_scope

from services.kernel.sql.judge.rewrites import rewrite, without_plain_subqueries
from services.kernel.sql.schema import Schema

_PLAIN_NAME = re.compile(r"[a-z_][a-z0-9_]*")
_COMMUTATIVE = (exp.And, exp.Or, exp.EQ, exp.NEQ, exp.NullSafeEQ)


def canonical_tree(
    tree: exp.Expr, schema: Schema, *, keep_order: bool = True, rewritten: bool = False
) -> exp.Expr | None:
    """The canonical form of ``tree``, or None when its names cannot all be resolved.

    ``keep_order``: False drops an outermost ORDER BY that no LIMIT needs. ``rewritten``: also applies the rewrites that
    move conditions between clauses; such a tree is for comparing, not for telling where two queries differ.
    """
    columns: dict[str, object] = {t.name.lower(): {c.name.lower(): c.type for c in t.columns} for t in schema.tables}
    try:
        resolved = qualify(
            _lowered(tree.copy()), schema=columns, dialect="duckdb", quote_identifiers=False, identify=False
        )
        if not keep_order and not resolved.args.get("limit") and not resolved.args.get("offset"):
            resolved.set("order", None)
        resolved = without_plain_subqueries(resolved) if rewritten else resolved
    except (SqlglotError, ValueError, KeyError, RecursionError):
        return None
    _rename_tables(resolved)
    if rewritten:
        resolved = rewrite(resolved, schema)
        _rename_tables(resolved)
    _drop_output_names(resolved)
    return _bottom_up(resolved)


def _bottom_up(tree: exp.Expr) -> exp.Expr:
    """Operands before the operators that sort them."""
    for node in reversed(list(tree.bfs())):
        replacement = _normalised(node)
        if replacement is not node and node is tree:
            tree = replacement
        elif replacement is not node:
            node.replace(replacement)
    return tree


def _lowered(tree: exp.Expr) -> exp.Expr:
    """DuckDB compares names without case, quoted ones too; quotes stay where a name is no plain word."""
    for identifier in tree.find_all(exp.Identifier):
        identifier.set("this", identifier.name.lower())
        identifier.set("quoted", _PLAIN_NAME.fullmatch(identifier.name) is None)
    return tree


def _rename_tables(tree: exp.Expr) -> None:
    """Every source gets the name of its table and its rank among the sources of that table in the whole query.

    Unique throughout, or a correlated column could come to mean a source nearer to it.
    """
    ranks: Counter[str] = Counter()
    for scope in traverse_scope(tree):
        renamed = {}
        for alias, (node, source) in scope.selected_sources.items():
            base = source.name if isinstance(source, exp.Table) else "derived"
            ranks[base] += 1
            renamed[alias] = f"qc_{base}_{ranks[base]}"
            holder = node if isinstance(node, exp.Table) else node.parent
            named = holder.args.get("alias") if isinstance(holder, exp.Table | exp.Subquery) else None
            if isinstance(named, exp.TableAlias):
                named.set("this", exp.to_identifier(renamed[alias]))
            else:
                renamed.pop(alias)
        for column in scope.columns:
            if column.table in renamed:
                column.set("table", exp.to_identifier(renamed[column.table]))


def _drop_output_names(tree: exp.Expr) -> None:
    """Names of output columns are the policy's business, not the tree's."""
    if not isinstance(tree, exp.Select):
        return
    names = {projection.alias for projection in tree.selects if isinstance(projection, exp.Alias)}
    order = tree.args.get("order")
    if order is not None and any(column.name in names and not column.table for column in order.find_all(exp.Column)):
        return
    tree.set("expressions", [projection.unalias() for projection in tree.selects])


def _normalised(node: exp.Expr) -> exp.Expr:
    if isinstance(node, exp.Paren) and not isinstance(node.parent, exp.Neg):
        return node.this if _needs_no_parentheses(node) else node
    if isinstance(node, exp.GT | exp.GTE):
        flipped = exp.LT if isinstance(node, exp.GT) else exp.LTE
        node = flipped(this=node.expression, expression=node.this)
    if isinstance(node, exp.In) and len(node.expressions) == 1 and not node.args.get("query"):
        node = exp.EQ(this=node.this, expression=node.expressions[0])
    if isinstance(node, exp.Join) and node.kind == "INNER":
        node.set("kind", None)
    if isinstance(node, _COMMUTATIVE):
        return _sorted_operands(node)
    return node


def equal_by_rewriting(reference: exp.Expr, candidate: exp.Expr, schema: Schema, *, keep_order: bool) -> bool:
    """Whether sound rewrites turn the two parsed queries into one text."""
    forms = (canonical_tree(tree, schema, keep_order=keep_order, rewritten=True) for tree in (reference, candidate))
    return same_query(*forms)


def _needs_no_parentheses(node: exp.Paren) -> bool:
    """Round a name, a value or a call; round a comparison where only conditions are joined."""
    inside = node.this
    if isinstance(inside, exp.Binary | exp.Case | exp.Not | exp.Connector):
        joined = isinstance(node.parent, exp.Connector | exp.Where | exp.Having | exp.Join | exp.Paren)
        return joined and isinstance(inside, exp.Predicate) and not isinstance(inside, exp.Connector)
    return isinstance(inside, exp.Column | exp.Literal | exp.Func)


def _sorted_operands(node: exp.Expr) -> exp.Expr:
    if isinstance(node, exp.And | exp.Or):
        parts = sorted(node.flatten(unnest=False), key=lambda part: str(part.sql("duckdb")))
        combined = parts[0].copy()
        for part in parts[1:]:
            combined = type(node)(this=combined, expression=part.copy())
        return combined
    left, right = sorted((node.this, node.expression), key=lambda part: str(part.sql("duckdb")))
    return type(node)(this=left, expression=right)


def may_be_same(reference: exp.Expr, candidate: exp.Expr) -> bool:
    """False when the canonical forms must differ, by what no step towards them adds or takes away: cheap to see."""
    return _marks(reference) == _marks(candidate)


def _marks(tree: exp.Expr) -> set[str]:
    """Sets, not bags: resolving an alias repeats what it stands for. Numbers may be ordinals, which get resolved."""
    marks = set()
    for node in tree.walk():
        if isinstance(node, exp.Literal) and node.is_string:
            marks.add(f"'{node.name}")
        elif isinstance(node, exp.AggFunc | exp.SetOperation):
            marks.add(type(node).__name__)
        elif isinstance(node, exp.Join) and node.side:
            marks.add(node.side)
    return marks


def same_query(reference: exp.Expr | None, candidate: exp.Expr | None) -> bool:
    """True when both have a canonical form and the two are one text."""
    return reference is not None and candidate is not None and reference.sql("duckdb") == candidate.sql("duckdb")
