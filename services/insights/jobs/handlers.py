"""The two job types: ``prediction`` (scores, import, refit) and ``report``."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from services.insights.access import Policy
from services.insights.adapters.models import Models
from services.insights.adapters.process import in_process
from services.insights.adapters.projection import PostgresProjection
from services.insights.insights import Insights
from services.insights.jobs.importing import import_history
from services.insights.jobs.refitting import refit
from services.insights.jobs.rendering import LearnerPage, Report, group_means, render
from services.insights.jobs.requests import options_of, prediction_of, reader_of, report_of
from services.kernel.jobs.context import JobContext, JobResult
from services.kernel.storage import ObjectStore

SUBJECTS_SHOWN = 12


@dataclass(frozen=True)
class Jobs:
    """The ports of both handlers. ``bucket``: where files to import must lie."""

    insights: Insights
    models: Models
    projection: PostgresProjection
    objects: ObjectStore
    bucket: str
    zone: str
    policy: Policy


async def prediction(context: JobContext, ports: Jobs) -> JobResult:
    """Scores of the learners asked for; or, by the option ``task``, an import or a refit.

    Raises:
        JobFailedError: a field or an option is wrong. PermanentError: an unknown subject, a date in the past.
        NotAllowed: about somebody else, or an import or refit by no administrator.
    """
    options = options_of(context.job)
    reader = reader_of(context.job, ports.policy)
    if options.task:
        reader.must_manage()
    if options.task == "import":
        return await import_history(context, options, ports.objects, ports.projection, ports.bucket)
    if options.task == "refit":
        return await refit(context, ports.models, ports.projection, ports.zone)
    asked = prediction_of(context.job)
    reader.must_see(asked.student_ids)
    scores: list[dict[str, Any]] = []
    for done, student in enumerate(asked.student_ids):
        await context.step("predicting", 10 + 85 * done // len(asked.student_ids))
        view = await ports.insights.score(student, asked.subject_id, asked.target_date)
        scores.append({"student_id": student, **view.model_dump(mode="json")})
    return JobResult(
        {"subject_id": asked.subject_id, "target_date": asked.target_date.isoformat(), "predictions": scores}
    )


async def report(context: JobContext, ports: Jobs) -> JobResult:
    """HTML and PDF in object storage, and the figures they show.

    Raises:
        JobFailedError: a field is wrong. NotAllowed: about somebody else. TransientError: storage is out of reach.
    """
    asked = report_of(context.job)
    reader_of(context.job, ports.policy).must_see(asked.student_ids)
    pages = []
    for done, student in enumerate(asked.student_ids):
        await context.step("collecting", 5 + 55 * done // len(asked.student_ids))
        pages.append(await _page(ports.insights, student))
    await context.step("formatting", 70)
    made_at = datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")
    rendered = await in_process(render, Report(asked.title, asked.language, made_at, pages))
    await context.step("storing", 90)
    uris = {}
    for kind, data, media in (("html", rendered.html, "text/html"), ("pdf", rendered.pdf, "application/pdf")):
        name = f"insights/reports/{context.job.job_id}/{hashlib.sha256(data).hexdigest()[:16]}.{kind}"
        uris[f"{kind}_uri"] = await ports.objects.write_once(name, data, content_type=media)
    notes = [] if rendered.pdf_language == asked.language else ["the PDF is in English: no Hangul font is installed"]
    return JobResult(
        {
            **uris,
            "language": asked.language,
            "pdf_language": rendered.pdf_language,
            "notes": notes,
            "learners": len(pages),
            "group_scores": dict(group_means(pages)),
        }
    )


async def _page(insights: Insights, student: str) -> LearnerPage:
    catalogue = await insights.catalogue()
    patterns = await insights.patterns(student)
    today = insights.today()
    scores = []
    for subject in sorted(catalogue.subjects)[:SUBJECTS_SHOWN]:
        view = await insights.score(student, subject, today)
        scores.append((subject, view.predicted_score, view.confidence.low, view.confidence.high))
    return LearnerPage(
        student,
        patterns.note.model_dump(),
        scores,
        [(entry.skill, entry.strength, entry.confidence) for entry in patterns.subject_strengths],
        None
        if patterns.preferred_time_slots is None
        else [(slot.slot, slot.share) for slot in patterns.preferred_time_slots],
    )
