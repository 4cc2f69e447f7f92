"""Rules over a syntax tree that may make a query faster; each changes the tree in place where it fits.

None proves itself: some hold only where a column has no NULL, and the judge finds out whether that is so.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from sqlglot import exp

from services.kernel.sql.schema import Schema, Table


def table_of(source: object, schema: Schema) -> Table | None:
    """The schema's table that a FROM or JOIN reads, unless it is something else."""
    if not isinstance(source, exp.Table) or not schema.has(source.name):
        return None
    return schema.table(source.name)


def from_of(select: exp.Select) -> exp.Expr | None:
    clause = select.args.get("from_") or select.args.get("from")
    return None if clause is None else clause.this


def _is_key(columns: Sequence[str], table: Table) -> bool:
    named = {column.lower() for column in columns}
    return any({part.lower() for part in key} <= named for key in table.keys)


def without_unused_joins(tree: exp.Expr, schema: Schema) -> exp.Expr:
    """LEFT JOIN on the whole key of a table that is not used otherwise neither adds nor removes rows."""
    for select in tree.find_all(exp.Select):
        for join in list(select.args.get("joins") or ()):
            table = table_of(join.this, schema)
            condition = join.args.get("on")
            if table is None or condition is None or join.side != "LEFT" or select.is_star:
                continue
            alias = join.this.alias_or_name
            inside = list(condition.find_all(exp.Column))
            mine = [column for column in inside if column.table == alias]
            # A bare name might be this table's.
            if any(not column.table for column in select.find_all(exp.Column)):
                continue
            used = [column for column in select.find_all(exp.Column) if column.table == alias]
            equalities = all(isinstance(part, exp.EQ | exp.And) for part in _conjuncts(condition))
            if equalities and len(used) == len(mine) and _is_key([column.name for column in mine], table):
                join.pop()
    return tree


def _conjuncts(condition: exp.Expr) -> Iterator[exp.Expr]:
    yield from condition.flatten() if isinstance(condition, exp.And) else (condition,)


def count_of_key(tree: exp.Expr, schema: Schema) -> exp.Expr:
    """count(DISTINCT key) over one table is count(*): the key is there and nowhere twice."""
    for select in tree.find_all(exp.Select):
        table = table_of(from_of(select), schema)
        if table is None or select.args.get("joins"):
            continue
        for count in select.find_all(exp.Count):
            inner = count.this
            if not isinstance(inner, exp.Distinct) or count.find_ancestor(exp.Select) is not select:
                continue
            parts = [part for part in inner.expressions if isinstance(part, exp.Column)]
            names = tuple(part.name.lower() for part in parts)
            if len(parts) == len(inner.expressions) == 1 and names == tuple(k.lower() for k in table.primary_key):
                count.replace(exp.Count(this=exp.Star()))
    return tree


def without_inner_order(tree: exp.Expr, schema: Schema) -> exp.Expr:
    """An order within a subquery that takes all its rows is lost to the query around it anyway."""
    for select in list(tree.find_all(exp.Select)):
        inside = isinstance(select.parent, exp.Subquery | exp.CTE | exp.In | exp.Exists)
        if inside and not select.args.get("limit") and not select.args.get("offset"):
            select.set("order", None)
    return tree


def bare_join_keys(tree: exp.Expr, schema: Schema) -> exp.Expr:
    """CAST(a.x AS t) = CAST(b.y AS t), or the same function of both, compares the columns themselves."""
    types = {
        (table.name.lower(), column.name.lower()): column.type.upper()
        for table in schema.tables
        for column in table.columns
    }
    aliases = {table.alias_or_name: table.name.lower() for table in tree.find_all(exp.Table)}
    for equality in list(tree.find_all(exp.EQ)):
        left, right = equality.this, equality.expression
        if not isinstance(left, exp.Cast) or not isinstance(right, exp.Cast) or left.to != right.to:
            continue
        sides = (left.this, right.this)
        if not all(isinstance(side, exp.Column) for side in sides):
            continue
        kinds = {types.get((aliases.get(side.table, ""), side.name.lower())) for side in sides}
        if len(kinds) == 1 and None not in kinds:
            equality.set("this", sides[0])
            equality.set("expression", sides[1])
    return tree


