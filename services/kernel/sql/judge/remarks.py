"""What could be better about an answer that is accepted."""

from __future__ import annotations

from sqlglot import exp

_TIMES_AS_LARGE = 2.0
_NODES_TO_SPARE = 20  # a small query may well be twice as long as a smaller one


def remarks_on(reference: exp.Expr, candidate: exp.Expr) -> tuple[str, ...]:
    """Codes, possibly none: ``needlessly_complex``, ``needless_order``, ``needless_distinct``, ``cross_join``."""
    remarks = []
    if _size(candidate) > _TIMES_AS_LARGE * _size(reference) + _NODES_TO_SPARE:
        remarks.append("needlessly_complex")
    if candidate.args.get("order") and not reference.args.get("order") and not candidate.args.get("limit"):
        remarks.append("needless_order")
    if candidate.find(exp.Distinct) and not reference.find(exp.Distinct, exp.Group):
        remarks.append("needless_distinct")
    if _has_cross_join(candidate) and not _has_cross_join(reference):
        remarks.append("cross_join")
    return tuple(remarks)


def _size(tree: exp.Expr) -> int:
    return sum(1 for _ in tree.walk())


def _has_cross_join(tree: exp.Expr) -> bool:
    """A product of tables without any condition on it, neither ON nor WHERE."""
    return any(
        join.kind == "CROSS" or not (join.args.get("on") or join.args.get("using") or join.method)
        for select in tree.find_all(exp.Select)
        for join in select.args.get("joins") or []
        if not select.args.get("where") and isinstance(join.this, exp.Table)
    )
