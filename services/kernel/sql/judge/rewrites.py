"""Rewrites of a resolved query that keep its bag of rows for every data set that satisfies the schema.

Each one states its rule. They serve only to recognise equal queries: the results are compared as texts, never run.
"""

from __future__ import annotations

from collections.abc import Iterator

from sqlglot import exp
from sqlglot.optimizer.merge_subqueries import merge_subqueries

from services.kernel.sql.schema import Schema

# False or NULL as soon as the column is NULL.
_NULL_REJECTING = (exp.EQ, exp.NEQ, exp.LT, exp.LTE, exp.GT, exp.GTE, exp.Like, exp.ILike, exp.Between)
_EXACT_TYPES = frozenset({"TINYINT", "SMALLINT", "INTEGER", "BIGINT", "VARCHAR", "DATE"})


def without_plain_subqueries(tree: exp.Expr) -> exp.Expr:
    """A copy of ``tree`` in which what only selects, filters and joins is part of the query around it.

    Only where no join keeps unmatched rows: it gives NULL for what a merged constant would go on giving.
    """
    if not all(map(_is_inner, tree.find_all(exp.Join))) or tree.find(exp.Lateral, exp.Unnest, exp.Rand, exp.Uuid):
        return tree
    merged: exp.Expr = merge_subqueries(tree.copy())
    return merged


def rewrite(tree: exp.Expr, schema: Schema) -> exp.Expr:
    """A copy of ``tree`` with every rule applied to each SELECT, inner ones first.

    ``tree`` is qualified, in lower case, and gives no two sources the same alias, nested queries included.
    """
    result = tree.copy()
    for select in reversed(list(result.find_all(exp.Select))):
        _outer_to_inner(select)
        _membership_to_join(select, schema)
        inner = _flatten_joins(select)
        if inner:
            _merge_equal_columns(select, schema)
        _count_rows(select, schema, inner=inner)
        _whole_counts(select)
        _distinct_as_group(select)
    return result


def _joins(select: exp.Select) -> list[exp.Join]:
    return list(select.args.get("joins") or [])


def _conjuncts(condition: exp.Expr | None) -> Iterator[exp.Expr]:
    if isinstance(condition, exp.Paren):
        yield from _conjuncts(condition.this)
    elif isinstance(condition, exp.And):
        yield from _conjuncts(condition.left)
        yield from _conjuncts(condition.right)
    elif condition is not None:
        yield condition


def _where(select: exp.Select) -> list[exp.Expr]:
    where = select.args.get("where")
    return list(_conjuncts(where.this)) if where is not None else []


def _outer_to_inner(select: exp.Select) -> None:
    """LEFT JOIN t is an inner join when WHERE cannot hold for a row of NULLs in place of t's.

    Only with nothing but left and inner joins about, which keep that row as it is.
    """
    joins = _joins(select)
    if any(join.side not in {"", "LEFT"} or join.method or join.kind not in {"", "INNER", "OUTER"} for join in joins):
        return
    rejected = {
        side.table
        for conjunct in _where(select)
        if isinstance(conjunct, _NULL_REJECTING)
        for side in (conjunct.this, conjunct.args.get("expression"))
        if isinstance(side, exp.Column)
    }
    for join in joins:
        if join.side == "LEFT" and join.args.get("on") is not None and join.this.alias_or_name in rejected:
            join.set("side", None)
            join.set("kind", None)


def _membership_to_join(select: exp.Select, schema: Schema) -> None:
    """WHERE x IN (SELECT key FROM t WHERE c), key being unique in t, is a join with t on x = key AND c: it can match no
    more than once, and NULL matches neither way."""
    where, source = select.args.get("where"), select.args.get("from_")
    if where is None or source is None or select.args.get("laterals") or not all(map(_is_inner, _joins(select))):
        return
    conditions, joined = [], []
    for conjunct in _where(select):
        inner = _keyed_members(conjunct, schema)
        if inner is None:
            conditions.append(conjunct)
            continue
        joined.append(exp.Join(this=inner.args["from_"].this.copy()))
        conditions += [exp.EQ(this=conjunct.this.copy(), expression=inner.selects[0].unalias().copy()), *_where(inner)]
    if joined:
        select.set("joins", [*_joins(select), *joined])
        select.set("where", exp.Where(this=exp.and_(*conditions)))


def _is_inner(join: exp.Join) -> bool:
    return not (join.side or join.method or join.args.get("using")) and join.kind in {"", "INNER", "CROSS"}


def _keyed_members(condition: exp.Expr, schema: Schema) -> exp.Select | None:
    """The query of ``x IN (query)`` where that selects a unique column of one table and does no more than filter."""
    query = condition.args.get("query") if isinstance(condition, exp.In) else None
    inner = query.this if isinstance(query, exp.Subquery) else None
    if not isinstance(inner, exp.Select) or len(inner.selects) != 1 or not inner.args.get("from_"):
        return None
    if {part for part, value in inner.args.items() if value} - {"expressions", "from_", "where", "distinct", "kind"}:
        return None
    if inner.args.get("distinct") and inner.args["distinct"].args.get("on"):
        return None
    table, column = inner.args["from_"].this, inner.selects[0].unalias()
    if not isinstance(table, exp.Table) or table.args.get("joins") or not isinstance(column, exp.Column):
        return None
    if column.table != table.alias_or_name or (column.table, column.name) not in _types(inner, schema):
        return None
    keys = {tuple(name.lower() for name in key) for key in schema.table(table.name).keys}
    return inner if (column.name,) in keys else None


