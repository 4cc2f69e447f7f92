"""Whether a query's result may depend on the order in which rows happen to be read."""

from __future__ import annotations

from sqlglot import exp

_ROW_ORDER = (
    exp.Limit,
    exp.Offset,
    exp.Fetch,
    exp.TableSample,
    exp.RowNumber,
    exp.Lag,
    exp.Lead,
    exp.FirstValue,
    exp.LastValue,
    exp.NthValue,
    exp.Ntile,
    exp.AnyValue,
    exp.First,
    exp.Last,
    exp.ArgMax,
    exp.ArgMin,
    exp.ArrayAgg,
    exp.GroupConcat,
    exp.Mode,
    exp.Rand,
    exp.Uuid,
)
_NAMED = frozenset(
    "list array_agg string_agg listagg group_concat first last any_value arbitrary arg_max arg_min".split()  # noqa: SIM905
    + "argmax argmin max_by min_by mode random rand uuid gen_random_uuid histogram reservoir_quantile".split()  # noqa: SIM905
    + "approx_quantile arg_max_null arg_min_null json_group_array json_group_object".split()  # noqa: SIM905
)


def may_depend_on_row_order(tree: exp.Expr) -> bool:
    """False only when every part of the query gives the same bag of rows for every order of its input."""
    for node in tree.walk():
        if isinstance(node, _ROW_ORDER):
            return True
        if isinstance(node, exp.Anonymous | exp.AnonymousAggFunc) and node.name.lower() in _NAMED:
            return True
        if isinstance(node, exp.WindowSpec) and str(node.args.get("kind") or "").upper() == "ROWS":
            return True
        if isinstance(node, exp.Distinct) and node.args.get("on") is not None:
            return True
    return False
