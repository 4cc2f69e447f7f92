"""Judging every answer to a problem again, after its data sets were improved."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from uuid import UUID

from services.grader.domain import Judgement
from services.grader.ports import Judge, Problems, Submissions
from services.kernel.errors import PermanentError


@dataclass(frozen=True)
class Rejudged:
    """One distinct answer and the submissions it stands for. ``before`` is None when it never had a verdict.
    ``failure``: why it could not be judged now; its verdict then stays as it was."""

    sql: str
    submissions: int
    before: Judgement | None
    after: Judgement | None
    failure: str = ""

    @property
    def changed(self) -> bool:
        return self.after is not None and (self.before is None or self.before.verdict != self.after.verdict)


async def rejudge(
    problem_id: UUID, problems: Problems, submissions: Submissions, judge: Judge
) -> AsyncIterator[Rejudged]:
    """Judge each distinct answer anew; old verdicts stay as history. Safe to stop and start again.

    Raises:
        PermanentError: there is no such problem.
        TransientError: no sandbox or no data now; answers judged before stay judged.
    """
    problem = await problems.find(problem_id)
    if problem is None:
        raise PermanentError(f"there is no problem {problem_id}", code="unknown_problem")
    for answer in await submissions.answers(problem_id):
        before = answer.verdict.judgement if answer.verdict else None
        try:
            after = await judge.judge(problem, answer.sql, answer.dialect)
        except PermanentError as error:
            yield Rejudged(answer.sql, 0, before, None, str(error))
            continue
        touched = await submissions.supersede(problem_id, answer, after)
        yield Rejudged(answer.sql, touched, before, after)
