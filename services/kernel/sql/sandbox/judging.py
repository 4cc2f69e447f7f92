"""The task "judge": checks an answer and judges it against the reference."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from services.kernel.sql.dataset import Dataset
from services.kernel.sql.guard import Refused, check
from services.kernel.sql.judge import JudgeRequest, judge
from services.kernel.sql.sandbox.errors import TaskFailed
from services.kernel.sql.sandbox.query import refused
from services.kernel.sql.sandbox.rehearsal import rehearse as rehearse

if TYPE_CHECKING:
    from services.kernel.sql.sandbox.tasks import TaskContext


def run_judge(payload: dict[str, Any], context: TaskContext) -> dict[str, Any]:
    """``payload``: ``JudgeRequest.to_json()``, and optionally "stored": names of data sets to judge on first.

    Returns ``Verdict.to_json()``, its times being those of the whole task. Raises TaskFailed with code "refused" for an
    answer the guard refuses (details as in the task "query"), "unknown_dataset", or "internal" when the reference
    itself may not run.
    """
    wall, cpu = time.monotonic(), time.process_time()
    request = JudgeRequest.from_json(payload)
    stored = tuple(_stored(name, context) for name in payload.get("stored", ()))
    tables = [table.name for table in request.schema.tables]
    try:
        check(request.candidate_sql, "duckdb", tables)
    except Refused as refusal:
        raise refused(refusal) from None
    check(request.reference_sql, "duckdb", tables)
    verdict = judge(replace(request, datasets=(*stored, *request.datasets)))
    elapsed, spent = (time.monotonic() - wall) * 1000, (time.process_time() - cpu) * 1000
    return replace(verdict, elapsed_ms=elapsed, cpu_ms=spent).to_json()


def _stored(name: str, context: TaskContext) -> Dataset:
    found = context.stored.get(name)
    if found is None or found.dataset is None:
        raise TaskFailed("unknown_dataset", f"no data set of rows is stored as {name!r}")
    return found.dataset
