"""What starts a refresh: a job, and hints that tables have changed."""

from __future__ import annotations

import time
import traceback
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from contracts.alerts import AlertRaised
from contracts.message import json_text
from services.kernel import metrics
from services.kernel.alerts import alert
from services.kernel.database.unit_of_work import Database, UnitOfWork
from services.kernel.errors import PermanentError, QueryCraftError, TransientError
from services.kernel.jobs.context import JobContext, JobFailedError, JobResult
from services.kernel.messaging.backoff import delay
from services.metadata.domain.orders import read_order, targets
from services.metadata.domain.tables import Scope, TableId
from services.metadata.ports import DueHint, Hints, TableGone
from services.metadata.reconcile import RESERVE_SECONDS, Reconciler, Report, Wish
from services.metadata.tally import MODEL, counting

MAX_ATTEMPTS = 8
"""Tries for one hint, over about an hour; after that the scheduled run is what is left."""
_FIRST_DELAY, _LONGEST_DELAY = 15.0, 1_800.0


@dataclass(frozen=True)
class Refreshing:
    """``scope``: all that may be read. ``pass_on``: sends a long job on to a process of its own; None inside one."""

    reconciler: Reconciler
    scope: Scope
    pass_on: Callable[[JobContext], Awaitable[None]] | None = None


async def refresh_metadata(context: JobContext, ports: Refreshing) -> JobResult:
    """A ``metadata_refresh`` job: what it names, or everything.

    Raises:
        JobFailedError: a field is wrong or out of scope, or nothing at all could be refreshed for good.
        TransientError: nothing could be refreshed, and trying again may help.
        JobHandedOver: the job goes on in a process of its own.
    """
    order = read_order(context.job)
    scope = targets(order, ports.scope)
    began = time.monotonic()

    async def progress(step: str, done: int, of: int) -> None:
        await context.step(step, 10 + int(85 * done / max(1, of)))

    wish = Wish(
        scope,
        context.deadline,
        reread=bool(order.tables),
        force=order.force,
        job_id=UUID(context.job.job_id),
    )
    with counting() as calls:
        report = await ports.reconciler.run(wish, progress)
    if report.unfinished and ports.pass_on is not None:
        await ports.pass_on(context)
    seconds = time.monotonic() - began
    result = summary(report, calls, seconds)
    record_run(result["status"], report, seconds)
    _raise_if_nothing(report, result["message"])
    return JobResult(result, _alert_of_failures(report, context) if report.failed else None)


def summary(report: Report, calls: Counter[str], seconds: float) -> dict[str, Any]:
    """``{status, message, execution_time (s), updated, examples_count, columns_count, tables, failures, calls}``.

    ``status``: 'success', 'partial' when some tables failed or were left over, 'failed' when all did.
    """
    looked_at = report.changes.total()
    status = "success"
    if report.failed or report.unfinished:
        status = "partial" if looked_at else "failed"
    message = f"{report.updated} of {looked_at + report.failed} tables updated"
    if report.failed:
        first = next(iter(report.failures.values()))
        message += f", {report.failed} failed, first: {first}"
    if report.unfinished:
        message += f", {report.unfinished} left for the next run: the time was used up"
    return {
        "status": status,
        "message": message,
        "execution_time": round(seconds, 3),
        "updated": report.updated,
        "examples_count": report.examples,
        "columns_count": report.columns,
        "tables": dict(report.changes),
        "failures": {what: {"code": error.code, "message": str(error)} for what, error in report.failures.items()},
        "notes": dict(report.notes.most_common(10)),
        "calls": {
            "bigquery": sum(number for kind, number in calls.items() if kind != MODEL),
            "model": calls[MODEL],
            "by_kind": dict(calls),
        },
    }


def _raise_if_nothing(report: Report, message: str) -> None:
    if report.changes.total() or not (report.failed or report.unfinished):
        return
    errors = list(report.failures.values())
    if report.unfinished or any(isinstance(error, TransientError) for error in errors):
        raise TransientError(message, code=errors[0].code if errors else "out_of_time")
    raise JobFailedError(message, code=errors[0].code)


