"""The consumer of job requests: slow work outside transactions, its start and its one end inside.

Cancellation, a newer release by intake and a second copy of the same release are all seen in
``job_runs``; the outcome, its effects and the announcing message commit together there.
"""

import asyncio
import logging
import time
import traceback
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal

from opentelemetry.trace import SpanKind

from contracts.jobs import JobCancelled, JobFailed, JobRequested, JobSucceeded
from contracts.manifest import Subscription
from contracts.message import json_text
from services.kernel import telemetry
from services.kernel.alerts import alert
from services.kernel.database.pool import OUTAGE
from services.kernel.database.unit_of_work import Database, UnitOfWork
from services.kernel.errors import PermanentError, TransientError
from services.kernel.jobs import runs
from services.kernel.jobs.context import JobContext, JobHandler, JobResult, JobStopped
from services.kernel.loops import wait
from services.kernel.messaging.backoff import delay
from services.kernel.messaging.broker import Broker, Delivery, Stream
from services.kernel.messaging.consumer import Consumer, Route
from services.kernel.messaging.envelope import MalformedMessage, unseal
from services.kernel.messaging.pulling import pull_until

_logger = logging.getLogger(__name__)

HEARTBEAT_SECONDS = 5.0
HEARTBEAT_TIMEOUT_SECONDS = 20.0
TAKEOVER_PATIENCE_SECONDS = HEARTBEAT_TIMEOUT_SECONDS + 2.0
TAKEOVER_POLL_SECONDS = 1.0
ALIVE_ELSEWHERE = "alive_elsewhere"


@dataclass(frozen=True)
class JobRoute:
    """``handlers``: job type -> handler. ``concurrency``: jobs at once in this process.
    ``time_limit``: seconds a job may take before it fails. ``max_attempts``: tries after
    unexpected or transient errors before the job fails with the last one."""

    subscription: Subscription
    handlers: Mapping[str, JobHandler]
    concurrency: int = 4
    time_limit: float = 540.0
    max_attempts: int = 3


