"""The grader's work: a copy of every problem, and a verdict for every submission."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from contracts.problems import ProblemPublished
from contracts.submissions import SubmissionGraded
from services.grader.domain import (
    Judgement,
    Problem,
    Submission,
    answer_key,
    read_submission,
    storable,
)
from services.grader.ports import Judge, Problems, Received, Submissions, Wording
from services.kernel.database.unit_of_work import UnitOfWork
from services.kernel.errors import TransientError
from services.kernel.jobs.context import JobContext, JobFailedError, JobResult
from services.kernel.messaging.consumer import Handler

UNKNOWN_PROBLEM = "unknown_problem"


def keeping(problems: Problems) -> Handler:
    """Handler of ``problem-published``: the grader asks nobody else for a problem."""

    async def keep_problem(message: ProblemPublished, unit: UnitOfWork) -> None:
        await problems.keep(unit.connection, message)

    return keep_problem


@dataclass(frozen=True)
class Grading:
    """The ports of ``grade``. ``patience``: seconds after a submission in which its problem may still arrive."""

    problems: Problems
    submissions: Submissions
    judge: Judge
    wording: Wording
    patience: float


async def grade(context: JobContext, ports: Grading) -> JobResult:
    """Judge one submission, or find the verdict its answer already has.

    Raises:
        JobFailedError: a field is wrong, the problem is unknown, or the answer cannot be judged.
        TransientError: the problem may still be on its way, or no sandbox is free.
    """
    submission = read_submission(context.job)
    problem = await _find(context, ports, submission.problem_id)
    key = answer_key(submission.sql, submission.dialect)
    received = await ports.submissions.receive(submission, UUID(context.job.job_id), key)
    stored = await ports.submissions.verdict(problem.id, key)
    if stored is not None and stored.fits(submission.sql):
        judgement, verdict_id = stored.judgement, stored.id
    else:
        await context.step("judging", 30)
        judged = await ports.judge.judge(problem, submission.sql, submission.dialect)
        judgement = await ports.wording.word(problem, submission.sql, judged, UUID(context.job.job_id))
        verdict_id = None

    async def settle(unit: UnitOfWork) -> None:
        in_force = verdict_id
        if in_force is None:
            in_force = await ports.submissions.store(unit.connection, submission, key, judgement)
        graded_at = datetime.now(UTC)
        await ports.submissions.settle(unit.connection, received.id, in_force, graded_at)
        message = _graded(context.job.job_id, problem, submission, received, judgement, graded_at)
        unit.emit(message, message_id=f"{received.id}:graded")

    return JobResult(_result(problem, received, judgement, reused=verdict_id is not None), settle)


async def _find(context: JobContext, ports: Grading, problem_id: UUID) -> Problem:
    """The problem. ``problem-published`` and the submission travel on topics of their own, so for ``patience``
    seconds after the submission an unknown problem is awaited (the job is tried again); later it is an error."""
    problem = await ports.problems.find(problem_id)
    if problem is not None:
        return problem
    waited = (datetime.now(UTC) - context.job.requested_at).total_seconds()
    if waited < ports.patience:
        raise TransientError(f"problem_id: no problem {problem_id} has arrived here yet", code=UNKNOWN_PROBLEM)
    raise JobFailedError(f"problem_id: there is no problem {problem_id}", code=UNKNOWN_PROBLEM)


def _result(problem: Problem, received: Received, judgement: Judgement, *, reused: bool) -> dict[str, Any]:
    """What the learner gets. Built from the judgement, which holds nothing of the reference but its results."""
    result: dict[str, Any] = storable(
        {
            "submission_id": str(received.id),
            "problem_id": str(problem.id),
            "attempt": received.attempt,
            "verdict": judgement.verdict,
            "score": judgement.score,
            "mistake": {"kind": judgement.mistake_kind, "clause": judgement.mistake_clause},
            "counterexample": judgement.counterexample,
            **judgement.feedback,
            "duration_ms": judgement.duration_ms,
            "reused": reused,
        }
    )
    return result


def _graded(
    job_id: str,
    problem: Problem,
    submission: Submission,
    received: Received,
    judgement: Judgement,
    graded_at: datetime,
) -> SubmissionGraded:
    return SubmissionGraded(
        submission_id=str(received.id),
        job_id=job_id,
        problem_id=str(problem.id),
        user_id=submission.user,
        data_type=problem.data_type,
        difficulty=problem.difficulty,
        tags=list(problem.tags),
        verdict=judgement.verdict,
        score=judgement.score,
        mistake_kind=judgement.mistake_kind,
        mistake_clause=judgement.mistake_clause,
        attempt=received.attempt,
        duration_ms=judgement.duration_ms,
        graded_at=graded_at,
    )
