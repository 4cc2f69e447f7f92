"""The generator's jobs: a set of problems, and the tip of the day."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any
from uuid import UUID

from contracts.message import json_text
from contracts.metadata import MetadataRefreshed
from contracts.problems import GradingDataSet, ProblemPublished
from services.generator.domain import (
    BaseSet,
    Chunk,
    GenerationOrder,
    OrderDefaults,
    ProblemSet,
    day_of,
    is_company_table,
    read_order,
)
from services.generator.offline.tips import tip_of_the_day
from services.generator.ports import (
    CompanyTables,
    Composer,
    Composing,
    Fallback,
    LogEntry,
    ProblemSets,
    Start,
    StoredProblem,
    Tips,
    TipWriter,
    WorkerLog,
    WrittenTip,
)
from services.kernel.database.unit_of_work import UnitOfWork
from services.kernel.errors import PermanentError, TransientError
from services.kernel.jobs.context import JobContext, JobFailedError, JobHandler, JobResult, JobStopped
from services.kernel.jobs.launcher import JobHandedOver
from services.kernel.sql.columns import shown_columns
from services.kernel.storage import ObjectStore, table_object

COLLECTING, PUBLISHING = 20, 95
"""Percent at which those steps begin; composing and verifying lie between them."""

RESERVE_SECONDS = 60.0
"""A chunk is not begun with less time than this left: what is made must still be published."""

_WAIT_SECONDS = 1.0
_PARQUET = "application/vnd.apache.parquet"


@dataclass(frozen=True)
class Generation:
    """The ports of ``generate_problems``. ``pass_on``: sends a job on to a process of its own; None inside one.
    ``long_count``: more problems than this are passed on at once."""

    composer: Composer
    sets: ProblemSets
    objects: ObjectStore
    tables: CompanyTables
    defaults: OrderDefaults
    long_count: int
    pass_on: Callable[[JobContext], Awaitable[None]] | None = None


@dataclass(frozen=True)
class Outcome:
    """What composing left. ``incomplete``: why it stopped before all problems were made, or empty.
    ``fallback``: why models did not make all of them, or empty."""

    place: ProblemSet
    incomplete: str = ""
    fallback: str = ""


async def generate_problems(context: JobContext, ports: Generation) -> JobResult:
    """Fill one set of problems and publish it with the job's end.

    Raises:
        JobFailedError: a field of the request is wrong, or not one problem could be made.
        JobHandedOver: the job goes on in a process of its own.
    """
    order = read_order(context.job, ports.defaults)
    if ports.pass_on is not None and (order.long or order.count > ports.long_count):
        await ports.pass_on(context)
    job_id = UUID(context.job.job_id)
    place = await _claim(context, ports, order, job_id)
    if place.completed:
        published = await ports.sets.problems(place)
        return JobResult({**_result(place, order, published), "already_published": True})
    outcome = await _compose(context, ports, order, place, job_id)
    problems = await ports.sets.problems(outcome.place)
    if not problems:
        raise JobFailedError(_nothing_made(outcome), code="no_problem_made")
    await context.step("publishing", PUBLISHING)

    async def publish(unit: UnitOfWork) -> None:
        await ports.sets.publish(unit.connection, outcome.place, job_id)
        for problem in problems:
            unit.emit(_announcement(outcome.place, problem, context.job.job_id), message_id=str(problem.id))

    return JobResult(_result(outcome.place, order, problems, outcome.incomplete, outcome.fallback), publish)


async def _claim(context: JobContext, ports: Generation, order: GenerationOrder, job_id: UUID) -> ProblemSet:
    """The job's set; waits while another live job fills the same daily one, then takes what it left."""
    while True:
        claimed = await ports.sets.claim(order, job_id)
        if isinstance(claimed, ProblemSet):
            return claimed
        if context.remaining < RESERVE_SECONDS:
            raise TransientError(
                f"job {claimed} is still making the set of {order.data_type} for {order.problem_date}",
                code="set_in_progress",
            )
        await context.step(f"waiting for job {claimed}, which makes the same set", 5)
        await asyncio.sleep(_WAIT_SECONDS)


