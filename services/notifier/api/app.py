"""The notifier's HTTP door."""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import cast

from fastapi import FastAPI, Request
from fastapi.exceptions import WebSocketRequestValidationError
from fastapi.responses import Response
from starlette.types import ExceptionHandler

from services.kernel.database.pool import OUTAGE
from services.kernel.http import MAX_BODY_BYTES, Problem, add_health, create_app
from services.kernel.identity import TokenVerifier
from services.kernel.messaging.push import MAX_PUSH_BYTES
from services.notifier.adapters.delivery_log import DeliveryLog
from services.notifier.adapters.webhooks import WebhooksTable
from services.notifier.api.deliveries import delivery_routes
from services.notifier.api.listing import listing
from services.notifier.api.mail import Mail, add_mail_routes
from services.notifier.api.receivers import Owner, receiver_routes
from services.notifier.api.sse import server_sent_events
from services.notifier.api.webhooks import add_webhook_routes
from services.notifier.api.websocket import refuse_socket, web_socket
from services.notifier.hub import Hub
from services.notifier.ports import Notifications
from services.notifier.receivers import Subscription, Webhook
from services.notifier.settings import NotifierSettings

_logger = logging.getLogger(__name__)

_DESCRIPTION = """
Notifications about jobs, graded answers and alerts: as a list, as server-sent events, over a WebSocket, to webhooks
and by e-mail.

Who sees what: administrators see everything. A signed-in caller sees its own notifications and broadcasts. Anybody
sees broadcasts, and what concerns a job without an owner when naming the job's id in `about`.

Webhooks post the same to a URL, signed as [Standard Webhooks](https://www.standardwebhooks.com) describe. A webhook or
an e-mail subscription may ask for storms as one digest (`digest_seconds`) and for quiet hours, and change what it asks
for at any time (`PATCH`); what is critical comes at once. Streams and the list carry everything.
"""


@dataclass(frozen=True)
class Parts:
    """What the routes stand on. ``due``: call when a delivery has become due."""

    notifications: Notifications
    hub: Hub
    webhooks: WebhooksTable
    deliveries: DeliveryLog
    mail: Mail
    due: Callable[[], None]


def build_app(settings: NotifierSettings, parts: Parts) -> FastAPI:
    pushed = settings.delivery == "push"
    app = create_app("QueryCraft notifier", _DESCRIPTION, max_body=MAX_PUSH_BYTES if pushed else MAX_BODY_BYTES)
    if settings.cors_origins:
        from starlette.middleware.cors import CORSMiddleware

        app.add_middleware(CORSMiddleware, allow_origins=list(settings.cors_origins), allow_headers=["Authorization"])
    verifier = TokenVerifier(settings)
    # The stream's path comes before /notifications/{notification_id}.
    app.include_router(server_sent_events(parts.hub, verifier, settings.stream_seconds))
    app.include_router(web_socket(parts.hub, verifier, settings.stream_seconds))
    app.include_router(listing(parts.notifications, verifier))
    _include_webhooks(app, verifier, parts, allow_loopback=settings.webhook_allow_loopback)
    _include_mail(app, verifier, parts.mail)
    app.add_exception_handler(WebSocketRequestValidationError, cast(ExceptionHandler, refuse_socket))

    async def ready() -> None:
        await parts.notifications.latest()

    add_health(app, ready)
    for outage in OUTAGE:
        app.add_exception_handler(outage, _unavailable)
    return app


def _include_webhooks(app: FastAPI, verifier: TokenVerifier, parts: Parts, *, allow_loopback: bool) -> None:
    owner = Owner("webhooks", verifier, parts.webhooks)
    routes = receiver_routes(owner, Webhook, parts.webhooks, parts.due)
    add_webhook_routes(routes, owner, parts.webhooks, allow_loopback=allow_loopback)
    app.include_router(routes)
    app.include_router(delivery_routes(owner.path, parts.deliveries, owner.receiver_id, parts.due))


def _include_mail(app: FastAPI, verifier: TokenVerifier, mail: Mail) -> None:
    owner = Owner("email-subscriptions", verifier, mail.subscriptions)
    routes = receiver_routes(owner, Subscription, mail.subscriptions, mail.due)
    add_mail_routes(routes, owner, mail)
    app.include_router(routes)
    app.include_router(delivery_routes(owner.path, mail.deliveries, owner.receiver_id, mail.due))


async def _unavailable(_: Request, error: Exception) -> Response:
    _logger.warning("the database is out of reach: %s", error, extra={"action": "http.unavailable"})
    return Problem(503, "unavailable", "Try again later", headers={"Retry-After": "1"}).response()
