"""What a learner waits for: an answer judged on the problem's stored data sets, as the grader does it.

One learner on one core, who thinks between answers, beside two bare executions of the same queries; then 20 learners at
once; then memory over many gradings.

    python -m scripts.bench.grading [--gradings 10000 --seconds 500]
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import itertools
import json
import os
import time
import uuid
from collections.abc import Sequence
from datetime import date
from typing import Any

from contracts.message import json_text
from contracts.problems import GradingDataSet, LocaleHints, LocaleText
from scripts.bench.percentiles import percentiles
from scripts.bench.resident import Resident, processor_seconds
from services.generator.adapters.composing import to_parquet
from services.generator.offline.generate import GenerationRequest, generate
from services.generator.offline.problem import Problem as Made
from services.generator.verify.examples import wrong_queries
from services.grader.adapters.sandbox_judge import TASKS, SandboxJudge
from services.grader.domain import Problem
from services.kernel.base_sets import BaseSets
from services.kernel.errors import TransientError
from services.kernel.sql.sandbox import engine
from services.kernel.sql.sandbox.pool import SandboxPool
from services.kernel.storage import table_object

PROBLEMS = 6
WRONG_EACH = 6
LEARNERS = 20
SECONDS_BETWEEN = 0.75
"""What a learner at least takes to read a verdict; the grader is idle then."""
_BASE = "gs://bench/base"


class _Memory:
    """The base data set where object storage would be: fetching it is not what is measured."""

    def __init__(self, files: dict[str, bytes]) -> None:
        self._files = files

    async def read(self, uri: str) -> bytes:
        return self._files[uri]


def measure(gradings: int = 400, seconds: float = 12.0) -> dict[str, Any]:
    """Milliseconds per answer, MiB. Every answer here is told by a stored data set, or has the reference's own tree.

    ``gradings``: over how many memory is watched, for ``seconds`` at most; the goal's 10,000 take minutes.
    """
    made = generate(GenerationRequest("pa", PROBLEMS, seed=11, rows=5_000, problem_date=date(2026, 11, 21))).problems
    answers = [(problem, sql) for problem in made for sql in _ordinary(problem)]
    return {
        "answers": len(answers),
        "one_core": asyncio.run(_one_core(made, answers)),
        "crowd": asyncio.run(_crowd(made, answers)),
        "memory": asyncio.run(_memory(made, answers, gradings, seconds)),
    }


def _ordinary(problem: Made) -> Sequence[str]:
    wrong = wrong_queries(problem.schema, problem.datasets, problem.reference_sql, ordered=problem.ordered)
    return [problem.reference_sql.lower(), *(sql for sql, _ in itertools.islice(wrong, WRONG_EACH))]


async def _one_core(made: Sequence[Made], answers: Sequence[tuple[Made, str]]) -> dict[str, Any]:
    cores = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(cores)})
    try:
        ours, bare = [], []
        connection = engine.connect_locked()
        made[0].base.load(connection, made[0].schema)
        async with SandboxPool(1, tasks=TASKS) as pool:
            judge = SandboxJudge(pool, BaseSets(pool, _stored(made), held=8), budget_ms=1_000, at_once=1)
            for problem, sql in answers:
                graded = _as_graded(problem)
                await asyncio.sleep(SECONDS_BETWEEN)
                began = time.perf_counter()
                connection.execute(problem.reference_sql).fetchall()
                connection.execute(sql).fetchall()
                bare.append(time.perf_counter() - began)
                began = time.perf_counter()
                await judge.judge(graded, sql, "duckdb")
                ours.append(time.perf_counter() - began)
    finally:
        os.sched_setaffinity(0, cores)
    return {"grading": _milliseconds(ours), "two_bare_executions": _milliseconds(bare)}


async def _crowd(made: Sequence[Made], answers: Sequence[tuple[Made, str]]) -> dict[str, Any]:
    """``cpu_ms_each``: processor time of a grading, the sandbox's included: what a busy machine cannot change much."""
    waits: list[float] = []
    tried_again = 0
    graded = [(_as_graded(problem), sql) for problem, sql in answers]
    async with SandboxPool(2, max_waiting=64, tasks=TASKS) as pool:
        judge = SandboxJudge(pool, BaseSets(pool, _stored(made), held=8), budget_ms=1_000, at_once=2)

        async def learner(number: int) -> None:
            nonlocal tried_again
            for problem, sql in (graded[(number + step) % len(graded)] for step in range(6)):
                began = time.perf_counter()
                while True:
                    try:
                        await judge.judge(problem, sql, "duckdb")
                        break
                    except TransientError:  # as its job would be: the machine is starved
                        tried_again += 1
                waits.append(time.perf_counter() - began)

        await judge.judge(_as_graded(made[0]), made[0].reference_sql, "duckdb")  # the base data set is there by now
        spent = processor_seconds(pool)
        await asyncio.gather(*(learner(number) for number in range(LEARNERS)))
        spent = processor_seconds(pool) - spent
    return {**_milliseconds(waits), "cpu_ms_each": round(spent / len(waits) * 1_000, 1), "tried_again": tried_again}


