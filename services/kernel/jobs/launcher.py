"""Jobs longer than a push's ten minutes: handed to a process of their own.

The worker that took the message launches the process, lets go of its run and acknowledges; the
process claims the run from ``job_runs`` and goes on with the same ``Worker`` code. A launch that
happens twice (the worker died before its ack) is harmless: one process gets the run, the other
finds it taken. A process that dies stops its heartbeat, and intake releases the job anew.
"""

import asyncio
import json
import logging
import os
import signal
import sys
import uuid
from collections.abc import Mapping
from typing import TYPE_CHECKING, Protocol

from contracts.jobs import JobRequested
from services.kernel import telemetry
from services.kernel.database.unit_of_work import Database
from services.kernel.errors import PermanentError, TransientError
from services.kernel.jobs import runs
from services.kernel.jobs.context import JobContext, JobStopped
from services.kernel.jobs.worker import Worker
from services.kernel.messaging.backoff import delay
from services.kernel.messaging.broker import Delivery
from services.kernel.messaging.envelope import seal
from services.kernel.messaging.outbox import Relay

if TYPE_CHECKING:
    from google.cloud.run_v2 import JobsAsyncClient

    from services.kernel.runtime import Service

_logger = logging.getLogger(__name__)

RUN_JOB = "run-job"
"""The argument of a service's ``main`` that runs one job instead of the service; the job's id follows."""
TRACEPARENT = "TRACEPARENT"
"""Carries the trace into the process. Source: OpenTelemetry, environment variables as context propagation carriers."""
LAUNCH_TIMEOUT_SECONDS = 30.0


class Launcher(Protocol):
    async def launch(self, service: str, job_id: str) -> None:
        """Start ``run-job <job_id>`` of ``service``; returns once the start is certain, not the end.

        Raises:
            TransientError: it may work later. PermanentError: the launcher is not set up for this service.
        """
        ...


class JobHandedOver(JobStopped):
    """The job goes on in a process of its own; this copy stops without an end."""

    code = "job_handed_over"


async def hand_over(context: JobContext, launcher: Launcher, service: str) -> None:
    """Launch the job's own process, let go of the run, and stop this copy.

    Raises:
        JobHandedOver: always, when the launch succeeded.
        TransientError, PermanentError: see ``Launcher.launch``; the run stays with this copy.
    """
    job_id = context.job.job_id
    await launcher.launch(service, job_id)
    await runs.release(context.database.pool, job_id, context.token)
    raise JobHandedOver(f"job {job_id} goes on in a process of its own")


async def run_launched(worker: Worker, database: Database, job_id: str) -> None:
    """Run one job from ``job_runs`` to its end, as the launched process does.

    Raises:
        PermanentError: this service was never given a job of that id.
        TransientError: the run stayed with another copy, or the database out of reach, for too long.
    """
    job = await _request_of(database, job_id)
    envelope = seal(job, "intake", traceparent=os.environ.get(TRACEPARENT, ""))
    subscription = worker.route.subscription
    for attempt in range(1, subscription.max_attempts + 1):
        if await worker.dispatch(Delivery(envelope, attempt)) == "ack":
            return
        await asyncio.sleep(delay(attempt, subscription.min_backoff, subscription.max_backoff))
    raise TransientError(f"job {job_id} could not be run to its end; its run is left to whoever holds it")


async def run_one_job(service: "Service", job_id: str) -> None:
    """The whole life of a launched process: run the job, publish what it said, close everything.

    SIGTERM stops it at once; the run is let go of, and intake releases the job anew.

    Raises:
        PermanentError, TransientError: see ``run_launched``.
    """
    [worker] = service.workers
    relay = Relay(service.database.pool, service.broker)
    service.database.when_emitted(relay.wake)
    relaying = asyncio.create_task(relay.run())
    work = asyncio.create_task(run_launched(worker, service.database, job_id))
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, work.cancel)
    try:
        await work
    except asyncio.CancelledError:
        _logger.warning("stopped before the end", extra={"action": "job.abandoned", "job_id": job_id})
    finally:
        relay.stop()
        await relaying
        while await relay.publish_batch():
            continue
        for close in service.on_close:
            await close()
        await service.broker.close()
        await service.database.close()
        telemetry.flush()


