"""An in-memory DuckDB that holds many instances at once: a query runs on one of them, or on all together.

Loading a batch in one INSERT per table and switching between instances through views costs a third less than loading
each instance by itself; running a query on the whole batch at once costs a small part of that again (see ``batch``).
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING

from services.kernel.sql.dataset import Row, Value, append, bindable, render_literal
from services.kernel.sql.judge.batch import FIRST, SLOT, STOP, BatchQuery, batch_statement, rows_by_slot
from services.kernel.sql.judge.deadline import Deadline
from services.kernel.sql.judge.instances import Instance
from services.kernel.sql.judge.layout import Layout, TableLayout
from services.kernel.sql.results import ResultSet
from services.kernel.sql.sandbox.engine import close, connect_locked
from services.kernel.sql.schema import quote_identifier

if TYPE_CHECKING:
    from types import TracebackType

    from duckdb import Appender, DuckDBPyConnection, Statement

_POLL_SECONDS = 0.05
_MOST_ROWS = 100_000


class TooManyRows(Exception):
    """A batch returned more rows than are worth holding at once."""


class Watchdog:
    """Interrupts a connection's running query when its deadline passes.

    Polls instead of being woken for each query: waking a thread costs more than most queries here.
    """

    def __init__(self, connection: DuckDBPyConnection) -> None:
        self._connection = connection
        self.deadline: Deadline | None = None  # None while no query runs
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="query-watchdog", daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._closed.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._closed.wait(_POLL_SECONDS):
            deadline = self.deadline
            if deadline is not None and deadline.passed:
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
        self._appenders: dict[str, Appender] = {}
        self._filled: list[str] = []  # tables that may hold rows
        self._create()

    def __enter__(self) -> InstanceEngine:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        self._watchdog.close()
        close(self.connection)

    def _create(self) -> None:
        statements = [f"SET VARIABLE {SLOT} = 0"]
        for layout in self._layout.tables:
            statements += self._statements(layout)
        self.connection.execute(";".join(statements))

    def _statements(self, layout: TableLayout) -> list[str]:
        columns = [f"{quote_identifier(c.name)} {c.type}" for c in layout.varied]
        return [
            f"CREATE TABLE {self._names[layout.table.name]} ({', '.join([f'{SLOT} INTEGER', *columns])})",
            f"CREATE VIEW {quote_identifier(layout.table.name)} AS {self._rows_of(layout)}"
            f" WHERE {SLOT} = getvariable('{SLOT}')",
        ]

    def _rows_of(self, layout: TableLayout) -> str:
        """A SELECT of the table's columns from where its instances are stored."""
        shown = []
        for column in layout.table.columns:
            name = quote_identifier(column.name)
            if column in layout.varied:
                shown.append(name)
            else:
                shown.append(f"CAST({render_literal(layout.constant.get(column.name))} AS {column.type}) AS {name}")
        return f"SELECT {', '.join(shown)} FROM {self._names[layout.table.name]} AS qc_r"

    @cached_property
    def _sources(self) -> list[str]:
        """Only the columns that a query may name: without the optimizer each one costs time in every plan."""
        return [
            f"{quote_identifier(layout.table.name)} AS (SELECT"
            f" {', '.join(quote_identifier(column.name) for column in layout.varied) or SLOT}"
            f" FROM {self._names[layout.table.name]} AS qc_r WHERE qc_r.{SLOT} = qc_s.{SLOT})"
            for layout in self._layout.tables
            if layout.table.name in self._layout.read
        ]

    def load(self, instances: Sequence[Instance]) -> set[int]:
        """Replaces what is loaded; instance n goes to slot n. Returns the slots that satisfy every CHECK."""
        statements = [_slots_statement(0, len(instances))]
        statements += [f"TRUNCATE {name}" for name in self._filled]
        self.connection.execute(";".join(statements))
        self._filled = []
        for layout in self._layout.tables:
            rows = [
                (slot, row) for slot, instance in enumerate(instances) for row in instance.get(layout.table.name, ())
            ]
            if rows:
                self._append(layout, rows)
        return set(range(len(instances))) - self._broken_checks()

    def _append(self, layout: TableLayout, rows: Sequence[tuple[int, Row]]) -> None:
        """By an appender: a literal statement costs the engine ten times as much to read."""
        name = self._names[layout.table.name]
        appender = self._appenders.get(name)
        if appender is None:
            appender = self._appenders[name] = self.connection.appender(name)
        self._filled.append(name)
        held = [row for _, row in rows]
        append(appender, [[slot for slot, _ in rows], *(bindable(held, column) for column in layout.varied)])

    def _broken_checks(self) -> set[int]:
        broken: set[int] = set()
        for layout in self._layout.tables:
            varied = {column.name.lower() for column in layout.varied}
            for check in layout.table.checks:
                if _columns_of(check) <= varied:
                    sql = f"SELECT DISTINCT {SLOT} FROM {self._names[layout.table.name]} WHERE NOT ({check})"
                    broken |= {slot for (slot,) in self.connection.execute(sql).fetchall()}
        return broken

    def run(self, sql: str, slot: int, deadline: Deadline) -> ResultSet:
        """Runs ``sql`` on the instance in ``slot``; raises duckdb.Error, an InterruptException past ``deadline``."""
        with self._until(deadline):
            if slot != self._selected:
                self.connection.execute(f"SET VARIABLE {SLOT} = {slot}")
                self._selected = slot
            return ResultSet.fetch(self.connection, self._statement(sql))

    def run_on_all(self, query: BatchQuery, deadline: Deadline) -> dict[int, tuple[tuple[Value, ...], ...]]:
        """The rows of ``query`` by slot, on every instance that is switched on; a slot without rows is not there.

        Raises duckdb.Error when it fails on any of them or cannot be asked of several at once, and TooManyRows.
        """
        with self._until(deadline):
            cursor = self.connection.execute(self._statement(batch_statement(query, self._sources)))
            rows = cursor.fetchmany(_MOST_ROWS)
        if len(rows) == _MOST_ROWS:
            raise TooManyRows
        return rows_by_slot(rows)

    def switch_on(self, first: int, stop: int) -> None:
        """Restricts ``run_on_all`` to the slots from ``first`` up to ``stop`` until the next load."""
        self.connection.execute(_slots_statement(first, stop))

    @contextmanager
    def _until(self, deadline: Deadline) -> Iterator[None]:
        self._watchdog.deadline = deadline
        try:
            yield
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


def _slots_statement(first: int, stop: int) -> str:
    return f"SET VARIABLE {FIRST} = {first}; SET VARIABLE {STOP} = {stop}"


@lru_cache
def _columns_of(check: str) -> frozenset[str]:
    import sqlglot
    from sqlglot import exp

    return frozenset(column.name.lower() for column in sqlglot.parse_one(check, read="duckdb").find_all(exp.Column))
