"""The triage job: the local classifier answers; only what it is unsure of is put to a model."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass

from services.assistant.ports import Classifiers, SecondOpinion
from services.assistant.triage.model import TriageModel
from services.assistant.triage.requests import Decision, Local, combined, read_request, result_of
from services.assistant.triage.taxonomy import Taxonomy
from services.kernel.jobs.context import JobContext, JobResult

TRAINING_WAIT_SECONDS = 60.0
NO_MODEL = "no model is set up to be asked"


@dataclass(frozen=True)
class Triage:
    """The ports of ``triage``. ``accuracy``: how often a model is right, 0..1; ``patience``: seconds for its word."""

    taxonomies: Mapping[str, Taxonomy]
    default: str
    classifiers: Classifiers
    opinion: SecondOpinion
    accuracy: float
    patience: float


async def triage(context: JobContext, ports: Triage) -> JobResult:
    """Category and priority of one text.

    Raises:
        JobFailedError: a field is wrong or the text empty.
        TransientError: the classifier is still being trained.
    """
    text, taxonomy = read_request(context.job, ports.taxonomies, ports.default)
    model = await ports.classifiers.get(taxonomy, min(TRAINING_WAIT_SECONDS, context.remaining))
    local = Local.of(model, text)
    if local.sure:
        decision = Decision(local.category, local.priority, "local", local)
    elif not ports.opinion.available:
        decision = Decision(local.category, local.priority, "local", local, fallback=NO_MODEL)
    else:
        await context.step("asking a model", 50)
        decision = await _second_opinion(context, ports, taxonomy, model, local, text)
    return JobResult(result_of(decision, taxonomy, text))


async def _second_opinion(
    context: JobContext, ports: Triage, taxonomy: Taxonomy, model: TriageModel, local: Local, text: str
) -> Decision:
    deadline = min(context.deadline, time.monotonic() + ports.patience)
    word = await ports.opinion.ask(taxonomy, text, context.job.job_id, deadline)
    if word.missing:
        return Decision(local.category, local.priority, "local", local, fallback=word.missing)
    known = [name for name in word.categories if name in taxonomy.category_names]
    if not known or word.priority not in taxonomy.priority_names:
        said = f"{word.model} answered outside the taxonomy"
        return Decision(local.category, local.priority, "local", local, fallback=said)
    return Decision(
        combined(local.category, model.category, known, ports.accuracy),
        combined(local.priority, model.priority, [word.priority], ports.accuracy),
        "model",
        local,
        model=word.model,
    )