def _flatten_joins(select: exp.Select) -> bool:
    """Inner joins commute, and their conditions are conditions of WHERE. False when the FROM holds anything else."""
    joins, source = _joins(select), select.args.get("from_")
    if source is None or select.args.get("laterals"):
        return False
    if not all(map(_is_inner, joins)):
        return False
    parts = [source.this, *(join.this for join in joins)]
    if not all(isinstance(part, exp.Table | exp.Subquery) and not part.args.get("joins") for part in parts):
        return False
    if not joins:
        return True
    conditions = [*_where(select), *(c for join in joins for c in _conjuncts(join.args.get("on")))]
    parts.sort(key=lambda part: part.name if isinstance(part, exp.Table) else f"~{part.this.sql('duckdb')}")
    source.set("this", parts[0])
    select.set("joins", [exp.Join(this=part) for part in parts[1:]])
    if conditions:
        select.set("where", exp.Where(this=exp.and_(*conditions, copy=False)))
    return True


def _merge_equal_columns(select: exp.Select, schema: Schema) -> None:
    """Outside WHERE, columns that WHERE makes equal are one: for types whose equal values are identical.

    Not beside ROLLUP and its kin, which put NULL in place of one of them.
    """
    if _groups_specially(select):
        return
    types = _types(select, schema)
    representative: dict[tuple[str, str], tuple[str, str]] = {}

    def find(key: tuple[str, str]) -> tuple[str, str]:
        while key in representative:
            key = representative[key]
        return key

    for conjunct in _where(select):
        if not isinstance(conjunct, exp.EQ) or not all(
            isinstance(s, exp.Column) for s in (conjunct.this, conjunct.expression)
        ):
            continue
        one, other = ((side.table, side.name) for side in (conjunct.this, conjunct.expression))
        if types.get(one) not in _EXACT_TYPES or types.get(one) != types.get(other):
            continue
        low, high = sorted((find(one), find(other)), key=lambda key: (_base(select, key[0]), key))
        if low != high:
            representative[high] = low
    for part in ("expressions", "group", "having", "order"):
        value = select.args.get(part)
        for node in value if isinstance(value, list) else [value] if value is not None else []:
            for column in list(node.find_all(exp.Column)):
                table, name = find((column.table, column.name))
                column.set("table", exp.to_identifier(table))
                column.set("this", exp.to_identifier(name))


def _groups_specially(select: exp.Select) -> bool:
    group = select.args.get("group")
    return group is not None and (
        any(group.args.get(kind) for kind in ("rollup", "cube", "grouping_sets", "all"))
        or group.find(exp.Rollup, exp.Cube, exp.GroupingSets) is not None
    )


def _sources(select: exp.Select) -> list[exp.Expr]:
    source = select.args.get("from_")
    return [source.this, *(join.this for join in _joins(select))] if source is not None else []


def _base(select: exp.Select, alias: str) -> str:
    return next((s.name for s in _sources(select) if isinstance(s, exp.Table) and s.alias_or_name == alias), "~")


def _types(select: exp.Select, schema: Schema) -> dict[tuple[str, str], str]:
    """The types of the columns of base tables, by alias; a CTE of a table's name hides it."""
    root = select.root()
    hidden = {cte.alias for cte in root.find_all(exp.CTE)}
    return {
        (source.alias_or_name, column.name.lower()): column.type.upper()
        for source in _sources(select)
        if isinstance(source, exp.Table) and source.name not in hidden and schema.has(source.name)
        for column in schema.table(source.name).columns
    }


def _count_rows(select: exp.Select, schema: Schema, *, inner: bool) -> None:
    """COUNT of a constant, or of a column that is never NULL where no outer join can make it so, counts rows."""
    types = _types(select, schema) if inner else {}
    for count in list(select.find_all(exp.Count)):
        argument = count.this
        if count.find_ancestor(exp.Select) is not select or count.expressions or isinstance(argument, exp.Distinct):
            continue
        required = isinstance(argument, exp.Column) and _is_required(select, schema, argument, types)
        if required or (isinstance(argument, exp.Literal)):
            count.set("this", exp.Star())


def _is_required(select: exp.Select, schema: Schema, column: exp.Column, types: dict[tuple[str, str], str]) -> bool:
    if (column.table, column.name) not in types:
        return False
    return schema.table(_base(select, column.table)).is_required(column.name)


def _whole_counts(select: exp.Select) -> None:
    """COUNT(*) > n is COUNT(*) >= n + 1, and likewise the other way: counts are whole numbers."""
    having = select.args.get("having")
    for node in list(having.find_all(exp.GT, exp.LT)) if having is not None else []:
        count, number = (
            (node.this, node.expression) if isinstance(node.this, exp.Count) else (node.expression, node.this)
        )
        if not isinstance(count, exp.Count) or not isinstance(number, exp.Literal) or not number.name.isdigit():
            continue
        above = isinstance(node, exp.GT) == (node.this is count)
        bound = exp.Literal.number(int(number.name) + (1 if above else -1))
        if int(bound.name or 0) >= 0:
            node.replace((exp.GTE if above else exp.LTE)(this=count.copy(), expression=bound))


def _distinct_as_group(select: exp.Select) -> None:
    """GROUP BY exactly the columns selected, without aggregates, is DISTINCT; groups have no order among themselves."""
    group = select.args.get("group")
    if group is None or _groups_specially(select):
        return
    keys = sorted(group.expressions, key=lambda key: str(key.sql("duckdb")))
    outputs = [projection.unalias() for projection in select.selects]
    plain = not any(select.args.get(part) for part in ("having", "distinct", "qualify", "order"))
    if plain and {k.sql("duckdb") for k in keys} == {o.sql("duckdb") for o in outputs}:
        select.set("group", None)
        select.set("distinct", exp.Distinct())
    else:
        group.set("expressions", keys)