async def _request_of(database: Database, job_id: str) -> JobRequested:
    try:
        key = uuid.UUID(job_id)
    except ValueError as error:
        raise PermanentError(f"{job_id!r} is not a job id", code="unknown_job") from error
    row = await database.fetchrow("SELECT request FROM job_runs WHERE job_id = $1", key)
    if row is None or not json.loads(row["request"]):
        raise PermanentError(f"no request of job {job_id} was ever received here", code="unknown_job")
    return JobRequested.model_validate_json(row["request"])


class ChildProcessLauncher:
    """One machine: a child process with this service's own environment, ended with the service."""

    def __init__(self, environment: Mapping[str, str] | None = None) -> None:
        """``environment``: variables that differ from this process's own."""
        self._environment = dict(environment or {})
        self._children: dict[str, asyncio.subprocess.Process] = {}
        self._watchers: set[asyncio.Task[None]] = set()

    async def launch(self, service: str, job_id: str) -> None:
        running = self._children.get(job_id)
        if running is not None and running.returncode is None:
            return
        try:
            child = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", f"services.{service}.main", RUN_JOB, job_id),
                stdin=asyncio.subprocess.DEVNULL,
                env={**os.environ, **self._environment, TRACEPARENT: telemetry.current_traceparent()},
            )
        except OSError as error:
            raise TransientError(f"no process can be started for job {job_id}: {error}") from error
        self._children[job_id] = child
        watcher = asyncio.create_task(self._watch(job_id, child))
        self._watchers.add(watcher)
        watcher.add_done_callback(self._watchers.discard)

    async def _watch(self, job_id: str, child: asyncio.subprocess.Process) -> None:
        status = await child.wait()
        self._children.pop(job_id, None)
        level = logging.INFO if status == 0 else logging.ERROR
        _logger.log(
            level, "process of job %s ended with %d", job_id, status, extra={"action": "job.process", "job_id": job_id}
        )

    async def close(self, grace_seconds: float = 5.0) -> None:
        """Ask every child to hand its job back, and kill those that do not within ``grace_seconds``."""
        children = list(self._children.values())
        for child in children:
            if child.returncode is None:
                child.terminate()
        if self._watchers:
            await asyncio.wait(set(self._watchers), timeout=grace_seconds)
        for child in children:
            if child.returncode is None:
                child.kill()
        await asyncio.gather(*self._watchers)


class CloudRunLauncher:
    """A Cloud Run job per service, named ``querycraft-<service>``, run with the job's id as its arguments."""

    def __init__(self, project: str, region: str, client: "JobsAsyncClient | None" = None) -> None:
        self._parent = f"projects/{project}/locations/{region}/jobs"
        self._client = client

    async def launch(self, service: str, job_id: str) -> None:
        from google.api_core.exceptions import (
            FailedPrecondition,
            Forbidden,
            GoogleAPICallError,
            InvalidArgument,
            NotFound,
            RetryError,
            Unauthenticated,
        )

        name = f"{self._parent}/querycraft-{service}"
        try:
            await self._run(name, job_id)
        except (NotFound, Forbidden, Unauthenticated, InvalidArgument, FailedPrecondition) as error:
            raise PermanentError(
                f"Cloud Run cannot run {name}: {error.message}; check that Terraform created the job and "
                "that this service's account may run it with overrides (roles/run.jobsExecutorWithOverrides)",
                code="launch_refused",
            ) from error
        except (GoogleAPICallError, RetryError) as error:
            raise TransientError(f"Cloud Run did not start {name}: {error}", code="launch_failed") from error

    async def _run(self, name: str, job_id: str) -> None:
        from google.cloud import run_v2

        if self._client is None:
            self._client = run_v2.JobsAsyncClient()
        container = run_v2.RunJobRequest.Overrides.ContainerOverride(
            args=[RUN_JOB, job_id],
            env=[run_v2.EnvVar(name=TRACEPARENT, value=telemetry.current_traceparent())],
        )
        request = run_v2.RunJobRequest(
            name=name, overrides=run_v2.RunJobRequest.Overrides(container_overrides=[container], task_count=1)
        )
        # The operation ends with the job; that it was accepted is all that is needed here.
        await self._client.run_job(request=request, timeout=LAUNCH_TIMEOUT_SECONDS)

    async def close(self) -> None:
        if self._client is not None:
            await self._client.transport.close()
