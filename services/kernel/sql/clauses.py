"""The clauses of a query as comparable parts, and how much of each two queries share."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import Final

from sqlglot import exp

from services.kernel.sql.mistakes import Clause

CLAUSES: Final[tuple[Clause, ...]] = (
    "select",
    "distinct",
    "from",
    "where",
    "group_by",
    "having",
    "order_by",
    "limit",
    "set_operation",
)
# The parts of a SELECT that make up each clause, as sqlglot names them.
PARTS: Final[Mapping[Clause, tuple[str, ...]]] = {
    "select": ("expressions",),
    "distinct": ("distinct",),
    "from": ("from_", "joins", "laterals"),
    "where": ("where",),
    "group_by": ("group",),
    "having": ("having", "qualify"),
    "order_by": ("order",),
    "limit": ("limit", "offset"),
}


def parts_of(tree: exp.Expr, clause: Clause) -> Counter[str]:
    """The texts that make up a clause of the whole query, subqueries and CTEs included: conditions one by one."""
    return _parts_in(tree.find_all(exp.Query), clause)


def _parts_in(queries: Iterable[exp.Query], clause: Clause) -> Counter[str]:
    parts: Counter[str] = Counter()
    for node in queries:
        if clause == "set_operation":
            if isinstance(node, exp.SetOperation):
                parts[f"{type(node).__name__} {'' if node.args.get('distinct') else 'ALL'}"] += 1
        elif isinstance(node, exp.Select) or clause in {"order_by", "limit"}:
            parts.update(_own_parts(node, clause))
    return parts


def _own_parts(query: exp.Query, clause: Clause) -> Iterator[str]:
    for name in PARTS[clause]:
        value = query.args.get(name)
        for item in value if isinstance(value, list) else [value]:
            if isinstance(item, exp.Expr):
                yield from _pieces(item)
            elif item:
                yield name


def _pieces(node: exp.Expr) -> Iterator[str]:
    """A condition by its conjuncts, a list by its members; nested queries are counted where they stand themselves."""
    if isinstance(node, exp.Where | exp.Having | exp.Qualify):
        yield from _conjuncts(node.this)
    elif isinstance(node, exp.Group | exp.Order):
        for member in node.expressions:
            yield _text(member)
    elif isinstance(node, exp.Join):
        yield f"{join_side(node)} JOIN {_text(node.this)}"
        if node.args.get("on"):
            yield from _conjuncts(node.args["on"])
    else:
        yield _text(node)


def _conjuncts(node: exp.Expr) -> Iterator[str]:
    for part in node.flatten(unnest=False) if isinstance(node, exp.And) else [node]:
        yield _text(part)


def _text(node: exp.Expr) -> str:
    """The node's text with each nested query replaced by a mark."""
    if not node.find(exp.Query):
        return node.sql("duckdb")
    marked = node.copy().transform(lambda n: exp.var("QUERY") if isinstance(n, exp.Query) else n)
    return marked.sql("duckdb")


def join_side(join: exp.Join) -> str:
    return f"{join.args.get('method') or ''} {join.side} {'' if join.kind == 'INNER' else join.kind}".strip() or "INNER"


def clause_scores(reference: exp.Expr, candidate: exp.Expr) -> dict[str, float]:
    """For every clause that either query has, the share of its parts in common (Jaccard index of the two bags)."""
    scores: dict[str, float] = {}
    queries = [list(tree.find_all(exp.Query)) for tree in (reference, candidate)]
    for clause in CLAUSES:
        wanted, given = (_parts_in(side, clause) for side in queries)
        every = sum((wanted | given).values())
        if every:
            scores[clause] = round(sum((wanted & given).values()) / every, 3)
    return scores