class Worker:
    """Runs job requests until stopped. On stop, running jobs may finish; the rest is handed back."""

    def __init__(self, route: JobRoute, broker: Broker, database: Database, *, project_id: str = "") -> None:
        self.route = route
        self._broker = broker
        self._database = database
        self._project_id = project_id
        self._stopping = asyncio.Event()
        self._running: set[asyncio.Task[None]] = set()
        self._slots = asyncio.Semaphore(route.concurrency)
        # Unreadable requests take the same way as on any other subscription: the dead letters.
        self._morgue = Consumer(Route(route.subscription, _unreachable), broker, database, project_id=project_id)

    async def run(self) -> None:
        """Take jobs as slots fall free, until ``stop``; returns after ``drain``-able tasks are left running."""
        async with self._broker.subscribe(self.route.subscription, capacity=self.route.concurrency) as stream:
            while not self._stopping.is_set():
                await self._slots.acquire()
                self._slots.release()
                try:
                    free = self.route.concurrency - len(self._running)
                    deliveries = await pull_until(self._stopping, stream, max(1, free), 1.0)
                except Exception as error:
                    _logger.warning("worker is waiting out: %s", error, extra={"action": "worker.wait"})
                    await self._pause(1.0)
                    continue
                for delivery in deliveries:
                    await self._slots.acquire()
                    task = asyncio.create_task(self._serve(stream, delivery))
                    self._running.add(task)
                    task.add_done_callback(self._finished)
            await self._drain()

    def stop(self) -> None:
        self._stopping.set()

    def abandon(self) -> list[str]:
        """Cancel what still runs at the end of the drain budget; the names of the abandoned tasks."""
        for task in self._running:
            task.cancel()
        return [task.get_name() for task in self._running]

    async def dispatch(self, delivery: Delivery) -> Literal["ack", "nack"]:
        """Run one pushed job request to its end."""
        async with self._slots:
            return "ack" if await self._handle(delivery) is None else "nack"

    async def redeliver(self, delivery: Delivery) -> bool:
        """Run a replayed dead letter; whether it has had its effect."""
        try:
            unseal(delivery.envelope, JobRequested)
        except MalformedMessage:
            return await self._morgue.redeliver(delivery)
        return await self.dispatch(delivery) == "ack"

    async def _drain(self) -> None:
        if self._running:
            await asyncio.gather(*self._running, return_exceptions=True)

    def _finished(self, task: asyncio.Task[None]) -> None:
        self._running.discard(task)
        self._slots.release()

    async def _serve(self, stream: Stream, delivery: Delivery) -> None:
        try:
            wait = await self._handle(delivery)
            if wait is None:
                await stream.ack([delivery])
            else:
                await stream.nack(delivery, wait)
        except (*OUTAGE, TransientError) as error:
            # Neither acked nor nacked: the lease runs out and the delivery comes again.
            _logger.warning("outcome of a job could not be settled: %s", error, extra={"action": "job.unsettled"})

    async def _handle(self, delivery: Delivery) -> float | None:
        """None when the delivery is done with, else the seconds after which to deliver it again."""
        try:
            job = unseal(delivery.envelope, JobRequested)
        except MalformedMessage:
            await self._morgue.handle([delivery])
            return None
        parent = delivery.envelope.traceparent
        attributes = {"querycraft.job.id": job.job_id, "querycraft.job.type": job.job_type}
        with telemetry.span(f"job {job.job_type}", parent=parent, kind=SpanKind.CONSUMER, attributes=attributes):
            return await self._run(job, delivery.attempt)

    async def _run(self, job: JobRequested, attempt: int) -> float | None:
        token = uuid.uuid4()
        context = JobContext(job, token, self._database, time.monotonic() + self.route.time_limit, attempt)
        claim = await self._claim(context)
        if isinstance(claim, runs.Refused):
            _logger.info("job is not run: %s", claim.reason, extra={"action": "job.not_run", "job_id": job.job_id})
            return HEARTBEAT_TIMEOUT_SECONDS if claim.reason == ALIVE_ELSEWHERE else None
        if attempt > self.route.subscription.max_attempts:
            await self._fail(context, "worker_died", f"the worker died {attempt - 1} times while running this job", "")
            return None
        return await self._attempt(context)

    async def _claim(self, context: JobContext) -> runs.Claimed | runs.Refused:
        """Become the job's run. While another copy seems alive, wait for as long as a dead one keeps that look:
        handing the delivery back again and again would use up its attempts."""
        patience = time.monotonic() + TAKEOVER_PATIENCE_SECONDS
        while True:
            async with self._database.transaction() as unit:
                claim = await runs.claim(unit.connection, context.job, context.token, HEARTBEAT_TIMEOUT_SECONDS)
                if isinstance(claim, runs.Claimed):
                    unit.emit(context.progressed(claim.sequence))
                elif claim.outcome is not None:
                    self._announce(unit, context.job, claim.outcome)
            waiting = isinstance(claim, runs.Refused) and claim.reason == ALIVE_ELSEWHERE
            if not waiting or time.monotonic() > patience or await wait(self._stopping, TAKEOVER_POLL_SECONDS):
                return claim

    async def _attempt(self, context: JobContext) -> float | None:
        job = context.job
        try:
            result = await self._supervised(context)
            await self._succeed(context, result)
        except JobStopped as stopped:
            _logger.info("%s", stopped, extra={"action": "job.stopped", "job_id": job.job_id})
        except asyncio.CancelledError:
            await runs.release(self._database.pool, job.job_id, context.token)
            raise
        except OUTAGE:
            raise
        except PermanentError as error:
            await self._fail(context, error.code, str(error), _trace_of(error))
        except Exception as error:
            if context.attempt >= self.route.max_attempts:
                code = error.code if isinstance(error, TransientError) else "internal"
                await self._fail(context, code, f"{type(error).__name__}: {error}", _trace_of(error), retryable=True)
                return None
            _logger.exception("job will be tried again", extra={"action": "job.retry", "job_id": job.job_id})
            await runs.release(self._database.pool, job.job_id, context.token)
            return delay(context.attempt, self.route.subscription.min_backoff, self.route.subscription.max_backoff)
        return None

    async def _supervised(self, context: JobContext) -> JobResult:
        """Run the handler beside its heartbeat: whichever ends first decides."""
        handler = self.route.handlers.get(context.job.job_type)
        if handler is None:
            raise PermanentError(f"this worker has no handler for {context.job.job_type!r}", code="unknown_job_type")
        work = asyncio.ensure_future(handler(context))
        heartbeat = asyncio.create_task(context.keep_alive(HEARTBEAT_SECONDS))
        try:
            await asyncio.wait({work, heartbeat}, timeout=self.route.time_limit, return_when=asyncio.FIRST_COMPLETED)
            if work.done():
                return work.result()
            if heartbeat.done():
                heartbeat.result()
                raise JobStopped(f"job {context.job.job_id} was cancelled or taken over by another copy")
            raise PermanentError(f"the job took longer than {self.route.time_limit:.0f} s", code="time_limit")
        finally:
            work.cancel()
            heartbeat.cancel()
            await asyncio.gather(work, heartbeat, return_exceptions=True)

    async def _succeed(self, context: JobContext, result: JobResult) -> None:
        outcome = {"status": "succeeded", "result": result.result}
        async with self._database.transaction() as unit:
            if not await runs.finish(unit.connection, context.job.job_id, context.token, outcome):
                raise JobStopped(f"job {context.job.job_id} ended elsewhere; this copy's result is dropped")
            if result.effects is not None:
                await result.effects(unit)
            self._announce(unit, context.job, outcome)

    async def _fail(
        self, context: JobContext, code: str, message: str, stack_trace: str, *, retryable: bool = False
    ) -> None:
        job = context.job
        outcome = {"status": "failed", "code": code, "message": message[:4000], "retryable": retryable}
        async with self._database.transaction() as unit:
            if not await runs.finish(unit.connection, job.job_id, context.token, outcome):
                return
            self._announce(unit, job, outcome)
            unit.emit(
                alert(
                    "job_failed",
                    source=self._database.source,
                    about=job.job_id,
                    user_id=job.user_id,
                    message=message,
                    stack_trace=stack_trace,
                    project_id=self._project_id,
                )
            )
        _logger.error("job failed: %s", message, extra={"action": "job.failed", "job_id": job.job_id, "code": code})

    def _announce(self, unit: UnitOfWork, job: JobRequested, outcome: dict[str, Any]) -> None:
        end: JobSucceeded | JobFailed
        common: dict[str, Any] = {
            "job_id": job.job_id,
            "job_type": job.job_type,
            "user_id": job.user_id,
            "fence": job.fence,
            "finished_at": datetime.now(UTC),
        }
        if outcome["status"] == "succeeded":
            end = JobSucceeded(**common, result=json_text(outcome["result"]))
        else:
            end = JobFailed(
                **common,
                error_code=outcome["code"],
                error_message=outcome["message"],
                retryable=outcome["retryable"],
            )
        unit.emit(end, message_id=f"{job.job_id}:{job.fence}:end")

    async def _pause(self, seconds: float) -> None:
        await wait(self._stopping, seconds)


async def remember_cancellation(message: JobCancelled, unit: UnitOfWork) -> None:
    """Handler of ``job-cancelled`` in every service that runs jobs."""
    await runs.cancel(unit.connection, message)


async def _unreachable(message: Any, unit: UnitOfWork) -> None:
    raise AssertionError("the morgue only ever buries messages that cannot be read")


def _trace_of(error: BaseException) -> str:
    return "".join(traceback.format_exception(error))[-8000:]
