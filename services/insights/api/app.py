"""The insights service's HTTP door: recommendations, score predictions, patterns."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from fastapi import APIRouter, Depends, FastAPI, Request, Response, Security
from fastapi.security import HTTPBearer
from pydantic import BaseModel

from services.insights.access import NotAllowed, Reader
from services.insights.api.models import (
    Contents,
    ContentsRequest,
    HealthView,
    PatternsRequest,
    PatternsView,
    ScoreRequest,
    ScoreView,
)
from services.insights.insights import Insights
from services.insights.learners import Cache
from services.insights.settings import InsightsSettings
from services.kernel.access import identity_of
from services.kernel.database.pool import OUTAGE
from services.kernel.http import MAX_BODY_BYTES, Problem, add_health, create_app
from services.kernel.identity import TokenVerifier
from services.kernel.messaging.push import MAX_PUSH_BYTES
from services.kernel.problems import problems

_DESCRIPTION = """What to try next, what score to expect, and how a learner works. Ids nobody has heard of get an
answer for an average learner, marked `cold_start`. Learners ask about themselves; staff and administrators about
anybody. Errors are RFC 9457 problems."""
JSON = "application/json"
Bearer = Security(HTTPBearer(auto_error=False, description="Who asks: a learner, staff or an administrator."))
"""Shows the scheme on the docs page; ``identity_of`` reads the header itself, to tell no token from a bad one."""
ERRORS = (400, 401, 403, 413, 422, 503)
Answer = Callable[[], Awaitable[BaseModel]]


def build_app(insights: Insights, settings: InsightsSettings, ready: Callable[[], Awaitable[None]]) -> FastAPI:
    most = MAX_PUSH_BYTES if settings.delivery == "push" else MAX_BODY_BYTES
    app = create_app("QueryCraft insights", _DESCRIPTION, max_body=most)
    for outage in OUTAGE:
        app.add_exception_handler(outage, _on_outage)
    if settings.cors_origins:
        from fastapi.middleware.cors import CORSMiddleware

        app.add_middleware(
            CORSMiddleware,
            allow_origins=settings.cors_origins,
            allow_methods=["GET", "POST"],
            allow_headers=["Authorization", "Content-Type", "traceparent"],
            expose_headers=["trace-id"],
        )
    app.include_router(_router(insights, Cache(settings.cached_answers), _door(settings)))

    @app.get("/health", tags=["operations"], responses=problems(503))
    async def health() -> HealthView:
        """Which model serves, and how many items it knows of."""
        catalogue = await insights.catalogue()
        return HealthView(status="ok", model_id=catalogue.model.id, items=len(catalogue.entries))

    add_health(app, ready)
    return app


def _door(settings: InsightsSettings) -> Callable[[Request], Awaitable[Reader]]:
    verifier, policy = TokenVerifier(settings), settings.policy

    async def reader(request: Request) -> Reader:
        """Raises Problem: 401, nobody signed in where somebody must be, or a token that proves nobody."""
        identity = await identity_of(request, verifier)
        if identity is not None:
            return policy.reader(identity.user_id, identity.roles)
        if not policy.open_to_anonymous:
            raise Problem(401, "sign-in-required", "Sign in first", headers={"WWW-Authenticate": "Bearer"})
        return policy.reader(None, ())

    return reader


def _router(insights: Insights, cache: Cache[bytes], door: Callable[[Request], Awaitable[Reader]]) -> APIRouter:
    router = APIRouter(prefix="/api", tags=["insights"], dependencies=[Bearer])
    signed_in = Depends(door)

    async def cached(caller: Reader, request: BaseModel, student_id: str, answer: Answer) -> Response:
        """The same bytes while neither the learner, the items, the model nor the day has changed."""
        try:
            caller.must_see([student_id])
        except NotAllowed as error:
            raise Problem(403, "not-allowed", "This is not yours to know", str(error)) from error
        key = (type(request).__name__, request.model_dump_json(), await insights.version(student_id))
        body = cache.get(key)
        if body is None:
            body = (await answer()).model_dump_json().encode()
            cache.put(key, body)
        return Response(body, media_type=JSON)

    @router.post(
        "/recommendations/contents",
        response_class=Response,
        responses={200: {"model": Contents}, **problems(*ERRORS)},
    )
    async def recommend_contents(asked: ContentsRequest, caller: Reader = signed_in) -> Response:
        """Items the learner has not seen, with a reason for each in Korean and English."""
        return await cached(
            caller, asked, asked.student_id, lambda: insights.contents(asked.student_id, asked.subject_ids, asked.limit)
        )

    @router.post(
        "/predictions/score",
        response_class=Response,
        responses={200: {"model": ScoreView}, **problems(*ERRORS)},
    )
    async def predict_score(asked: ScoreRequest, caller: Reader = signed_in) -> Response:
        """The share of correct answers to expect in a subject on a date, with an 80 % interval."""
        student, subject, target = asked.student_id, asked.subject_id, asked.target_date
        return await cached(caller, asked, student, lambda: insights.score(student, subject, target))

    @router.post(
        "/analytics/patterns",
        response_class=Response,
        responses={200: {"model": PatternsView}, **problems(*ERRORS)},
    )
    async def analyse_patterns(asked: PatternsRequest, caller: Reader = signed_in) -> Response:
        """When the learner works and what is strong or weak; what rests on too little is hidden."""
        return await cached(caller, asked, asked.student_id, lambda: insights.patterns(asked.student_id))

    return router


async def _on_outage(_: Request, error: Exception) -> Response:
    return Problem(
        503, "database-unreachable", "Try again later", type(error).__name__, headers={"Retry-After": "1"}
    ).response()
