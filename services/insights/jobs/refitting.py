"""A refit: fit on everything but the newest answers, compare on those, and replace the model only when better."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from services.insights.adapters.models import Model, Models, record
from services.insights.adapters.process import in_process
from services.insights.adapters.projection import PostgresProjection
from services.insights.model.codec import artefact, from_artefact
from services.insights.model.evaluation import log_loss, predictions, quality
from services.insights.model.fit import fit
from services.insights.model.history import Answer
from services.insights.model.knowledge import Knowledge
from services.insights.model.population import population
from services.insights.rebuilding import rebuild_stale
from services.kernel.errors import PermanentError
from services.kernel.jobs.context import JobContext, JobFailedError, JobResult

HELD_OUT = 0.2
"""The newest share of all answers: both models are measured on it, neither was fitted on it."""
LEAST_LATER = 100
MOST_ANSWERS = 300_000
"""The newest ones that a refit reads: what fits into 2 GiB and the job's time limit."""
_READ = """
SELECT learner, item, skills, correct, at FROM (
    SELECT * FROM interactions ORDER BY at DESC, position DESC, id DESC LIMIT $1
) AS newest ORDER BY at, position, id
"""

Dated = list[tuple[str, Answer, float]]
"""Learner, answer, and when in seconds since the epoch; oldest first."""


@dataclass(frozen=True)
class Refit:
    """``artefact``: the fitted model, sealed. Figures are those on the later data."""

    artefact: bytes
    accepted: bool
    trained_until: float
    figures: dict[str, Any]


async def refit(
    context: JobContext, models: Models, projection: PostgresProjection, zone: str, *, seed: int = 0
) -> JobResult:
    """Fit, compare, store, and when better put into use and recompute every learner.

    Raises:
        JobFailedError: there is too little history. TransientError: storage or the database is out of reach.
    """
    in_use = await models.refresh()
    await context.step("collecting", 20)
    rows = await context.database.fetch(_READ, MOST_ANSWERS)
    dated = [
        (row["learner"], Answer(row["item"], tuple(row["skills"]), row["correct"], at), at)
        for row in rows
        for at in (max(row["at"].timestamp(), 0.0),)
    ]
    await context.step("fitting", 40)
    sealed = artefact(in_use.knowledge, in_use.population) if in_use.id else b""
    try:
        fitted = await in_process(compute, dated, sealed, in_use.trained_until.timestamp(), zone, seed)
    except PermanentError as error:
        raise JobFailedError(str(error), code="too_little_history") from error
    await context.step("storing", 80)
    knowledge, usual = from_artefact(fitted.artefact)
    uri = await models.store(knowledge, usual)
    trained_until = datetime.fromtimestamp(fitted.trained_until, UTC)
    async with context.database.transaction() as unit:
        model_id = await record(
            unit.connection, uri, accepted=fitted.accepted, trained_until=trained_until, figures=fitted.figures
        )
    rebuilt = await _put_into_use(context, models, projection) if fitted.accepted else 0
    return JobResult(
        {
            "task": "refit",
            "model_id": model_id,
            "uri": uri,
            "accepted": fitted.accepted,
            "replaced": in_use.id,
            "figures": fitted.figures,
            "learners_rebuilt": rebuilt,
        }
    )


async def _put_into_use(context: JobContext, models: Models, projection: PostgresProjection) -> int:
    model: Model = await models.refresh()
    await context.step("rebuilding", 90)
    return await rebuild_stale(context.database, projection, model.id)


def compute(dated: Dated, sealed: bytes, known_until: float, zone: str, seed: int) -> Refit:
    """Pure; runs in a process of its own. ``sealed``: the model in use, empty for none;
    ``known_until``: the time of the newest answer it was fitted on, which no comparison may hold.

    The candidate is fitted on the older answers and compared with the model in use on the newer ones. The model
    that is stored is that candidate: what was measured is what serves.

    Raises:
        ValueError: there are too few answers to fit on or to compare with.
    """
    cut = int(len(dated) * (1 - HELD_OUT))
    while sealed and cut < len(dated) and dated[cut][2] <= known_until:
        cut += 1
    later = dated[cut:]
    if len(later) < LEAST_LATER:
        raise ValueError(
            f"{len(dated)} answers, {len(later)} of them to compare models on: at least {LEAST_LATER} are needed"
        )
    earlier = _by_learner(dated[:cut])
    knowledge = fit(earlier, seed=seed)
    usual = population(earlier.values(), zone)
    candidate = _on_later(knowledge, dated, cut)
    figures: dict[str, Any] = {"answers": len(dated), "later_answers": len(later), "candidate": candidate}
    accepted = True
    if sealed:
        figures["in_use"] = _on_later(from_artefact(sealed)[0], dated, cut)
        accepted = candidate["log_loss"] < figures["in_use"]["log_loss"]
    return Refit(artefact(knowledge, usual), accepted, dated[cut - 1][2], figures)


def _on_later(knowledge: Knowledge, dated: Dated, cut: int) -> dict[str, float]:
    """Quality on the later answers, each predicted from everything before it."""
    positions: dict[str, list[int]] = defaultdict(list)
    for position, (learner, _, _) in enumerate(dated):
        positions[learner].append(position)
    found = predictions(knowledge, _by_learner(dated))
    order = [position for learner in _by_learner(dated) for position in positions[learner]]
    chosen = [i for i, position in enumerate(order) if position >= cut]
    chances, outcomes = [found.frozen[i] for i in chosen], [found.outcome[i] for i in chosen]
    if len(set(outcomes)) < 2:
        return {"log_loss": log_loss(chances, outcomes)}
    return {name: round(value, 6) for name, value in quality(chances, outcomes).items()}


def _by_learner(dated: Dated) -> dict[str, list[Answer]]:
    histories: dict[str, list[Answer]] = defaultdict(list)
    for learner, answer, _ in dated:
        histories[learner].append(answer)
    return dict(histories)
