"""Parses one statement and walks its tree against the allowlist."""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

from services.kernel.sql.guard import allowlist
from services.kernel.sql.guard.refusal import Position, Refused
from services.kernel.sql.guard.text import MAX_CHAIN, check_text, check_tokens

if TYPE_CHECKING:
    from sqlglot import exp
    from sqlglot.errors import ParseError, TokenError

Dialect = Literal["duckdb", "bigquery"]

# sqlglot warns on its logger when it meets a statement it keeps as raw text; the guard refuses that anyway.
_SQLGLOT_LOGGER: Final = logging.getLogger("sqlglot")


@dataclass(frozen=True, slots=True)
class CheckedQuery:
    """A statement that passed: its text as written, its dialect, its tree, and the tables it names (lower case)."""

    sql: str
    dialect: Dialect
    tree: exp.Expr
    tables: frozenset[str]


def check(sql: str, dialect: Dialect = "duckdb", tables: Collection[str] | None = None) -> CheckedQuery:
    """Accepts ``sql`` as one read-only query or raises Refused.

    ``tables``: the names that may be read (``name`` or dotted, any case); None allows any ordinary table name.
    The work is bounded by the caps of ``guard.text``, but a caller that has a sandbox checks inside it.
    """
    check_text(sql)
    tree = _parse(sql, dialect)
    if type(tree).__name__ not in allowlist.ROOTS:
        raise Refused("not_read_only", subject=_name_of(tree), position=_position(sql, tree))
    named: set[str] = set()
    scope = _Scope(tree, dialect, None if tables is None else frozenset(name.lower() for name in tables))
    for node in _walk(tree):
        _check_node(sql, node)
        if type(node).__name__ == "Table":
            name = scope.check_table(sql, node)
            if name is not None:
                named.add(name)
    return CheckedQuery(sql, dialect, tree, frozenset(named))


def _parse(sql: str, dialect: Dialect) -> exp.Expr:
    from sqlglot import Dialect as SqlglotDialect
    from sqlglot.errors import ParseError, TokenError

    reader = SqlglotDialect.get_or_raise(dialect)
    disabled, _SQLGLOT_LOGGER.disabled = _SQLGLOT_LOGGER.disabled, True
    try:
        tokens = reader.tokenize(sql)
        check_tokens(sql, tokens)
        parsed = reader.parser().parse(tokens, sql)
    except (ParseError, TokenError) as error:
        raise _syntax(sql, error) from None
    except RecursionError:
        raise Refused("too_deep") from None
    finally:
        _SQLGLOT_LOGGER.disabled = disabled
    statements = [statement for statement in parsed if statement is not None and not _is_semicolon(statement)]
    if not statements:
        raise Refused("empty")
    if len(statements) > 1:
        raise Refused("multiple_statements", position=_position(sql, statements[1]))
    return statements[0]


def _is_semicolon(statement: exp.Expr) -> bool:
    """sqlglot keeps a trailing semicolon that carries comments as a statement of its own."""
    return type(statement).__name__ == "Semicolon"


def _syntax(sql: str, error: ParseError | TokenError) -> Refused:
    from sqlglot.errors import ParseError

    if not isinstance(error, ParseError) or not error.errors:
        return Refused("syntax", detail=str(error))
    first = error.errors[0]
    highlight = str(first.get("highlight") or "")
    before = len(str(first.get("start_context") or ""))
    # sqlglot reports the last column of the offending token; the context it keeps locates the first.
    offset = _offset(sql, int(first.get("line") or 1), int(first.get("col") or 1)) - max(0, len(highlight))
    if highlight and not sql.startswith(highlight, offset):
        offset = sql.find(highlight, before) if sql.find(highlight, before) >= 0 else offset
    return Refused(
        "syntax",
        subject=highlight,
        position=Position.at(sql, offset, len(highlight)),
        detail=str(first.get("description") or ""),
    )


def _offset(sql: str, line: int, column: int) -> int:
    start = 0
    for _ in range(line - 1):
        start = sql.find("\n", start) + 1
    return start + column


def _walk(tree: exp.Expr) -> Iterator[exp.Expr]:
    """Every node, breadth first: the walk keeps a queue, so a left-deep chain costs no recursion."""
    depth_of = {id(tree): 0}
    for node in tree.bfs():
        parent = node.parent
        depth = depth_of[id(parent)] + 1 if parent is not None and node is not tree else 0
        if depth > MAX_CHAIN:
            raise Refused("too_deep")
        depth_of[id(node)] = depth
        yield node


