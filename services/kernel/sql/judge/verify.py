"""A second opinion: the counterexample on a fresh DuckDB, with every constraint declared and the optimizer on."""

from __future__ import annotations

import duckdb

from services.kernel.sql.dataset import Dataset
from services.kernel.sql.judge.deadline import Deadline
from services.kernel.sql.judge.engine import Watchdog
from services.kernel.sql.judge.instances import Instance
from services.kernel.sql.judge.pair import Pair, Run
from services.kernel.sql.results import ResultSet
from services.kernel.sql.sandbox.engine import close, connect_locked
from services.kernel.sql.schema import Schema


def verify(pair: Pair, schema: Schema, instance: Instance, deadline: Deadline) -> Run | None:
    """The pair's run on ``instance`` where it differs there too; None when it does not, or a constraint is broken.

    The reference is run both as written and as prepared for ties: the two must tell the same.
    """
    connection = connect_locked()
    watchdog = Watchdog(connection)
    try:
        Dataset(instance).load(connection, schema)
        watchdog.deadline = deadline
        raw = ResultSet.fetch(connection, pair.ordered.sql)
        run = pair.judge_results(raw, ResultSet.fetch(connection, pair.candidate_sql))
        if run.difference is None:
            return None
        same_text = pair.ordered.sql == pair.reference_sql
        as_written = raw if same_text else ResultSet.fetch(connection, pair.reference_sql)
    except duckdb.Error:
        return None
    finally:
        watchdog.close()
        close(connection)
    return run if same_text or pair.judge_results(raw, as_written).difference is None else None
