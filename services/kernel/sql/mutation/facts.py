"""What keys and NOT NULL constraints say about the parts of a query, so that void changes are no mutants.

Every answer is conservative: False means "not proved". The rules are the textbook ones of relational algebra: a key
determines its row, a join on a whole key keeps the keys of the other side, a comparison rejects NULL, and an outer join
whose added rows a filter rejects is the inner join.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from sqlglot import exp

from services.kernel.sql.schema import Schema, Table

# (alias, column) in lower case, or ("", SQL text) for an expression that is grouped by.
Attribute = tuple[str, str]
_STRICT = (exp.EQ, exp.NEQ, exp.LT, exp.LTE, exp.GT, exp.GTE, exp.Like, exp.Between, exp.In)
_NULL_IN_NULL_OUT = (
    exp.Add, exp.Sub, exp.Mul, exp.Cast, exp.Round, exp.Extract, exp.DateDiff, exp.DateTrunc, exp.TimestampTrunc,
    exp.Paren,
    exp.Neg, exp.TimeToUnix, exp.EQ, exp.LT, exp.GT, exp.LTE, exp.GTE, exp.NEQ, exp.Lower, exp.Upper,
)  # fmt: skip
_NEVER_NULL = (
    exp.Literal,
    exp.Count,
    exp.RowNumber,
    exp.Rank,
    exp.DenseRank,
    exp.Ntile,
    exp.Boolean,
    exp.Is,
    exp.Exists,
)


@dataclass(frozen=True)
class _Source:
    alias: str
    table: Table | None  # a table of the schema, or
    query: exp.Select | None  # a CTE or subquery


class Facts:
    """`schema`: None proves nothing but what the query says by itself."""

    def __init__(self, tree: exp.Expr, schema: Schema | None) -> None:
        self._schema = schema
        self._ctes = {cte.alias.lower(): cte.this for cte in tree.find_all(exp.CTE)}

    def never_null(self, node: exp.Expr | None) -> bool:
        if node is None or isinstance(node, exp.Null):
            return False
        if isinstance(node, _NEVER_NULL):
            return True
        if isinstance(node, exp.Column):
            return self._column_never_null(node)
        if isinstance(node, exp.Coalesce):
            return any(self.never_null(part) for part in (node.this, *node.expressions))
        if isinstance(node, exp.Window):
            return isinstance(node.this, _NEVER_NULL)
        if isinstance(node, (exp.Sum, exp.Avg, exp.Min, exp.Max, exp.Median)):
            select = node.find_ancestor(exp.Select)
            grouped = select is not None and bool(select.args.get("group")) and not isinstance(node.parent, exp.Filter)
            return grouped and self.never_null(node.this)
        if isinstance(node, exp.Case):
            branches = [*(i.args["true"] for i in node.args["ifs"]), node.args.get("default")]
            return all(self.never_null(branch) for branch in branches)
        if isinstance(node, _NULL_IN_NULL_OUT):
            return all(
                self.never_null(part)
                for part in node.iter_expressions()
                if not isinstance(part, (exp.DataType, exp.Var))
            )
        return False

    def distinct_is_void(self, select: exp.Select) -> bool:
        """True when no two rows of `select` can be equal, or when whoever reads it drops duplicates anyway."""
        parent = select.parent
        if isinstance(parent, exp.SetOperation) and parent.args.get("distinct", True) is not False:
            return True
        if isinstance(parent, exp.Subquery) and isinstance(parent.parent, exp.In):
            return True
        shown = {a for p in select.expressions for a in self._attributes(select, p)}
        return any(key <= shown for key in self.keys(select))

    def window_is_total(self, window: exp.Window) -> bool:
        """True when the window's order leaves no ties within a partition."""
        select = window.find_ancestor(exp.Select)
        order = window.args.get("order")
        if select is None or order is None:
            return False
        used = [*(window.args.get("partition_by") or []), *(o.this for o in order.expressions)]
        ordered = {a for part in used for a in self._attributes(select, part)}
        return any(key <= ordered for key in self.keys(select))

    def join_change_is_void(self, join: exp.Join, side: str, other: str) -> bool:
        """True when the join of type `side` ("", LEFT, RIGHT, FULL) returns what type `other` returns."""
        kept = {"": set(), "LEFT": {"L"}, "RIGHT": {"R"}, "FULL": {"L", "R"}}
        changed = kept[side] ^ kept[other]
        void = self._void_extensions(join)
        return changed <= void

    def keys(self, select: exp.Select) -> list[frozenset[Attribute]]:
        """Attribute sets that determine a row of `select` before projection."""
        group = select.args.get("group")
        if group:
            parts = [self._attributes(select, part) for part in group.expressions]
            return [frozenset(a for part in parts for a in part)]
        if select.args.get("distinct"):
            return [frozenset(a for p in select.expressions for a in self._attributes(select, p))]
        sources = list(self._sources(select))
        if not sources:
            return []
        keys = self._source_keys(sources[0])
        for join, source in zip(select.args.get("joins") or [], sources[1:], strict=True):
            keys = self._joined(keys, join, source, select)
        return keys

    def _joined(
        self, keys: list[frozenset[Attribute]], join: exp.Join, source: _Source, select: exp.Select
    ) -> list[frozenset[Attribute]]:
        if join.kind.upper() in ("SEMI", "ANTI"):
            return keys
        equated = {a for pair in self._equalities(join, select) for a in pair}
        theirs = self._source_keys(source)
        # A key of the joined side that the condition pins down adds no rows; otherwise both keys are needed.
        outer = (join.side or "").upper() in ("RIGHT", "FULL")
        if not outer and any(key <= equated for key in theirs):
            return keys
        return [] if outer else [a | b for a in keys for b in theirs]

    def _sources(self, select: exp.Select) -> Iterator[_Source]:
        origin = select.args.get("from_") or select.args.get("from")
        parts = [origin.this] if origin else []
        for part in [*parts, *(join.this for join in select.args.get("joins") or [])]:
            yield self._source(part)

    def _source(self, part: exp.Expr) -> _Source:
        alias = part.alias_or_name.lower()
        if isinstance(part, exp.Subquery):
            return _Source(alias, None, part.this if isinstance(part.this, exp.Select) else None)
        if isinstance(part, exp.Table) and part.name.lower() in self._ctes:
            query = self._ctes[part.name.lower()]
            return _Source(alias, None, query if isinstance(query, exp.Select) else None)
        known = isinstance(part, exp.Table) and self._schema is not None and self._schema.has(part.name)
        return _Source(alias, self._schema.table(part.name) if known and self._schema else None, None)

    def _source_keys(self, source: _Source) -> list[frozenset[Attribute]]:
        if source.table is not None:
            table = source.table
            return [
                frozenset((source.alias, name.lower()) for name in key)
                for key in table.keys
                if all(table.is_required(name) for name in key)
            ]
        if source.query is None:
            return []
        inner = {
            a: name
            for p in source.query.expressions
            for a in self._attributes(source.query, p)
            if (name := p.alias_or_name.lower())
        }
        return [
            frozenset((source.alias, inner[a]) for a in key)
            for key in self.keys(source.query)
            if all(a in inner for a in key)
        ]

    def _attributes(self, select: exp.Select, node: exp.Expr) -> list[Attribute]:
        """The attribute that a projected, grouped or ordered expression stands for."""
        node = node.unalias()
        if isinstance(node, exp.Column):
            source = self._owner(select, node)
            return [(source.alias, node.name.lower())] if source else []
        if isinstance(node, exp.Star):
            return [(s.alias, c.lower()) for s in self._sources(select) if s.table for c in s.table.column_names]
        return [("", node.sql(dialect="duckdb"))]

    def _owner(self, select: exp.Select, column: exp.Column) -> _Source | None:
        sources = list(self._sources(select))
        if column.table:
            return next((s for s in sources if s.alias == column.table.lower()), None)
        owning = [s for s in sources if self._has(s, column.name)]
        return owning[0] if len(owning) == 1 else None

    @staticmethod
    def _has(source: _Source, name: str) -> bool:
        if source.table is not None:
            return source.table.has(name)
        return source.query is not None and any(
            p.alias_or_name.lower() == name.lower() for p in source.query.expressions
        )

    def _column_never_null(self, column: exp.Column) -> bool:
        select = column.find_ancestor(exp.Select)
        if select is None:
            return False
        if any(
            _is_present(test, column)
            for test in _conjuncts(select.args.get("where"))
            if column.find_ancestor(exp.Where) is None
        ):
            return True
        source = self._owner(select, column)
        if source is None or self._may_be_added(select, source.alias):
            return False
        if source.table is not None:
            return source.table.is_required(column.name)
        inner = next(
            (
                p
                for p in (source.query.expressions if source.query else [])
                if p.alias_or_name.lower() == column.name.lower()
            ),
            None,
        )
        return self.never_null(inner.unalias()) if inner is not None else False

    def _may_be_added(self, select: exp.Select, alias: str) -> bool:
        """Whether an outer join can fill this source with NULLs."""
        before = True
        for join in select.args.get("joins") or []:
            side = (join.side or "").upper()
            own = join.this.alias_or_name.lower() == alias
            if (own and side in ("LEFT", "FULL")) or (before and not own and side in ("RIGHT", "FULL")):
                return True
            before = before or own
        return False

    def _equalities(self, join: exp.Join, select: exp.Select) -> Iterator[tuple[Attribute, Attribute]]:
        for test in _conjuncts(join.args.get("on")):
            if (
                isinstance(test, exp.EQ)
                and isinstance(test.this, exp.Column)
                and isinstance(test.expression, exp.Column)
            ):
                left, right = self._attributes(select, test.this), self._attributes(select, test.expression)
                if left and right:
                    yield left[0], right[0]

    def _void_extensions(self, join: exp.Join) -> set[str]:
        """ "L": the left side's rows without partner make no difference; "R": the right side's."""
        select = join.parent
        if not isinstance(select, exp.Select):
            return set()
        right = join.this.alias_or_name.lower()
        lefts = [s.alias for s in self._sources(select) if s.alias != right]
        rejecting = {
            source.alias
            for test in _conjuncts(select.args.get("where"))
            for column in _rejected(test)
            if (source := self._owner(select, column)) is not None
        }
        void = set()
        if right in rejecting or self._always_matches(select, join, from_left=True):
            void.add("L")
        if rejecting & set(lefts) or (len(lefts) == 1 and self._always_matches(select, join, from_left=False)):
            void.add("R")
        return void

    def _always_matches(self, select: exp.Select, join: exp.Join, *, from_left: bool) -> bool:
        """Whether a NOT NULL foreign key guarantees a partner: the condition is that key and nothing else."""
        pairs = list(self._equalities(join, select))
        if not pairs or len(pairs) != len(list(_conjuncts(join.args.get("on")))):
            return False
        by_alias = {s.alias: s for s in self._sources(select)}
        right = join.this.alias_or_name.lower()
        oriented = [(a, b) if (b[0] == right) == from_left else (b, a) for a, b in pairs]  # (referring, referred to)
        child, parent = by_alias.get(oriented[0][0][0]), by_alias.get(oriented[0][1][0])
        if child is None or parent is None or child.table is None or parent.table is None:
            return False
        wanted = {(a[1], b[1]) for a, b in oriented}
        return any(
            key.ref_table.lower() == parent.table.name.lower()
            and {(c.lower(), r.lower()) for c, r in zip(key.columns, key.ref_columns, strict=True)} == wanted
            and all(child.table.is_required(name) for name in key.columns)
            for key in child.table.foreign_keys
        )