def _check_node(sql: str, node: exp.Expr) -> None:
    kind = type(node).__name__
    if kind in allowlist.NODES or kind in allowlist.FUNCTIONS:
        return
    if kind in {"Anonymous", "AnonymousAggFunc"}:
        name = node.name.lower()
        if name not in allowlist.NAMED_FUNCTIONS:
            raise Refused("function", subject=node.name, position=_position(sql, node))
        return
    if kind in {"Placeholder", "Parameter", "SessionParameter"}:
        raise Refused("parameter", subject=node.sql(), position=_position(sql, node))
    if kind in allowlist.WRITES:
        raise Refused("not_read_only", subject=kind.upper(), position=_position(sql, node))
    if _is_function(node):
        raise Refused("function", subject=_name_of(node), position=_position(sql, node))
    raise Refused("construct", subject=_name_of(node), position=_position(sql, node))


def _is_function(node: exp.Expr) -> bool:
    from sqlglot import exp

    return isinstance(node, exp.Func)


def _name_of(node: exp.Expr) -> str:
    from sqlglot import exp

    if isinstance(node, exp.Func):
        return node.sql_name()
    if isinstance(node, exp.Command):
        return str(node.this)
    return type(node).__name__


def _position(sql: str, node: exp.Expr) -> Position | None:
    """Where ``node`` begins: its own token when the parser kept one, else the first of its descendants."""
    best: tuple[int, int] | None = None
    for part in node.bfs():
        start, end = part.meta.get("start"), part.meta.get("end")
        if isinstance(start, int) and isinstance(end, int) and (best is None or start < best[0]):
            best = (start, end - start + 1)
            if part is node:
                break
    return Position.at(sql, *best) if best else None


class _Scope:
    """Which table names the statement may read."""

    def __init__(self, tree: exp.Expr, dialect: Dialect, allowed: frozenset[str] | None) -> None:
        from sqlglot import exp

        self._dialect = dialect
        self._allowed = None if allowed is None else [name.split(".") for name in allowed]
        self._defined = {cte.alias.lower() for cte in tree.find_all(exp.CTE)}
        self._sources = {source.alias_or_name.lower() for source in tree.find_all(exp.Table, exp.Subquery, exp.Unnest)}

    def check_table(self, sql: str, table: exp.Expr) -> str | None:
        """The table's dotted name in lower case, or None for a CTE, a table function or a correlated array."""
        from sqlglot import exp

        if isinstance(table.this, exp.Func):
            self._check_table_function(sql, table.this)
            return None
        parts = [part.name for part in table.parts] if isinstance(table, exp.Table) else []
        # BigQuery's quoted path, and INFORMATION_SCHEMA's views, arrive as one name with dots in it.
        dotted = parts if self._dialect == "duckdb" else ".".join(parts).split(".")
        lowered = [part.lower() for part in dotted]
        name = ".".join(parts)
        where = _position(sql, table)
        if not parts or not all(parts) or (self._dialect == "duckdb" and allowlist.looks_external(parts)):
            raise Refused("external_source", subject=name, position=where)
        if allowlist.is_system_table(lowered):
            raise Refused("system_table", subject=name, position=where)
        if len(lowered) == 1 and lowered[0] in self._defined:
            return None
        if self._dialect == "bigquery" and len(lowered) > 1 and lowered[0] in self._sources:
            return None
        if self._allowed is not None and not self._is_allowed(lowered):
            raise Refused("unknown_table", subject=name, position=where)
        return ".".join(lowered)

    def _is_allowed(self, parts: list[str]) -> bool:
        bare = parts[1:] if len(parts) == 2 and parts[0] == "main" else parts
        return any(allowed[-len(bare) :] == bare for allowed in self._allowed or ())

    @staticmethod
    def _check_table_function(sql: str, function: exp.Func) -> None:
        kind = type(function).__name__
        name = function.name.lower() if kind == "Anonymous" else kind
        if name not in allowlist.TABLE_FUNCTIONS:
            raise Refused("function", subject=_name_of(function), position=_position(sql, function))
