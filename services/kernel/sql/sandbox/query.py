"""The task "query": checks one query and runs it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from services.kernel.sql.guard import Position, Refused, check
from services.kernel.sql.results import ResultSet
from services.kernel.sql.sandbox import engine
from services.kernel.sql.sandbox.errors import LimitExceeded, TaskFailed
from services.kernel.sql.sandbox.stored import fill

if TYPE_CHECKING:
    import duckdb

    from services.kernel.sql.sandbox.tasks import TaskContext


def run_query(payload: dict[str, Any], context: TaskContext) -> dict[str, Any]:
    """``payload``: {"sql", "source": {"stored": name} or {"ddl": [...], "rows": {table: [...]}}}.

    Only the source's tables may be read. Returns ``ResultSet.to_json()``. Raises TaskFailed with code "refused"
    (details: code, subject, position), "database" (details: DuckDB's structured error, see ``diagnose``), "bad_rows" or
    "unknown_dataset"; LimitExceeded("rows") when the result has more rows than the limit.
    """
    connection, tables = _open(payload["source"], context)
    sql = payload["sql"]
    try:
        checked = check(sql, "duckdb", tables)
        _check_engine_agrees(connection, sql, checked.tree.key)
        result = ResultSet.fetch(connection, sql, context.limits.result_rows)
    except Refused as refusal:
        raise (_syntax_error(connection, sql, refusal) if refusal.code == "syntax" else refused(refusal)) from None
    except engine_error() as error:
        raise database_failure(error) from None
    if result.truncated:
        raise LimitExceeded("rows", f"the result has more than {context.limits.result_rows:,} rows")
    return result.to_json()


def refused(refusal: Refused) -> TaskFailed:
    """A guard's refusal in the form that crosses to the service."""
    position = refusal.position
    details = {
        "code": refusal.code,
        "subject": refusal.subject,
        "detail": refusal.detail,
        "position": None if position is None else [position.offset, position.length],
    }
    return TaskFailed("refused", str(refusal), details)


def database_failure(error: Exception) -> TaskFailed | LimitExceeded:
    """An engine's error in the form that crosses to the service: {"exception_type", "exception_message", ...}.

    Running out of memory is the limit's doing, not the statement's: LimitExceeded.
    """
    text = str(error)
    if type(error).__name__ == "OutOfMemoryException":
        return LimitExceeded("memory")
    try:
        details = json.loads(text[text.index("{") :])
    except ValueError:
        details = {"exception_type": type(error).__name__.removesuffix("Exception"), "exception_message": text}
    return TaskFailed("database", str(details.get("exception_message", text)), details)


def _syntax_error(connection: duckdb.DuckDBPyConnection, sql: str, refusal: Refused) -> TaskFailed | LimitExceeded:
    """What the engine's own parser says of a text the guard cannot parse: learners get the real message and place.

    Parsing is all it is asked to do. A text that only the engine understands stays refused.
    """
    try:
        connection.extract_statements(sql)
    except engine_error() as error:
        return database_failure(error)
    return refused(refusal)


def engine_error() -> type[Exception]:
    """DuckDB's root error, looked up where it is needed: importing duckdb is for workers."""
    import duckdb

    return duckdb.Error


def _open(source: dict[str, Any], context: TaskContext) -> tuple[duckdb.DuckDBPyConnection, list[str]]:
    if "stored" in source:
        stored = context.stored.get(source["stored"])
        if stored is None:
            raise TaskFailed("unknown_dataset", f"no data set is stored as {source['stored']!r}")
        return stored.connection, list(stored.tables)
    connection = engine.connect_locked()
    try:
        return connection, fill(connection, source)
    except (engine_error(), ValueError) as error:
        raise TaskFailed("bad_rows", f"rows: they do not fit the tables: {error}") from None


def _check_engine_agrees(connection: duckdb.DuckDBPyConnection, sql: str, tree_key: str) -> None:
    """The engine must see one reading statement too: two parsers disagreeing on a text is a way around the guard."""
    import duckdb

    expected = {duckdb.StatementType.SELECT}
    if tree_key == "pivot":
        expected.add(duckdb.StatementType.MULTI)
    statements = connection.extract_statements(sql)
    if len(statements) != 1:
        raise Refused("multiple_statements", position=Position.at(sql, 0))
    if statements[0].type not in expected:
        raise Refused("not_read_only", position=Position.at(sql, 0))
