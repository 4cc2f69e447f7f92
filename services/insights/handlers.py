"""From messages to the projection: problems become items, graded submissions become interactions."""

from __future__ import annotations

from contracts.problems import ProblemPublished
from contracts.submissions import SubmissionGraded
from services.insights.ports import Interaction, Projection
from services.kernel.database.unit_of_work import UnitOfWork
from services.kernel.messaging.consumer import Handler

MAX_SKILLS = 64
CORRECT = "correct"


def keeping(projection: Projection) -> Handler:
    """Handler of ``problem-published``."""

    async def keep_problem(message: ProblemPublished, unit: UnitOfWork) -> None:
        await projection.keep_item(unit.connection, message)

    return keep_problem


def following(projection: Projection) -> Handler:
    """Handler of ``submission-graded``. An anonymous answer has no learner to follow and is left out."""

    async def take_in(unit: UnitOfWork, interactions: list[Interaction]) -> None:
        await projection.take_in(unit.connection, interactions)

    async def follow_learner(message: SubmissionGraded, unit: UnitOfWork) -> None:
        if message.user_id:
            unit.defer(take_in, interaction_of(message))

    return follow_learner


def interaction_of(message: SubmissionGraded) -> Interaction:
    return Interaction(
        id=message.submission_id,
        learner=message.user_id,
        item=message.problem_id,
        subject=message.data_type,
        difficulty=message.difficulty,
        skills=skills_of(message.tags),
        correct=message.verdict == CORRECT,
        at=message.graded_at,
    )


def skills_of(tags: list[str]) -> tuple[str, ...]:
    """Distinct tags in order, at most 64: what a problem trains, not a place to put data."""
    return tuple(dict.fromkeys(tag for tag in tags if tag))[:MAX_SKILLS]
