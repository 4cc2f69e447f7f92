"""/api/ai/schedules: the cron table, for administrators."""

import json
from datetime import UTC, datetime
from typing import Annotated

from fastapi import APIRouter, Path, Request, Response
from pydantic import BaseModel, Field, StringConstraints

from contracts.jobs import JobType, Priority
from contracts.message import json_text
from services.intake.adapters import schedules
from services.intake.api.bodies import read_body, wrong_field
from services.intake.api.callers import Callers
from services.intake.api.creation import checked_options, served
from services.intake.api.direct import inlined_schema
from services.intake.api.jobs import JSON
from services.intake.api.models import JobOptions, Query, Wire
from services.intake.domain.documents import flaw_of_text
from services.intake.domain.schedules import Schedule, next_due
from services.kernel.database.unit_of_work import Database
from services.kernel.http import Problem
from services.kernel.problems import problems

Name = Annotated[str, Path(pattern=r"^[a-z0-9][a-z0-9-]{0,62}$")]
_SECURITY: list[dict[str, list[str]]] = [{"bearer": []}]


class ScheduleBody(BaseModel):
    """``cron``: five fields. ``timezone``: an IANA name."""

    model_config = {"extra": "forbid"}

    cron: Annotated[str, StringConstraints(min_length=9, max_length=100)]
    timezone: Annotated[str, StringConstraints(min_length=1, max_length=64)] = "UTC"
    type: JobType
    query: Query
    options: JobOptions = Field(default_factory=JobOptions)
    enabled: bool = True


class ScheduleView(Wire):
    name: str
    cron: str
    timezone: str
    type: str
    query: str
    priority: Priority
    options: dict[str, object]
    metadata: dict[str, object]
    enabled: bool
    next_due_at: datetime | None


class ScheduleList(Wire):
    schedules: list[ScheduleView]


def router(database: Database, callers: Callers) -> APIRouter:
    router = APIRouter(prefix="/api/ai/schedules", tags=["schedules"])

    @router.get("", responses=problems(401, 403, 503), openapi_extra={"security": _SECURITY})
    async def list_schedules(request: Request) -> ScheduleList:
        await callers.admin(request)
        return ScheduleList(schedules=[_view(schedule) for schedule in await schedules.every(database.pool)])

    @router.get("/{name}", responses=problems(401, 403, 404, 422, 503), openapi_extra={"security": _SECURITY})
    async def read_schedule(request: Request, name: Name) -> ScheduleView:
        await callers.admin(request)
        schedule = await schedules.read(database.pool, name)
        if schedule is None:
            raise _unknown(name)
        return _view(schedule)

    @router.put(
        "/{name}",
        responses={201: {"model": ScheduleView}, **problems(400, 401, 403, 413, 415, 422, 503)},
        openapi_extra={
            "security": _SECURITY,
            "requestBody": {"required": True, "content": {JSON: {"schema": inlined_schema(ScheduleBody)}}},
        },
    )
    async def put_schedule(request: Request, response: Response, name: Name) -> ScheduleView:
        """Create the schedule (201) or replace it (200)."""
        await callers.admin(request)
        schedule = _schedule(name, await read_body(request, ScheduleBody))
        response.status_code = 201 if await schedules.put(database.pool, schedule) else 200
        return _view(schedule)

    @router.delete(
        "/{name}", status_code=204, responses=problems(401, 403, 404, 422, 503), openapi_extra={"security": _SECURITY}
    )
    async def delete_schedule(request: Request, name: Name) -> None:
        await callers.admin(request)
        if not await schedules.delete(database.pool, name):
            raise _unknown(name)

    return router


def _schedule(name: str, body: ScheduleBody) -> Schedule:
    served(body.type)
    for field, text in (("cron", body.cron), ("timezone", body.timezone)):
        if flaw := flaw_of_text(text):
            raise wrong_field(field, flaw)
    if len(body.cron.split()) != 5:
        raise wrong_field("cron", "must have the five fields minute, hour, day, month and weekday")
    try:
        due = next_due(body.cron, body.timezone, datetime.now(UTC))
    except ValueError as error:
        raise wrong_field("timezone" if "time zone" in str(error) else "cron", str(error)) from error
    return Schedule(
        name=name,
        cron=body.cron,
        timezone=body.timezone,
        type=body.type,
        query=body.query,
        priority=body.options.priority,
        options=json_text(checked_options(body.options)),
        metadata=json_text(body.options.metadata),
        enabled=body.enabled,
        next_due_at=due,
    )


def _view(schedule: Schedule) -> ScheduleView:
    return ScheduleView(
        name=schedule.name,
        cron=schedule.cron,
        timezone=schedule.timezone,
        type=schedule.type,
        query=schedule.query,
        priority=Priority(schedule.priority),
        options=json.loads(schedule.options),
        metadata=json.loads(schedule.metadata),
        enabled=schedule.enabled,
        next_due_at=schedule.next_due_at,
    )


def _unknown(name: str) -> Problem:
    return Problem(404, "schedule-not-found", "There is no such schedule", f"no schedule is named {name!r}")
