"""DuckDB with everything shut that is not reading and computing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import duckdb

_CONFIG: Final[dict[str, str | bool | int | float | list[str]]] = {
    # One thread and no I/O threads: the process may then be forked, and a query costs one core at most.
    "threads": 1,
    "async_threads": 0,
    "temp_directory": "",
    "autoload_known_extensions": False,
    "autoinstall_known_extensions": False,
    "allow_community_extensions": False,
    # Structured errors: the place of a mistake comes as an offset, not as a drawing.
    "errors_as_json": True,
    # The address-space limit is what holds memory; this only lets DuckDB fail with a message first.
    "memory_limit": "512MB",
}


# Connections that nobody closes; None where ``close`` does.
_left_open: list[duckdb.DuckDBPyConnection] | None = None
_prepared: dict[bool, list[duckdb.DuckDBPyConnection]] = {True: [], False: []}


def connect() -> duckdb.DuckDBPyConnection:
    """A fresh in-memory database that can still be filled from trusted files; ``lock`` it before hostile SQL."""
    import duckdb

    connection = duckdb.connect(":memory:", config=_CONFIG)
    connection.execute("SET python_enable_replacements = false")
    connection.execute("SET TimeZone = 'UTC'")
    return connection


def lock(connection: duckdb.DuckDBPyConnection) -> None:
    """No file, no network, no further setting, for good."""
    connection.execute("SET enable_external_access = false")
    connection.execute("SET lock_configuration = true")


def connect_locked(*, optimize: bool = True) -> duckdb.DuckDBPyConnection:
    """A fresh locked in-memory database; tables may still be created and filled by statements.

    In a worker the first ones were opened before it was forked, which saves it some 10 ms each. ``optimize``: on a
    handful of rows optimising a query costs more than it saves, and a locked database cannot change its mind.
    """
    ready = _prepared[optimize]
    return ready.pop() if ready else _open_locked(optimize=optimize)


def close(connection: duckdb.DuckDBPyConnection) -> None:
    """Closes a database that is no longer needed, unless this process ends soon (see ``leave_open``)."""
    if _left_open is None:
        connection.close()
    else:
        _left_open.append(connection)


def leave_open() -> None:
    """For a process that ends after its task: the kernel frees its memory in a small part of the 3 ms that closing a
    database takes."""
    global _left_open
    _left_open = []


def prepare() -> None:
    """Opens databases ahead, for the workers forked later: each takes from its own copy.

    One of each kind: a judgement searches in one that does not optimise and verifies what it found in one that does.
    """
    for optimize, ready in _prepared.items():
        if not ready:
            ready.append(_open_locked(optimize=optimize))


def _open_locked(*, optimize: bool) -> duckdb.DuckDBPyConnection:
    connection = connect()
    if not optimize:
        connection.execute("PRAGMA disable_optimizer")
    lock(connection)
    return connection
