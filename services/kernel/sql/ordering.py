"""The reference's own row order: which rows its outermost ORDER BY leaves tied, and where its LIMIT cuts."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from sqlglot import exp

from services.kernel.sql.compare import TieGroup
from services.kernel.sql.dataset import Value
from services.kernel.sql.matching import canonical, close
from services.kernel.sql.results import ResultSet

_KEY_PREFIX = "qc_order_key_"
_NOISE = 1e-9


@dataclass(frozen=True)
class OrderedReference:
    """How to run a reference so that ties and the rows beyond its LIMIT are seen.

    ``sql``: the reference with its order keys appended as hidden columns and its outermost LIMIT and OFFSET removed.
    ``keys``: per order key the index of its column, negative ones counting the hidden columns from the end.
    ``orders``: whether the reference states an order at all. ``directions``: per order key, as ORDER BY writes it.
    """

    sql: str
    keys: tuple[int, ...]
    hidden: int
    limit: int | None
    offset: int
    orders: bool
    directions: tuple[str, ...] = ()

    def sort_keys(self, width: int) -> tuple[tuple[int, str], ...]:
        """For a result ``width`` columns wide, hidden ones included: its order keys' indexes and directions."""
        return tuple((key % width, direction) for key, direction in zip(self.keys, self.directions, strict=True))

    def interpret(self, result: ResultSet) -> tuple[ResultSet, list[TieGroup] | None]:
        """The rows that the reference returns, and its tie groups (None when any order will do and nothing is cut)."""
        width = len(result.columns) - self.hidden
        if not self.orders and self.limit is None and not self.offset:
            return result, None
        visible = ResultSet(result.columns[:width], result.types[:width], self.visible(result.rows))
        return visible, self._groups(result.rows, width, self._window(result.rows))

    def visible(self, rows: Sequence[tuple[Value, ...]]) -> tuple[tuple[Value, ...], ...]:
        """What the query itself would return of ``rows``, as ``sql`` returns them."""
        return tuple(row[: len(row) - self.hidden] for row in rows[self._window(rows)])

    def _window(self, rows: Sequence[tuple[Value, ...]]) -> slice:
        return slice(self.offset, len(rows) if self.limit is None else self.offset + self.limit)

    def _groups(self, rows: Sequence[tuple[Value, ...]], width: int, window: slice) -> list[TieGroup]:
        groups, start = [], 0
        for members in self._tied(rows):
            end = start + len(members)
            take = min(end, window.stop) - max(start, window.start)
            if take > 0:
                groups.append(TieGroup(tuple(row[:width] for row in members), take))
            start = end
        return groups

    def _tied(self, rows: Sequence[tuple[Value, ...]], depth: int = 0) -> Iterator[list[tuple[Value, ...]]]:
        """Runs of rows with equal keys.

        Where floats of one key differ by the noise of their last digits, the keys after it settle nothing.
        """
        if depth == len(self.keys):
            if rows:
                yield list(rows)
            return
        index = self.keys[depth]
        for run in _runs(rows, index):
            exact = all(canonical(row[index]) == canonical(run[0][index]) for row in run)
            if exact:
                yield from self._tied(run, depth + 1)
            else:
                yield run


def _runs(rows: Sequence[tuple[Value, ...]], index: int) -> Iterator[list[tuple[Value, ...]]]:
    """Splits ``rows`` where the value at ``index`` is no longer close to the one before."""
    run: list[tuple[Value, ...]] = []
    for row in rows:
        if run and not close(run[-1][index], row[index], _NOISE):
            yield run
            run = []
        run.append(row)
    if run:
        yield run