async def _compose(
    context: JobContext, ports: Generation, order: GenerationOrder, place: ProblemSet, job_id: UUID
) -> Outcome:
    """Make chunk after chunk, keeping each, until all are made or something ends it early."""
    await context.step("collecting data", COLLECTING)
    known = await ports.sets.known_sql(place.data_type)
    titles = [stored.problem.name for stored in await ports.sets.problems(place)]
    material = await ports.tables.material(order.data_type) if is_company_table(order.data_type) else None
    start = Start(order, place.seed, place.wanted, place.chunks, titles, known, job_id, context.deadline, material)
    base: GradingDataSet | None = None
    fallback = ""
    try:
        async with ports.composer.compose(start) as events:
            async for event in events:
                if isinstance(event, Composing):
                    progress = COLLECTING + int((PUBLISHING - COLLECTING - 1) * event.fraction)
                    await context.step(event.name, progress)
                elif isinstance(event, BaseSet):
                    base = await _keep_base(ports.objects, event)
                elif isinstance(event, Fallback):
                    fallback = f"{event.problems} of {place.wanted} problems: {event.reason}"
                    await context.step("making the rest without models", COLLECTING)
                else:
                    place = await _keep_chunk(ports, place, job_id, base, event)
                    if context.remaining < RESERVE_SECONDS:
                        return await _out_of_time(context, ports, place, fallback)
    except PermanentError as error:
        # What is finished stays; a batch with nothing in it fails with this error's message.
        return Outcome(place, str(error), fallback)
    return Outcome(place, fallback=fallback)


async def _keep_chunk(
    ports: Generation, place: ProblemSet, job_id: UUID, base: GradingDataSet | None, chunk: Chunk
) -> ProblemSet:
    if base is None:
        raise AssertionError("a composer gives the base data set before the first chunk")
    return await ports.sets.add(place, job_id, base, chunk)


async def _out_of_time(context: JobContext, ports: Generation, place: ProblemSet, fallback: str) -> Outcome:
    if ports.pass_on is not None:
        await ports.pass_on(context)
    return Outcome(place, "the job's time was used up", fallback)


async def _keep_base(objects: ObjectStore, base: BaseSet) -> GradingDataSet:
    """Store the tables under a name made of their content: a second run writes the same objects again."""
    prefix = f"datasets/{base.digest}"
    uris = [
        await objects.write_once(table_object(prefix, table), content, content_type=_PARQUET)
        for table, content in base.parquet.items()
    ]
    return GradingDataSet(name=base.name, kind="base", row_count=base.row_count, uri=uris[0].rsplit("/", 1)[0])


def _announcement(place: ProblemSet, stored: StoredProblem, job_id: str) -> ProblemPublished:
    problem = stored.problem
    return ProblemPublished(
        problem_id=str(stored.id),
        job_id=job_id,
        problem_date=place.problem_date.isoformat(),
        data_type=place.data_type,
        set_index=place.set_index,
        difficulty=problem.difficulty,
        title=problem.title,
        description=problem.description,
        initial_sql=problem.initial_sql,
        expected_answer=json_text(problem.expected_answer),
        hints=problem.hints,
        tags=list(problem.tags),
        ddl=list(problem.ddl),
        reference_sql=problem.reference_sql,
        ordered=problem.ordered,
        datasets=list(stored.datasets),
        provenance=problem.provenance,
        published_at=datetime.now(UTC),
    )


