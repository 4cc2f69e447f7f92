"""Builds the insights service: the only place of this service that opens clients."""

from __future__ import annotations

from functools import partial

from contracts.jobs import JobCancelled, JobType
from contracts.problems import ProblemPublished
from contracts.submissions import SubmissionGraded
from services.insights.adapters.models import Models
from services.insights.adapters.projection import PostgresProjection
from services.insights.api.app import build_app
from services.insights.catalogue import Catalogues
from services.insights.handlers import following, keeping
from services.insights.insights import Insights
from services.insights.jobs.handlers import Jobs, prediction, report
from services.insights.learners import Learners
from services.insights.rebuilding import rebuild_all
from services.insights.settings import InsightsSettings
from services.kernel.assembly import lay_foundation
from services.kernel.database.pool import open_pool
from services.kernel.database.unit_of_work import Database
from services.kernel.jobs.worker import remember_cancellation
from services.kernel.runtime import Service
from services.kernel.storage import GoogleCloudStorage

NAME = "insights"


async def build(settings: InsightsSettings) -> Service:
    """Raises OSError, asyncpg.PostgresError: the database cannot be reached or refuses the role."""
    foundation = await lay_foundation(NAME, settings)
    database = foundation.database
    objects = GoogleCloudStorage(settings.dataset_bucket, settings.google_cloud_project)
    models = Models(database, objects)
    projection = PostgresProjection(models, settings.time_zone)
    catalogues = Catalogues(database, models)
    insights = Insights(catalogues, Learners(database), settings.time_zone)
    jobs = Jobs(insights, models, projection, objects, settings.dataset_bucket, settings.time_zone, settings.policy)
    worker = foundation.worker(
        {JobType.PREDICTION: partial(prediction, ports=jobs), JobType.REPORT: partial(report, ports=jobs)},
        concurrency=settings.worker_concurrency,
        time_limit=settings.time_limit_seconds,
    )
    consumers = foundation.consumers(
        {
            ProblemPublished: keeping(projection),
            SubmissionGraded: following(projection),
            JobCancelled: remember_cancellation,
        }
    )
    app = build_app(insights, settings, database.ping)
    return foundation.service(app, consumers, [worker], background=[catalogues.run], on_close=[objects.close])


async def rebuild(settings: InsightsSettings) -> int:
    """Compute every learner and item anew; the number of learners.

    Raises:
        OSError, asyncpg.PostgresError: the database cannot be reached or refuses the role.
    """
    database = Database(await open_pool(NAME, settings, size=2), NAME)
    objects = GoogleCloudStorage(settings.dataset_bucket, settings.google_cloud_project)
    try:
        return await rebuild_all(database, PostgresProjection(Models(database, objects), settings.time_zone))
    finally:
        await objects.close()
        await database.close()
