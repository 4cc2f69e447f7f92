"""A worker that takes the grader's place and does nothing, so that a benchmark sees only the way there and back."""

import asyncio

import uvloop

from contracts import manifest
from contracts.jobs import JobCancelled, JobRequested, JobType
from services.kernel.assembly import lay_foundation
from services.kernel.http import add_health, create_app
from services.kernel.jobs.context import JobContext, JobResult
from services.kernel.jobs.worker import JobRoute, Worker, remember_cancellation
from services.kernel.messaging.consumer import Consumer, Route
from services.kernel.runtime import Service
from services.kernel.settings import ServiceSettings

NAME = "grader"


async def _work(context: JobContext) -> JobResult:
    """``steps:N`` in the query asks for N reported steps before the end."""
    if context.job.query.startswith("steps:"):
        for number in range(int(context.job.query.removeprefix("steps:"))):
            await asyncio.sleep(0.55)  # slower than the coalescing interval: every step is reported
            await context.step(f"step {number}", number)
    return JobResult({})


async def _main() -> None:
    settings = ServiceSettings()
    foundation = await lay_foundation(NAME, settings)
    database, broker = foundation.database, foundation.broker
    by_message = {subscription.message: subscription for subscription in manifest.subscriptions_of(NAME)}
    route = JobRoute(by_message[JobRequested], {JobType.GRADING: _work}, concurrency=64)
    app = create_app("no-op worker", "Benchmarks only")
    add_health(app, database.ping)
    await Service(
        name=NAME,
        settings=settings,
        database=database,
        broker=broker,
        consumers=[Consumer(Route(by_message[JobCancelled], remember_cancellation), broker, database)],
        workers=[Worker(route, broker, database)],
        app=app,
    ).run()


if __name__ == "__main__":
    uvloop.run(_main())