def public_view(stored: StoredProblem) -> dict[str, Any]:
    """What a client may see of a problem: all but the reference SQL and the data it is graded on."""
    problem = stored.problem
    return {
        "id": str(stored.id),
        "difficulty": problem.difficulty,
        "title": problem.title.model_dump(),
        "description": problem.description.model_dump(),
        "initial_sql": problem.initial_sql,
        "expected_columns": shown_columns(problem.expected_answer["columns"]),
        "hints": problem.hints.model_dump(),
        "tags": list(problem.tags),
        "ddl": list(problem.ddl),
        "ordered": problem.ordered,
        "mutants": dict(problem.mutants),
        "provenance": problem.provenance.model_dump(),
    }


def _result(
    place: ProblemSet, order: GenerationOrder, problems: list[StoredProblem], incomplete: str = "", fallback: str = ""
) -> dict[str, Any]:
    return {
        "problem_date": place.problem_date.isoformat(),
        "data_type": place.data_type,
        "set_index": place.set_index,
        "seed": place.seed,
        "locale": order.locale,
        "requested": place.wanted,
        "published": len(problems),
        "incomplete": incomplete or _shortfall(place, len(problems)),
        "fallback": fallback,
        "dropped": dict(place.dropped),
        "sources": sorted({stored.problem.provenance.source for stored in problems}),
        "problems": [public_view(stored) for stored in problems],
    }


def _shortfall(place: ProblemSet, made: int) -> str:
    if made >= place.wanted:
        return ""
    return f"the candidates that passed every check ran out after {made} of {place.wanted}"


def _nothing_made(outcome: Outcome) -> str:
    reasons = ", ".join(f"{reason}: {count}" for reason, count in outcome.place.dropped.items())
    because = outcome.incomplete or "no candidate passed every check"
    return f"no problem could be made: {because}" + (f" (dropped: {reasons})" if reasons else "")


async def offline_tip(day: date, job_id: UUID, deadline: float) -> WrittenTip:
    tip = tip_of_the_day(day)
    return WrittenTip({"ko": tip.content.ko, "en": tip.content.en}, tip.category)


async def publish_tip(context: JobContext, tips: Tips, write: TipWriter = offline_tip) -> JobResult:
    """Keep the tip of one day; asking again gives the same one.

    Raises:
        JobFailedError: ``tip_date`` is no date.
    """
    day = day_of(context.job)
    kept = await tips.of(day)
    if kept is not None:
        return JobResult({"tip_date": day.isoformat(), **kept, "already_published": True})
    tip = await write(day, UUID(context.job.job_id), context.deadline)

    async def keep(unit: UnitOfWork) -> None:
        await tips.keep(unit.connection, day, tip.content, tip.category)

    told = {"content": dict(tip.content), "category": tip.category, "sources": [tip.source], "fallback": tip.fallback}
    return JobResult({"tip_date": day.isoformat(), **told}, keep)


def logged(handler: JobHandler, log: WorkerLog) -> JobHandler:
    """``handler`` with one row in the worker log per run: with the job's end, or after its failure."""

    async def run(context: JobContext) -> JobResult:
        began = time.monotonic()

        def entry(status: str, message: str = "") -> LogEntry:
            elapsed = int((time.monotonic() - began) * 1_000)
            return LogEntry(context.job.job_type, UUID(context.job.job_id), status, elapsed, error_message=message)

        try:
            result = await handler(context)
        except JobStopped as error:
            await log.write(entry("handed_over" if isinstance(error, JobHandedOver) else "stopped", str(error)))
            raise
        except Exception as error:
            await log.write(entry("failed", f"{type(error).__name__}: {error}"))
            raise

        async def effects(unit: UnitOfWork) -> None:
            if result.effects is not None:
                await result.effects(unit)
            await log.write(entry("succeeded"), unit.connection)

        return JobResult(result.result, effects)

    return run


async def forget_table(message: MetadataRefreshed, _: UnitOfWork, *, expire: Callable[[str], None]) -> None:
    """A table's metadata changed: the next job about it reads the cache again; other replicas do within the hour."""
    expire(message.table_id)
