"""A second opinion: the counterexample on another DuckDB, with every constraint declared and the optimizer on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

import duckdb

from services.kernel.sql.dataset import Dataset
from services.kernel.sql.judge.deadline import Deadline
from services.kernel.sql.judge.engine import Watchdog
from services.kernel.sql.judge.instances import Instance
from services.kernel.sql.judge.pair import Pair, Run
from services.kernel.sql.results import ResultSet
from services.kernel.sql.sandbox.engine import close, connect_locked
from services.kernel.sql.schema import Schema

if TYPE_CHECKING:
    from types import TracebackType

    from duckdb import DuckDBPyConnection


class Verifier:
    """Runs a pair on instances of ``schema``, each in a transaction that is rolled back: opening a database anew costs
    more than all of it. Opens nothing before the first."""

    def __init__(self, pair: Pair, schema: Schema) -> None:
        self._pair, self._schema = pair, schema
        self._opened: tuple[DuckDBPyConnection, Watchdog] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._opened is not None:
            connection, watchdog = self._opened
            watchdog.close()
            close(connection)

    def run(self, instance: Instance, deadline: Deadline) -> Run | None:
        """The pair's run on ``instance`` where it differs there too; None when it does not, or a constraint is broken.

        The reference is run both as written and as prepared for ties: the two must tell the same.
        """
        if self._opened is None:
            connection = connect_locked()
            self._opened = connection, Watchdog(connection)
        connection, watchdog = self._opened
        connection.begin()
        try:
            Dataset(instance).load(connection, self._schema)
            watchdog.deadline = deadline
            return self._differing(connection)
        except duckdb.Error:
            return None
        finally:
            watchdog.deadline = None
            connection.rollback()

    def _differing(self, connection: DuckDBPyConnection) -> Run | None:
        pair = self._pair
        raw = ResultSet.fetch(connection, pair.ordered.sql)
        run = pair.judge_results(raw, ResultSet.fetch(connection, pair.candidate_sql))
        if run.difference is None:
            return None
        if not pair.prepared:
            return run
        as_written = ResultSet.fetch(connection, pair.reference_sql)
        return run if pair.judge_results(raw, as_written).difference is None else None
