"""An in-memory DuckDB that holds many instances at once, each selected by setting a variable.

Loading a batch in one INSERT per table and switching between instances through views costs a third less than loading
each instance by itself.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from functools import lru_cache
from typing import TYPE_CHECKING

from services.kernel.sql.dataset import render_literal
from services.kernel.sql.judge.instances import Instance
from services.kernel.sql.judge.layout import Layout, TableLayout
from services.kernel.sql.results import ResultSet
from services.kernel.sql.sandbox.engine import connect_locked
from services.kernel.sql.schema import quote_identifier

if TYPE_CHECKING:
    from types import TracebackType

    from duckdb import DuckDBPyConnection, Statement

_SLOT = "qc_slot"
_POLL_SECONDS = 0.05


class Watchdog:
    """Interrupts a connection's running query when its deadline passes.

    Polls instead of being woken for each query: waking a thread costs more than most queries here.
    """

    def __init__(self, connection: DuckDBPyConnection) -> None:
        self._connection = connection
        self.deadline: float | None = None  # time.monotonic() seconds; None while no query runs
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="query-watchdog", daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._closed.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._closed.wait(_POLL_SECONDS):
            deadline = self.deadline
            if deadline is not None and time.monotonic() >= deadline:
                self._connection.interrupt()


class InstanceEngine:
    """Runs queries on the instances of one layout. Not thread-safe."""

    def __init__(self, layout: Layout) -> None:
        self._layout = layout
        self._names = {t.table.name: f"qc_rows_{index}" for index, t in enumerate(layout.tables)}
        self.connection = connect_locked(optimize=False)
        self._watchdog = Watchdog(self.connection)
        self._selected: int | None = None
        self._parsed: dict[str, Statement] = {}
        self._create()

    def __enter__(self) -> InstanceEngine:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        self._watchdog.close()
        self.connection.close()

    def _create(self) -> None:
        statements = [f"SET VARIABLE {_SLOT} = 0"]
        laid_out = {layout.table.name: layout for layout in self._layout.tables}
        for table in self._layout.schema.tables:
            layout = laid_out.get(table.name)
            if layout is None:
                columns = [f"{quote_identifier(c.name)} {c.type}" for c in table.columns]
                statements.append(f"CREATE TABLE {quote_identifier(table.name)} ({', '.join(columns)})")
            else:
                statements += self._statements(layout)
        self.connection.execute(";".join(statements))

    def _statements(self, layout: TableLayout) -> list[str]:
        stored = self._names[layout.table.name]
        columns = [f"{quote_identifier(c.name)} {c.type}" for c in layout.varied]
        shown = []
        for column in layout.table.columns:
            name = quote_identifier(column.name)
            if column in layout.varied:
                shown.append(name)
            else:
                shown.append(f"CAST({render_literal(layout.constant.get(column.name))} AS {column.type}) AS {name}")
        return [
            f"CREATE TABLE {stored} ({', '.join([f'{_SLOT} INTEGER', *columns])})",
            f"CREATE VIEW {quote_identifier(layout.table.name)} AS SELECT {', '.join(shown)} FROM {stored}"
            f" WHERE {_SLOT} = getvariable('{_SLOT}')",
        ]

    def load(self, instances: Sequence[Instance]) -> set[int]:
        """Replaces what is loaded; instance n goes to slot n. Returns the slots that satisfy every CHECK."""
        statements = []
        for layout in self._layout.tables:
            stored = self._names[layout.table.name]
            statements.append(f"TRUNCATE {stored}")
            rows = [
                f"({slot}{''.join(', ' + render_literal(row.get(c.name)) for c in layout.varied)})"
                for slot, instance in enumerate(instances)
                for row in instance.get(layout.table.name, ())
            ]
            if rows:
                statements.append(f"INSERT INTO {stored} VALUES {', '.join(rows)}")
        self.connection.execute(";".join(statements))
        return set(range(len(instances))) - self._broken_checks()

    def _broken_checks(self) -> set[int]:
        broken: set[int] = set()
        for layout in self._layout.tables:
            varied = {column.name.lower() for column in layout.varied}
            for check in layout.table.checks:
                if _columns_of(check) <= varied:
                    sql = f"SELECT DISTINCT {_SLOT} FROM {self._names[layout.table.name]} WHERE NOT ({check})"
                    broken |= {slot for (slot,) in self.connection.execute(sql).fetchall()}
        return broken

    def run(self, sql: str, slot: int, deadline: float) -> ResultSet:
        """Runs ``sql`` on the instance in ``slot``; raises duckdb.Error, an InterruptException past ``deadline``."""
        self._watchdog.deadline = deadline
        try:
            if slot != self._selected:
                self.connection.execute(f"SET VARIABLE {_SLOT} = {slot}")
                self._selected = slot
            return ResultSet.fetch(self.connection, self._statement(sql))
        finally:
            self._watchdog.deadline = None

    def _statement(self, sql: str) -> Statement | str:
        """``sql`` parsed, once for all instances; as it is where it is not one statement."""
        parsed = self._parsed.get(sql)
        if parsed is None:
            statements = self.connection.extract_statements(sql)
            if len(statements) != 1:
                return sql
            self._parsed[sql] = parsed = statements[0]
        return parsed


@lru_cache
def _columns_of(check: str) -> frozenset[str]:
    import sqlglot
    from sqlglot import exp

    return frozenset(column.name.lower() for column in sqlglot.parse_one(check, read="duckdb").find_all(exp.Column))