async def _memory(
    made: Sequence[Made], answers: Sequence[tuple[Made, str]], gradings: int, seconds: float
) -> dict[str, Any]:
    """The service and the process that its workers are forked from; a worker itself ends with its grading.

    Most answers here are the reference's own: they cost least, and what could leak does not ask what a worker computed.
    """
    until = time.monotonic() + seconds
    cheap = [(problem, problem.reference_sql.lower()) for problem in made]
    turns = itertools.chain.from_iterable(
        zip(*(itertools.cycle(some) for some in (answers, *[cheap] * 4)), strict=False)
    )
    async with SandboxPool(2, max_waiting=64, tasks=TASKS) as pool:
        judge = SandboxJudge(pool, BaseSets(pool, _stored(made), held=8), budget_ms=1_000, at_once=2)
        resident = Resident(pool)

        async def learner() -> None:
            while resident.graded < gradings and time.monotonic() < until:
                problem, sql = next(turns)
                with contextlib.suppress(TransientError):
                    await judge.judge(_as_graded(problem), sql, "duckdb")
                resident.count(every=max(1, gradings // 200))

        await asyncio.gather(*(learner() for _ in range(3)))
        return resident.summary()


def _stored(made: Sequence[Made]) -> _Memory:
    files = to_parquet(made[0].schema, made[0].base)
    return _Memory({table_object(_BASE, table): content for table, content in files.items()})


def _as_graded(problem: Made) -> Problem:
    """The grader's copy, as ``problem-published`` makes it."""
    base, *small = problem.datasets
    return Problem(
        id=uuid.uuid5(uuid.NAMESPACE_OID, problem.reference_sql),
        data_type=problem.data_type,
        difficulty=problem.difficulty,
        tags=problem.tags,
        title=LocaleText(**problem.title.as_dict()),
        hints=LocaleHints(ko=[hint.ko for hint in problem.hints], en=[hint.en for hint in problem.hints]),
        ddl=tuple(problem.schema.ddl()),
        reference_sql=problem.reference_sql,
        ordered=problem.ordered,
        datasets=(
            GradingDataSet(name="base", kind="base", row_count=base.row_count, uri=_BASE),
            *(
                GradingDataSet(name=each.name, kind="small", row_count=each.row_count, inline=json_text(each.to_json()))
                for each in small
            ),
        ),
    )


def _milliseconds(seconds: Sequence[float]) -> dict[str, float]:
    return percentiles([each * 1_000 for each in seconds], (50, 95), unit="_ms")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--gradings", type=int, default=400, help="over which memory is watched")
    parser.add_argument("--seconds", type=float, default=12.0, help="at most, for these gradings")
    options = parser.parse_args()
    print(json.dumps(measure(options.gradings, options.seconds), indent=2))


if __name__ == "__main__":
    main()
