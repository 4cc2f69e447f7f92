"""The HTTP application: every router, the document, and what an outage looks like from outside."""

from collections.abc import Awaitable, Callable
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.openapi.utils import get_openapi
from starlette.types import ASGIApp, Receive, Scope, Send

from services.intake.api import events, jobs, schedules
from services.intake.api.callers import Callers
from services.intake.api.creation import Creation
from services.intake.domain.jobs import served_types
from services.intake.door import Door
from services.intake.settings import IntakeSettings
from services.kernel.database.pool import OUTAGE
from services.kernel.http import MAX_BODY_BYTES, Problem, add_health, create_app
from services.kernel.identity import TokenVerifier
from services.kernel.messaging.push import MAX_PUSH_BYTES

MAX_QUERY_STRING = 4_096
_DESCRIPTION = """Submit a job, watch it, cancel it.

Served job types: {types}. Send `Authorization: Bearer <JWT>` to own your jobs; without it you are anonymous,
and anonymous jobs belong to everybody who is. Anyone may read. Errors are RFC 9457 problems.
"""


def build_app(door: Door, settings: IntakeSettings, ready: Callable[[], Awaitable[None]]) -> FastAPI:
    # A push is larger than anything a client may send; clients' bodies have their own limit where they are read.
    most = MAX_PUSH_BYTES if settings.delivery == "push" else MAX_BODY_BYTES
    app = create_app("QueryCraft intake", _DESCRIPTION.format(types=", ".join(served_types())), max_body=most)
    for outage in OUTAGE:
        app.add_exception_handler(outage, _on_outage)
    app.add_middleware(QueryStringLimit)
    if settings.cors_origins:
        from fastapi.middleware.cors import CORSMiddleware

        app.add_middleware(
            CORSMiddleware,
            allow_origins=settings.cors_origins,
            allow_methods=["GET", "POST", "PUT", "DELETE"],
            allow_headers=[
                "Authorization",
                "Content-Type",
                "Idempotency-Key",
                "Last-Event-ID",
                "Prefer",
                "traceparent",
            ],
            expose_headers=[
                "Location",
                "Retry-After",
                "RateLimit",
                "RateLimit-Policy",
                "Preference-Applied",
                "trace-id",
            ],
        )
    callers = Callers(TokenVerifier(settings))
    creation = Creation(door, callers, settings)
    app.include_router(jobs.direct_router(door, creation))
    app.include_router(jobs.router(door, creation, callers))
    app.include_router(events.router(door))
    app.include_router(schedules.router(door.database, callers))
    add_health(app, ready)
    _document(app)
    return app


def _document(app: FastAPI) -> None:
    """Adds to FastAPI's document what its routes do not say: the problem's schema and bearer tokens."""

    def openapi() -> dict[str, Any]:
        if not app.openapi_schema:
            document = get_openapi(title=app.title, version=app.version, description=app.description, routes=app.routes)
            components = document.setdefault("components", {})
            components["securitySchemes"] = {"bearer": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}}
            app.openapi_schema = document
        return app.openapi_schema

    app.openapi = openapi  # type: ignore[method-assign]


async def _on_outage(_: Request, error: Exception) -> Response:
    problem = Problem(
        503, "database-unreachable", "Try again later", type(error).__name__, headers={"Retry-After": "1"}
    )
    return problem.response()


class QueryStringLimit:
    """Refuses a query string over the limit with 414 (RFC 9110), before anything parses it."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and len(scope["query_string"]) > MAX_QUERY_STRING:
            problem = Problem(414, "query-too-long", f"The query string may have at most {MAX_QUERY_STRING:,} bytes")
            await problem.response()(scope, receive, send)
            return
        await self._app(scope, receive, send)
