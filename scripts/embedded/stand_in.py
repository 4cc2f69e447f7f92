"""A worker in the grader's place, for benchmarks and the chaos run: it does only what the query says.

noop       succeed at once
steps:N    report N steps, each long enough after the last to be sent, then succeed
effect     succeed and write one row to ``stand_in_effects`` in the transaction of the job's end
poison     fail for good
flaky      fail once in a while with an error that may pass
"""

import asyncio
import random

import uvloop

from contracts.jobs import JobCancelled, JobType
from services.kernel.assembly import lay_foundation
from services.kernel.database.unit_of_work import UnitOfWork
from services.kernel.errors import PermanentError, TransientError
from services.kernel.http import add_health, create_app
from services.kernel.jobs.context import PROGRESS_INTERVAL_SECONDS, JobContext, JobResult
from services.kernel.jobs.worker import remember_cancellation
from services.kernel.settings import ServiceSettings

NAME = "grader"
EFFECTS = """
CREATE TABLE IF NOT EXISTS grader.stand_in_effects (job_id uuid NOT NULL, happened_at timestamptz DEFAULT now())
"""
CONCURRENCY = 64


class StandInSettings(ServiceSettings):
    stand_in_seconds: float = 0.0
    """How long each job takes."""


async def main() -> None:
    settings = StandInSettings()

    async def work(context: JobContext) -> JobResult:
        return await _obey(context, settings.stand_in_seconds)

    foundation = await lay_foundation(NAME, settings)
    app = create_app("Stand-in worker", "Benchmarks and chaos only")
    add_health(app, foundation.database.ping)
    consumers = foundation.consumers({JobCancelled: remember_cancellation})
    worker = foundation.worker({JobType.GRADING: work}, concurrency=CONCURRENCY)
    await foundation.service(app, consumers, [worker]).run()


async def _obey(context: JobContext, seconds: float) -> JobResult:
    verb, _, argument = context.job.query.partition(":")
    if seconds:
        await asyncio.sleep(seconds)
    match verb:
        case "steps":
            for number in range(int(argument)):
                await asyncio.sleep(PROGRESS_INTERVAL_SECONDS * 1.1)
                await context.step(f"step {number}", number)
        case "poison":
            raise PermanentError("this job was made to fail", code="poison")
        case "flaky" if context.attempt < 3 and random.random() < 0.5:
            raise TransientError("this job was made to fail now and then")
        case "effect" | "flaky":
            return JobResult({}, lambda unit: _write_effect(context.job.job_id, unit))
    return JobResult({})


async def _write_effect(job_id: str, unit: UnitOfWork) -> None:
    await unit.connection.execute("INSERT INTO stand_in_effects (job_id) VALUES ($1)", job_id)


if __name__ == "__main__":
    uvloop.run(main())