def record_run(status: str, report: Report, seconds: float) -> None:
    """Count a run, however it was started, by status and error type, with how long it took."""
    kinds = {error.code for error in report.failures.values()} or {"none"}
    for kind in kinds:
        metrics.METADATA_RUNS.add(1, {"status": status, "error_type": kind})
    metrics.METADATA_SECONDS.record(seconds, {"status": status})


def _alert_of_failures(report: Report, context: JobContext) -> Callable[[UnitOfWork], Awaitable[None]]:
    async def tell(unit: UnitOfWork) -> None:
        unit.emit(_alert(report, about=context.job.job_id, user_id=context.job.user_id))

    return tell


def _alert(report: Report, *, about: str, user_id: str = "", project_id: str = "") -> AlertRaised:
    what, first = next(iter(report.failures.items()))
    raised = alert(
        "metadata_refresh_failed",
        source="metadata",
        about=about,
        user_id=user_id,
        message=f"{report.failed} tables could not be refreshed; {what}: {first}",
        stack_trace="".join(traceback.format_exception(first)),
        project_id=project_id,
    )
    details = json_text({"failures": {name: str(error) for name, error in report.failures.items()}})
    return raised.model_copy(update={"details": details})


@dataclass(frozen=True)
class HintWorker:
    """Refreshes tables whose window of hints is over."""

    reconciler: Reconciler
    hints: Hints
    database: Database
    scope: Scope
    window: float
    project_id: str = ""
    batch: int = 100
    budget: float = 300.0

    async def work(self) -> int:
        """Take what is due and refresh it; how many tables that were.

        Raises:
            asyncpg.PostgresError, OSError: the database is out of reach.
        """
        due = await self.hints.take(self.batch, self.budget + RESERVE_SECONDS)
        if not due:
            return 0
        by_table = {hint.table: hint for hint in due}
        began = time.monotonic()
        wish = Wish(Scope(tables=frozenset(by_table)), began + self.budget, reread=True)
        with counting():
            report = await self._report(wish)
        failed = self._failed(by_table, report)
        seconds = time.monotonic() - began
        record_run("success" if not failed else "partial" if len(failed) < len(due) else "failed", report, seconds)
        await self.hints.settle([hint for hint in due if hint.table not in failed], self.window)
        await self._postpone([by_table[table] for table in failed], report)
        return len(due)

    async def _report(self, wish: Wish) -> Report:
        try:
            report = await self.reconciler.run(wish, _silent)
        except QueryCraftError as error:
            report = Report()
            for table in wish.scope.tables:
                report.fail(str(table), error)
            return report
        # Made and dropped before anybody knew of it: nothing to fresh up, and nobody's mistake.
        for name in [name for name, error in report.failures.items() if isinstance(error, TableGone)]:
            del report.failures[name]
            report.failed -= 1
        return report

    @staticmethod
    def _failed(by_table: dict[TableId, DueHint], report: Report) -> set[TableId]:
        """Tables to try again: their own failure, or that of their data set; all, when there are too many to name."""
        if report.unfinished or report.failed > len(report.failures):
            return set(by_table)
        return {table for table in by_table if {str(table), str(table.dataset_id)} & set(report.failures)}

    async def _postpone(self, failed: list[DueHint], report: Report) -> None:
        if not failed:
            return
        reason = str(next(iter(report.failures.values()), "the time was used up"))
        final = all(isinstance(error, PermanentError) for error in report.failures.values())
        for hint in failed:
            if final or hint.attempts >= MAX_ATTEMPTS:
                await self.hints.settle([hint], self.window)
            else:
                await self.hints.postpone(hint, delay(hint.attempts, _FIRST_DELAY, _LONGEST_DELAY), reason)
        if report.failures:
            async with self.database.transaction() as unit:
                unit.emit(_alert(report, about=str(failed[0].table), project_id=self.project_id))


async def _silent(step: str, done: int, of: int) -> None:
    """Nobody follows a refresh that nobody asked for."""
