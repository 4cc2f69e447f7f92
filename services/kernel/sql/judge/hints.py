"""What the text of two queries says about the data that could tell them apart.

Names are resolved loosely (a name may stand for several base columns): a hint that is too wide costs a little search,
one that is missed may cost the verdict.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from typing import TypeAlias

from sqlglot import exp

from services.kernel.sql.judge.moments import moved
from services.kernel.sql.schema import Schema

BaseColumn: TypeAlias = tuple[str, str]  # table ("" for a derived name) and column, as the schema spells them
Constant: TypeAlias = bool | int | Decimal | str | date | datetime

_COMPARISONS = (exp.EQ, exp.NEQ, exp.GT, exp.GTE, exp.LT, exp.LTE, exp.NullSafeEQ, exp.NullSafeNEQ)
_OPERATORS = {
    exp.EQ: "=",
    exp.NullSafeEQ: "=",
    exp.NEQ: "<>",
    exp.NullSafeNEQ: "<>",
    exp.GT: ">",
    exp.GTE: ">=",
    exp.LT: "<",
    exp.LTE: "<=",
}
_FLIPPED = {">": "<", ">=": "<=", "<": ">", "<=": ">="}
_PATTERNS = (exp.Like, exp.ILike, exp.RegexpLike, exp.RegexpFullMatch, exp.SimilarTo, exp.StartsWith, exp.EndsWith)
_POSITIONAL = (exp.Lag, exp.Lead, exp.NthValue, exp.Ntile, exp.WindowSpec, exp.Limit, exp.Offset, exp.Fetch)
_LOGICAL = (exp.Connector, exp.If, exp.Exists, exp.Cast, exp.TryCast)
_TOP_GROUP_SIZES = {6, 8}  # what it takes for the largest of a few groups to stand out in one way of grouping alone
_MAX_SIZE = 24
_MAX_ALIAS_DEPTH = 6


@dataclass(frozen=True, slots=True)
class Mention:
    """A constant met beside a column. ``operator`` is seen from the column; ``bare``: nothing is wrapped round it."""

    value: Constant
    operator: str
    bare: bool


@dataclass
class Hints:
    """``mentions``: constants by base column; ``linked``: pairs of columns compared with each other or stored in one
    another's place; ``sizes``: row counts that matter (LIMIT, HAVING COUNT, frames); ``functions``: classes of the
    functions wrapped round a column, ``cast_to`` the types it is cast to; ``recursive``: a query follows links from row
    to row; ``tables``: base tables read; ``used``: columns whose values can matter.
    """

    mentions: dict[BaseColumn, dict[Mention, None]] = field(default_factory=lambda: defaultdict(dict))
    linked: dict[tuple[BaseColumn, BaseColumn], None] = field(default_factory=dict)
    sizes: set[int] = field(default_factory=set)
    functions: dict[BaseColumn, set[str]] = field(default_factory=lambda: defaultdict(set))
    cast_to: dict[BaseColumn, set[str]] = field(default_factory=lambda: defaultdict(set))
    tables: set[str] = field(default_factory=set)
    used: set[BaseColumn] = field(default_factory=set)
    recursive: bool = False


def read_hints(trees: list[exp.Expr], schema: Schema) -> Hints:
    """Hints of all ``trees`` together: a constant of one query is a boundary for the other."""
    hints = Hints()
    for tree in trees:
        _TreeReader(tree, schema, hints).read()
    return hints


def constant_of(node: exp.Expr | None) -> Constant | None:
    """The Python value of a literal, a signed literal, a cast of one to a date or timestamp, or such a date with an
    interval or a number of days added or taken away; else None."""
    if isinstance(node, exp.Paren):
        return constant_of(node.this)
    if isinstance(node, exp.Neg):
        inner = constant_of(node.this)
        return -inner if isinstance(inner, int | Decimal) else None
    if isinstance(node, exp.Boolean):
        return bool(node.this)
    if isinstance(node, exp.Literal):
        return node.name if node.is_string else _number(node.name)
    if isinstance(node, exp.Cast | exp.TryCast):
        return constant_of(node.this)
    if isinstance(node, exp.Add | exp.Sub):
        return moved(constant_of(node.this), node.expression, -1 if isinstance(node, exp.Sub) else 1)
    return None


def _number(text: str) -> Constant | None:
    try:
        return int(text)
    except ValueError:
        try:
            value = Decimal(text)
        except ArithmeticError:
            return None
        return value if value.is_finite() and abs(value.adjusted()) < 300 else None


class _TreeReader:
    def __init__(self, tree: exp.Expr, schema: Schema, hints: Hints) -> None:
        self._tree, self._schema, self._hints = tree, schema, hints
        self._by_alias: defaultdict[str, set[str]] = defaultdict(set)
        self._derived: set[str] = set()
        self._aliases: defaultdict[str, list[exp.Expr]] = defaultdict(list)
        self._tables: set[str] = set()
        self._resolved: dict[tuple[str, str], frozenset[BaseColumn]] = {}

    def read(self) -> None:
        nodes = list(self._tree.walk())
        ctes = {node.alias.lower() for node in nodes if isinstance(node, exp.CTE)}
        self._derived |= ctes
        for node in nodes:
            self._read_name(node, ctes)
        self._hints.tables |= self._tables
        self._hints.recursive |= any(isinstance(node, exp.With) and node.recursive for node in nodes)
        if any(isinstance(node, exp.Limit | exp.Fetch) for node in nodes) and any(
            isinstance(n, exp.Group) for n in nodes
        ):
            self._hints.sizes |= _TOP_GROUP_SIZES
        star = False
        for node in nodes:
            if isinstance(node, exp.Column):
                star = star or isinstance(node.this, exp.Star)
                self._hints.used |= {base for base in self._resolve(node) if base[0]}
            elif isinstance(node, exp.Star):
                star = star or not isinstance(node.parent, exp.Count)
            elif isinstance(node, exp.Join) and (node.method == "NATURAL" or node.args.get("using")):
                self._read_using(node)
                star = star or node.method == "NATURAL"
            self._read_atom(node)
        if star or any(isinstance(node, exp.Columns) for node in nodes):
            self._hints.used |= {(t, c.name) for t in self._tables for c in self._schema.table(t).columns}

    def _read_name(self, node: exp.Expr, ctes: set[str]) -> None:
        if isinstance(node, exp.Table):
            name = node.name.lower()
            if self._schema.has(name):
                table = self._schema.table(name).name
                self._tables.add(table)
                self._by_alias[node.alias_or_name.lower()].add(table)
            if name in ctes and node.alias:
                self._derived.add(node.alias.lower())
        elif isinstance(node, exp.Subquery) and node.alias:
            self._derived.add(node.alias.lower())
        elif isinstance(node, exp.Alias):
            self._aliases[node.alias.lower()].append(node.this)
        if isinstance(node, exp.CTE | exp.Subquery):
            self._read_column_list(node)

    def _read_column_list(self, node: exp.CTE | exp.Subquery) -> None:
        """Names given as ``t(a, b)`` stand for the projections at their position."""
        alias = node.args.get("alias")
        names = alias.columns if isinstance(alias, exp.TableAlias) else []
        for name, projection in zip(names, _projections(node.this), strict=False):
            self._aliases[name.name.lower()].append(projection)

    def _resolve(self, column: exp.Column) -> frozenset[BaseColumn]:
        return self._expand(column.name.lower(), column.table.lower(), 0)

    def _expand(self, name: str, qualifier: str, depth: int) -> frozenset[BaseColumn]:
        known = self._resolved.get((name, qualifier))
        if known is not None or depth > _MAX_ALIAS_DEPTH:
            return known or frozenset()
        self._resolved[name, qualifier] = frozenset()
        tables = self._by_alias[qualifier] if qualifier and qualifier not in self._derived else set()
        narrowed = bool(tables)
        found = {
            (table, self._schema.table(table).column(name).name)
            for table in sorted(tables or self._tables)
            if self._schema.table(table).has(name)
        }
        if not narrowed or not found:
            for expression in self._aliases[name]:
                for inner in expression.find_all(exp.Column):
                    found |= self._expand(inner.name.lower(), inner.table.lower(), depth + 1)
        # A name without a base column (a counter of a recursive CTE, a COUNT) still carries its constants along links.
        result = frozenset(found or {("", name)})
        self._resolved[name, qualifier] = result
        return result

    def _columns(self, node: exp.Expr | None) -> dict[BaseColumn, bool]:
        """Base columns under ``node`` outside its subqueries -> whether the column stands there bare."""
        found: dict[BaseColumn, bool] = {}
        if node is None:
            return found
        for inner in node.walk(prune=lambda n: isinstance(n, exp.Query)):
            if isinstance(inner, exp.Column):
                bare = inner is node or (isinstance(node, exp.Paren) and inner is node.this)
                for base in self._resolve(inner):
                    found[base] = found.get(base, False) or (bare and inner.name.lower() == base[1].lower())
                self._read_wrappers(inner, node)
        return found

    def _read_wrappers(self, column: exp.Column, top: exp.Expr) -> None:
        node: exp.Expr | None = column.parent
        while node is not None and not isinstance(node, exp.Query):
            if isinstance(node, exp.Func):
                for base in self._resolve(column):
                    self._hints.functions[base].add(type(node).__name__)
            if isinstance(node, exp.Cast | exp.TryCast) and node.this is column:
                for base in self._resolve(column):
                    self._hints.cast_to[base].add(node.to.sql("duckdb").upper())
            if node is top:
                return
            node = node.parent

    def _read_atom(self, node: exp.Expr) -> None:
        if isinstance(node, _COMPARISONS):
            self._read_comparison(node, _OPERATORS[type(node)])
        elif isinstance(node, exp.Between):
            self._pair(node.this, node.args["low"], ">=")
            self._pair(node.this, node.args["high"], "<=")
        elif isinstance(node, exp.In):
            self._read_in(node)
        elif isinstance(node, _PATTERNS):
            self._pair(node.this, node.expression, "like" if isinstance(node, exp.Like | exp.ILike) else "pattern")
        elif isinstance(node, exp.JSONExtract | exp.JSONExtractScalar):
            self._read_path(node)
        elif isinstance(node, exp.Case):
            self._read_case(node)
        elif isinstance(node, exp.SetOperation):
            self._read_set_operation(node)
        elif isinstance(node, exp.Func | exp.Binary | exp.Bracket) and not isinstance(node, _LOGICAL):
            self._read_function(node)
        if isinstance(node, _POSITIONAL):
            self._read_sizes(node)

    def _read_path(self, node: exp.Expr) -> None:
        """The keys that lead to a part of a JSON value, as one text."""
        path = ".".join(str(key.this) for key in node.expression.find_all(exp.JSONPathKey))
        for base in self._columns(node.this):
            self._mention(base, path, "path", bare=True)

    def _read_case(self, node: exp.Case) -> None:
        if node.this is not None:
            for branch in node.args.get("ifs") or []:
                self._pair(node.this, branch.this, "=")

    def _read_comparison(self, node: exp.Expr, operator: str) -> None:
        left, right = node.this, node.expression
        self._pair(left, right, operator)
        self._pair(right, left, _FLIPPED.get(operator, operator))

    def _read_in(self, node: exp.In) -> None:
        for value in node.expressions:
            self._pair(node.this, value, "=")
        query = node.args.get("query")
        if query is not None:
            self._link_query(node.this, query)

    def _pair(self, subject: exp.Expr, other: exp.Expr, operator: str) -> None:
        """Records what comparing ``subject`` with ``other`` says about the columns of ``subject``."""
        if isinstance(subject, exp.Tuple) and isinstance(other, exp.Tuple):
            for left, right in zip(subject.expressions, other.expressions, strict=False):
                self._pair(left, right, operator)
            return
        columns = self._columns(subject)
        whole = constant_of(other)
        for value in [whole] if whole is not None else map(constant_of, _literals(other)):
            if value is None:
                continue
            for base, bare in columns.items():
                self._mention(base, value, operator if whole is not None else "near", bare)
            if isinstance(value, int) and not isinstance(value, bool) and self._counts(subject):
                self._size(value)
        if isinstance(other, exp.Subquery | exp.Any | exp.All):
            self._link_query(subject, other.this)
        for base in columns:
            for partner in self._columns(other):
                self._link(base, partner)

    def _link_query(self, subject: exp.Expr, query: exp.Expr) -> None:
        """``subject`` meets the values that ``query`` returns, position by position."""
        while isinstance(query, exp.Subquery | exp.Paren):
            query = query.this
        subjects = subject.expressions if isinstance(subject, exp.Tuple) else [subject]
        for part, projection in zip(subjects, _projections(query), strict=False):
            for base in self._columns(part):
                for partner in self._columns(projection.unalias()):
                    self._link(base, partner)

    def _read_using(self, join: exp.Join) -> None:
        names = [name.name.lower() for name in join.args.get("using") or []]
        tables = [self._schema.table(name) for name in sorted(self._tables)]
        if not names:
            names = sorted(
                {c.name.lower() for t in tables for c in t.columns if sum(o.has(c.name) for o in tables) > 1}
            )
        for name in names:
            bases = [(table.name, table.column(name).name) for table in tables if table.has(name)]
            self._hints.used.update(bases)
            for base in bases[1:]:
                self._link(bases[0], base)

    def _read_set_operation(self, node: exp.SetOperation) -> None:
        for one, other in zip(_projections(node.left), _projections(node.right), strict=False):
            for base in self._columns(one.unalias()):
                for partner in self._columns(other.unalias()):
                    self._link(base, partner)

    def _read_function(self, node: exp.Expr) -> None:
        """Constants that a function or an arithmetic operator puts beside a column."""
        columns = self._columns(node)
        if not columns:
            return
        for literal in _literals(node):
            value = constant_of(literal)
            if value is not None:
                for base in columns:
                    self._mention(base, value, "near", bare=False)

    def _counts(self, node: exp.Expr, depth: int = 0) -> bool:
        """True when ``node`` counts or numbers rows, directly or under an alias."""
        counting = (exp.Count, exp.CountIf, exp.RowNumber, exp.Rank, exp.DenseRank)
        for inner in node.walk(prune=lambda n: isinstance(n, exp.Query)):
            if isinstance(inner, counting):
                return True
            if isinstance(inner, exp.Column) and depth < _MAX_ALIAS_DEPTH:
                for expression in self._aliases[inner.name.lower()]:
                    if expression is not node and self._counts(expression, depth + 1):
                        return True
        return False

    def _read_sizes(self, node: exp.Expr) -> None:
        for literal in node.find_all(exp.Literal):
            value = _number(literal.name) if not literal.is_string else None
            if isinstance(value, int):
                self._size(value)

    def _size(self, value: int) -> None:
        if 0 <= value <= _MAX_SIZE:
            self._hints.sizes.add(value)

    def _mention(self, base: BaseColumn, value: Constant, operator: str, bare: bool) -> None:
        self._hints.mentions[base][Mention(value, operator, bare)] = None

    def _link(self, one: BaseColumn, other: BaseColumn) -> None:
        if one != other:
            self._hints.linked[(one, other) if one < other else (other, one)] = None


def _projections(query: exp.Expr) -> list[exp.Expr]:
    return list(query.selects) if isinstance(query, exp.Query) else []


def _literals(node: exp.Expr) -> Iterator[exp.Expr]:
    """Literals under ``node`` outside its subqueries, a signed one whole."""
    for inner in node.walk(prune=lambda n: isinstance(n, exp.Query | exp.DataType | exp.Neg)):
        if isinstance(inner, exp.Literal | exp.Boolean | exp.Neg):
            yield inner