def _conjuncts(node: exp.Expr | None) -> Iterator[exp.Expr]:
    """The tests that must all hold; `node` is a condition, or the WHERE that holds one."""
    if node is None:
        return
    node = node.this if isinstance(node, exp.Where) else node
    node = node.unnest()
    if isinstance(node, exp.And):
        yield from _conjuncts(node.left)
        yield from _conjuncts(node.right)
    else:
        yield node


def _rejected(test: exp.Expr) -> Iterator[exp.Column]:
    """Columns for which NULL makes `test` fail."""
    if isinstance(test, exp.Column):  # a bare boolean
        yield test
    elif isinstance(test, exp.Not):
        inner = test.this.unnest()
        if isinstance(inner, exp.Is) and isinstance(inner.expression, exp.Null) and isinstance(inner.this, exp.Column):
            yield inner.this
        elif isinstance(inner, (exp.Column, *_STRICT)):
            yield from _rejected(inner)
    elif isinstance(test, _STRICT):
        parts = [test.this] if isinstance(test, (exp.In, exp.Between)) else [test.this, test.expression]
        yield from (part for part in parts if isinstance(part, exp.Column))


def _is_present(test: exp.Expr, column: exp.Column) -> bool:
    wanted = (column.table.lower(), column.name.lower())
    return any((c.table.lower(), c.name.lower()) == wanted for c in _rejected(test))
