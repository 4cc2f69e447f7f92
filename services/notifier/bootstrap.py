"""Builds the notifier: the only place of this service that opens clients."""

import asyncio
import logging
from functools import partial

from contracts import manifest
from services.kernel.assembly import lay_foundation
from services.kernel.messaging.consumer import Consumer, Route
from services.kernel.runtime import Service
from services.notifier.adapters.notifications import NotificationsTable, record
from services.notifier.api.app import build_app
from services.notifier.handlers import notifying
from services.notifier.hub import Hub
from services.notifier.settings import NotifierSettings

NAME = "notifier"
PRUNE_SECONDS = 3_600.0


async def build(settings: NotifierSettings) -> Service:
    """Raises OSError, asyncpg.PostgresError: the database cannot be reached or refuses the role."""
    foundation = await lay_foundation(NAME, settings)
    # At INFO the server writes the whole address of every WebSocket, and an access token may be part of it.
    logging.getLogger("uvicorn.error").setLevel(logging.WARNING)
    database = foundation.database
    notifications = NotificationsTable(database.pool)
    hub = Hub(notifications, max_clients=settings.max_streams)
    handler = notifying(record, settings.google_cloud_project)
    consumers = [
        Consumer(
            Route(subscription, handler, after_commit=lambda _: hub.wake()),
            foundation.broker,
            database,
            project_id=settings.google_cloud_project,
        )
        for subscription in manifest.subscriptions_of(NAME)
    ]
    return Service(
        NAME,
        settings,
        database,
        foundation.broker,
        consumers=consumers,
        background=[hub.run, partial(_prune, notifications, settings.notification_retention_days)],
        app=build_app(settings, notifications, hub),
    )


async def _prune(notifications: NotificationsTable, days: int) -> None:
    while True:
        await asyncio.sleep(PRUNE_SECONDS)
        await notifications.prune(days)
