"""The service's door: refreshes by hand, change events, feedback, and what is cached."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import APIRouter, FastAPI, Request
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, StringConstraints

from services.kernel.access import administrator, signed_in
from services.kernel.errors import PermanentError
from services.kernel.http import Problem, add_health, create_app
from services.kernel.identity import TokenVerifier
from services.kernel.jobs.context import JobFailedError
from services.kernel.messaging.push import MAX_PUSH_BYTES
from services.kernel.problems import problems
from services.kernel.sql.guard import Refused
from services.metadata.adapters.records import PostgresFeedback, Verdict
from services.metadata.api.events import EventDoor, events_router
from services.metadata.domain.events import Hint, HintKind
from services.metadata.domain.examples import admitted
from services.metadata.domain.orders import RefreshOrder, targets
from services.metadata.domain.tables import Scope, TableId
from services.metadata.handlers import record_run, summary
from services.metadata.ports import Cache, CachedTable, Hints
from services.metadata.reconcile import Reconciler, Wish
from services.metadata.tally import counting


@dataclass(frozen=True)
class Parts:
    """``budget``: seconds a refresh by hand may take within its request."""

    reconciler: Reconciler
    cache: Cache
    hints: Hints
    feedback: PostgresFeedback
    events: EventDoor
    scope: Scope
    tokens: TokenVerifier
    budget: float


class FeedbackBody(BaseModel):
    model_config = ConfigDict(extra="forbid")

    verdict: Verdict
    corrected_sql: Annotated[str, StringConstraints(max_length=8_000)] = ""
    comment: Annotated[str, StringConstraints(max_length=2_000)] = ""


def build_app(parts: Parts) -> FastAPI:
    app = create_app(
        "QueryCraft metadata",
        "Keeps a cache of BigQuery tables' metadata and examples fresh.",
        max_body=MAX_PUSH_BYTES,
    )
    add_health(app, parts.events.database.ping)
    app.include_router(events_router(parts.events))
    app.include_router(_refreshes(parts))
    app.include_router(_tables(parts))
    return app


def _refreshes(parts: Parts) -> APIRouter:
    router = APIRouter(tags=["refresh"])

    @router.post(
        "/refresh", responses={503: {"description": "The run, nothing refreshed"}, **problems(400, 401, 403, 413, 422)}
    )
    async def refresh(order: RefreshOrder, request: Request) -> JSONResponse:
        """Administrators only. Refresh at once and answer with the run: {status, message, execution_time, updated,
        examples_count, columns_count, tables, failures, calls}. 503 when nothing could be refreshed this time, 422 when
        nothing ever could: the tables are not there, or not ours to read."""
        await administrator(request, parts.tokens)
        try:
            scope = targets(order, parts.scope)
        except JobFailedError as error:
            raise Problem(422, error.code.replace("_", "-"), "The request is not valid", str(error)) from error
        began = time.monotonic()
        wish = Wish(scope, began + parts.budget, reread=bool(order.tables), force=order.force)
        with counting() as calls:
            report = await parts.reconciler.run(wish, _silent)
        seconds = time.monotonic() - began
        answer = summary(report, calls, seconds)
        record_run(answer["status"], report, seconds)
        if answer["status"] == "failed" and all(isinstance(why, PermanentError) for why in report.failures.values()):
            wrong = [{"field": what, "message": str(why)} for what, why in report.failures.items()]
            raise Problem(422, "nothing-to-refresh", "None of these can be refreshed", answer["message"], errors=wrong)
        return JSONResponse(answer, 503 if answer["status"] == "failed" else 200)

    return router


async def _silent(step: str, done: int, of: int) -> None:
    """The answer tells it all."""


def _tables(parts: Parts) -> APIRouter:
    router = APIRouter(tags=["tables"])

    @router.get("/tables", responses=problems(401, 503))
    async def tables(request: Request) -> dict[str, Any]:
        """The index: every cached table."""
        await signed_in(request, parts.tokens)
        return (await parts.cache.index()).index.model_dump(mode="json")

    @router.get("/tables/{table_id}", responses=problems(401, 404, 422, 503))
    async def table(table_id: str, request: Request) -> dict[str, Any]:
        """One table as it is cached."""
        await signed_in(request, parts.tokens)
        found = await _cached(parts, table_id)
        return found.metadata.model_dump(mode="json", by_alias=True)

    @router.post(
        "/tables/{table_id}/examples/{example_id}/feedback",
        status_code=202,
        responses=problems(400, 401, 404, 413, 422, 503),
    )
    async def feedback(table_id: str, example_id: str, body: FeedbackBody, request: Request) -> dict[str, Any]:
        """Say whether an example worked, was wrong or unclear. Its score changes with the refresh this asks for, and a
        correction that runs takes a wrong example's place."""
        identity = await signed_in(request, parts.tokens)
        found = await _cached(parts, table_id)
        if all(example.id != example_id for example in found.metadata.examples):
            raise Problem(404, "unknown-example", "This table has no such example", f"{example_id[:64]!r}")
        if body.corrected_sql:
            try:
                admitted(body.corrected_sql, found.metadata.table)
            except Refused as refused:
                errors = [{"field": "corrected_sql", "message": str(refused)}]
                raise Problem(422, "invalid-request", "The request is not valid", errors=errors) from refused
        table = TableId.parse(table_id)
        await parts.feedback.give(
            table,
            example_id,
            identity.user_id,
            body.verdict,
            corrected_sql=body.corrected_sql,
            comment=body.comment,
        )
        await parts.hints.add([Hint(table, HintKind.CHANGED, "feedback")], parts.events.window)
        votes = (await parts.feedback.votes(table))[example_id]
        return {"example_id": example_id, "feedback": round(votes.score, 4)}

    return router


async def _cached(parts: Parts, table_id: str) -> CachedTable:
    try:
        found = await parts.cache.table(TableId.parse(table_id))
    except ValueError as error:
        raise Problem(404, "unknown-table", "No such table", str(error)) from error
    if found is None:
        raise Problem(404, "unknown-table", "No such table", f"{table_id[:200]!r} is not in the cache")
    return found