def read_reference(plain: str, tree: exp.Expr) -> OrderedReference:
    """Prepares a reference query from its text and tree; the text stays where an order key cannot be made visible."""
    query = tree.copy()
    while isinstance(query, exp.Subquery) and not query.args.get("order") and not query.args.get("limit"):
        query = query.this
    if not isinstance(query, exp.Select | exp.SetOperation):
        return OrderedReference(plain, (), 0, None, 0, orders=False)
    order = query.args.get("order")
    limit, offset = _bounds(query)
    if order is None:
        return _without_order(query, plain, limit, offset)
    placed = _place_keys(query, order)
    if placed is None:
        return OrderedReference(plain, (), 0, None, 0, orders=False)
    keys, hidden = placed
    directions = tuple(_direction(ordered) for ordered in order.expressions)
    if len(directions) < len(keys):
        directions *= len(keys)
    if limit is not None or offset:
        if not isinstance(limit, int | None) or not isinstance(offset, int):
            return OrderedReference(query.sql("duckdb"), keys, hidden, None, 0, True, directions)
        query.set("limit", None)
        query.set("offset", None)
    return OrderedReference(query.sql("duckdb"), keys, hidden, limit, offset or 0, True, directions)


def _direction(ordered: exp.Expr) -> str:
    first = "FIRST" if ordered.args.get("nulls_first") else "LAST"
    return f"{'DESC' if ordered.args.get('desc') else 'ASC'} NULLS {first}"


def _without_order(query: exp.Query, plain: str, limit: int | str | None, offset: int | str) -> OrderedReference:
    """LIMIT without ORDER BY: any rows of the whole result may be the ones returned."""
    if (limit is None and not offset) or not isinstance(limit, int | None) or not isinstance(offset, int):
        return OrderedReference(plain, (), 0, None, 0, orders=False)
    query.set("limit", None)
    query.set("offset", None)
    return OrderedReference(query.sql("duckdb"), (), 0, limit, offset, orders=False)


def _bounds(query: exp.Query) -> tuple[int | str | None, int | str]:
    """LIMIT and OFFSET as integers; as text when they are expressions, percentages or WITH TIES."""
    limit, offset = query.args.get("limit"), query.args.get("offset")
    return (None if limit is None else _bound(limit)), (0 if offset is None else _bound(offset))


def _bound(node: exp.Expr) -> int | str:
    value = node.args.get("count") if isinstance(node, exp.Fetch) else node.expression
    plain = isinstance(value, exp.Literal) and not value.is_string and value.name.isdigit()
    if not plain or node.args.get("limit_options") is not None:
        return node.sql("duckdb")
    return int(value.name) if isinstance(value, exp.Literal) else node.sql("duckdb")


def _place_keys(query: exp.Query, order: exp.Expr) -> tuple[tuple[int, ...], int] | None:
    """Finds each order key among the output columns or appends it as a hidden one; None when neither is possible."""
    outputs = query.selects
    if any(_is_all(ordered.this) for ordered in order.expressions):
        # ORDER BY ALL: every output column, from left to right.
        starred = any(output.is_star for output in outputs)
        return None if starred or len(order.expressions) > 1 else (tuple(range(len(outputs))), 0)
    positions: list[int | exp.Expr] = []
    for ordered in order.expressions:
        place = _output_index(ordered.this, outputs)
        positions.append(ordered.this if place is None else place)
    extra = [position for position in positions if not isinstance(position, int)]
    if extra and (not isinstance(query, exp.Select) or query.args.get("distinct")):
        return None
    keys, seen = [], 0
    for position in positions:
        if isinstance(position, int):
            keys.append(position)
            continue
        query.select(exp.alias_(position.copy(), f"{_KEY_PREFIX}{seen}"), copy=False)
        keys.append(seen - len(extra))
        seen += 1
    return tuple(keys), len(extra)


def _is_all(key: exp.Expr) -> bool:
    return isinstance(key, exp.Var) and key.name.upper() == "ALL"


def _output_index(key: exp.Expr, outputs: Sequence[exp.Expr]) -> int | None:
    """The output column that ``key`` names by ordinal, alias or identical expression."""
    if isinstance(key, exp.Literal) and not key.is_string:
        return int(key.name) - 1
    starred = any(isinstance(output, exp.Star) or output.is_star for output in outputs)
    for index, output in enumerate(outputs):
        if starred and any(other.is_star for other in outputs[:index]):
            return None
        named = isinstance(key, exp.Column) and not key.table and output.alias_or_name.lower() == key.name.lower()
        if (named and not output.is_star) or output.unalias() == key:
            return index
    return None
