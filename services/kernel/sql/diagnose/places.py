"""Places in a statement: from the engine's byte offsets to characters, and from characters to clauses."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

from services.kernel.sql.guard import Position

_CLAUSES: Final = {
    "SELECT": "SELECT",
    "FROM": "FROM",
    "JOIN": "JOIN",
    "ON": "JOIN",
    "USING": "JOIN",
    "WHERE": "WHERE",
    "GROUP_BY": "GROUP BY",
    "HAVING": "HAVING",
    "QUALIFY": "QUALIFY",
    "ORDER_BY": "ORDER BY",
    "LIMIT": "LIMIT",
    "OFFSET": "LIMIT",
    "WITH": "WITH",
    "OVER": "OVER",
    "WINDOW": "WINDOW",
    "UNION": "UNION",
    "INTERSECT": "INTERSECT",
    "EXCEPT": "EXCEPT",
    "VALUES": "VALUES",
}


def engine_position(sql: str, details: Mapping[str, Any]) -> Position | None:
    """The place in a DuckDB error: ``location`` is "[offset, length]" in bytes of UTF-8, ``position`` an offset."""
    try:
        if "location" in details:
            offset, length = json.loads(details["location"])
        elif "position" in details:
            offset, length = int(details["position"]), 1
        else:
            return None
    except (ValueError, TypeError):
        return None
    encoded = sql.encode("utf-8", "replace")
    start = len(encoded[:offset].decode("utf-8", "ignore"))
    end = len(encoded[: offset + length].decode("utf-8", "ignore"))
    return Position.at(sql, start, max(1, end - start))


def clause_at(sql: str, position: Position | None) -> str | None:
    """The clause that ``position`` lies in, of the innermost query around it; None for text without tokens."""
    if position is None:
        return None
    from sqlglot import Dialect
    from sqlglot.errors import TokenError

    try:
        tokens = Dialect.get_or_raise("duckdb").tokenize(sql)
    except TokenError:
        return None
    enclosing: list[str | None] = []
    current: str | None = None
    for token in tokens:
        if token.start > position.offset:
            break
        kind = token.token_type.name
        if kind == "L_PAREN":
            enclosing.append(current)
        elif kind == "R_PAREN" and enclosing and token.start < position.offset:
            current = enclosing.pop()
        else:
            current = _CLAUSES.get(kind, current)
    return current