def exists_for_count(tree: exp.Expr, schema: Schema) -> exp.Expr:
    """(SELECT count(*) ...) > 0 asks whether there is one."""
    for node in list(tree.find_all(exp.GT, exp.EQ)):
        query, number = node.this, node.expression
        if not isinstance(query, exp.Subquery) or not isinstance(number, exp.Literal) or number.name != "0":
            continue
        select = query.this
        if not isinstance(select, exp.Select) or select.args.get("group") or len(select.expressions) != 1:
            continue
        count = select.expressions[0].unalias()
        if not isinstance(count, exp.Count) or not isinstance(count.this, exp.Star):
            continue
        inner = select.copy()
        inner.set("expressions", [exp.Literal.number(1)])
        exists = exp.Exists(this=inner)
        node.replace(exists if isinstance(node, exp.GT) else exp.not_(exists))
    return tree


def in_for_or(tree: exp.Expr, schema: Schema) -> exp.Expr:
    """x = 1 OR x = 2 OR ... as x IN (1, 2, ...)."""
    for either in list(tree.find_all(exp.Or)):
        if isinstance(either.parent, exp.Or):
            continue
        parts = list(either.flatten())
        if not all(isinstance(part, exp.EQ) and isinstance(part.expression, exp.Literal) for part in parts):
            continue
        if len({part.this.sql() for part in parts}) == 1 and isinstance(parts[0].this, exp.Column):
            values = [part.expression.copy() for part in parts]
            either.replace(exp.In(this=parts[0].this.copy(), expressions=values))
    return tree


def fewer_group_keys(tree: exp.Expr, schema: Schema) -> exp.Expr:
    """Grouped by a table's whole key, its other columns cannot differ within a group: any_value takes them along."""
    for select in tree.find_all(exp.Select):
        table, group = table_of(from_of(select), schema), select.args.get("group")
        if table is None or group is None or select.args.get("joins") or not table.primary_key:
            continue
        keys = [key for key in group.expressions if isinstance(key, exp.Column)]
        names = {key.name.lower() for key in keys}
        primary = {part.lower() for part in table.primary_key}
        if len(keys) != len(group.expressions) or not primary < names or select.args.get("having"):
            continue
        if select.args.get("order") is not None:
            continue
        for part in list(select.expressions):
            column = part.unalias()
            if isinstance(column, exp.Column) and column.name.lower() in names - primary:
                part.replace(exp.alias_(exp.AnyValue(this=column.copy()), part.alias_or_name))
        group.set("expressions", [key for key in keys if key.name.lower() in primary])
    return tree


def split_or_join(tree: exp.Expr, schema: Schema) -> exp.Expr:
    """A join ON a OR b cannot hash: it is the rows of a, and those of b that are not rows of a."""
    if not isinstance(tree, exp.Select) or any(tree.args.get(k) for k in ("group", "limit", "distinct", "order")):
        return tree
    joins = tree.args.get("joins") or []
    if len(joins) != 1 or joins[0].side or tree.find(exp.AggFunc, exp.Window):
        return tree
    condition = joins[0].args.get("on")
    either = condition.unnest() if condition is not None else None
    if not isinstance(either, exp.Or) or isinstance(either.this, exp.Or):
        return tree
    first, second = tree.copy(), tree.copy()
    first.args["joins"][0].set("on", either.this.copy())
    unmet = exp.not_(exp.Coalesce(this=exp.paren(either.this.copy()), expressions=[exp.false()]))
    second.args["joins"][0].set("on", exp.and_(either.expression.copy(), unmet))
    return exp.union(first, second, distinct=False)
