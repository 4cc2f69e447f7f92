"""/api/ai/jobs: create, read, list, cancel, try again."""

import re
import uuid
from typing import Annotated

from fastapi import APIRouter, Query, Request, Response

from contracts.jobs import JobType
from services.intake.adapters.jobs import Filter, page
from services.intake.api.bodies import wrong_field
from services.intake.api.callers import Callers
from services.intake.api.creation import Creation
from services.intake.api.direct import DirectRoute, inlined_schema
from services.intake.api.models import AcceptedJob, CreateJob, JobPage, JobView
from services.intake.api.views import decode_cursor, job_page, job_view
from services.intake.domain.documents import flaw_of_text
from services.intake.domain.jobs import Job, Status
from services.intake.door import Door
from services.kernel.http import Problem
from services.kernel.problems import problems

MAX_LIMIT = 100
MAX_USER = 255
JSON = "application/json"

_UUID = re.compile(r"^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}\Z")
_JOB_ID = {"name": "job_id", "in": "path", "required": True, "schema": {"type": "string", "format": "uuid"}}
_CREATE_HEADERS = [
    {
        "name": "Idempotency-Key",
        "in": "header",
        "required": False,
        "description": "Remembered for 24 hours: the same key and payload get the same job and answer.",
        "schema": {"type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[!-~]+$"},
    },
    {
        "name": "Prefer",
        "in": "header",
        "required": False,
        "description": "RFC 7240: `wait=n` waits up to n seconds (at most 30), `respond-async` does not wait; "
        "other preferences are ignored.",
        "schema": {"type": "string", "examples": ["respond-async", "wait=0", "wait=5"]},
    },
]


def parse_job_id(text: str) -> uuid.UUID:
    """Raises Problem: 422, not a UUID in its usual form."""
    if not _UUID.match(text):
        raise wrong_field("job_id", "must be a UUID")
    return uuid.UUID(text)


async def existing(door: Door, job_id: uuid.UUID) -> Job:
    """Raises Problem: 404."""
    job = await door.read(job_id)
    if job is None:
        raise Problem(404, "job-not-found", "There is no such job", f"no job has the id {job_id}")
    return job


def direct_router(door: Door, creation: Creation) -> APIRouter:
    """The two operations that clients repeat most."""
    router = APIRouter(prefix="/api/ai/jobs", tags=["jobs"], route_class=DirectRoute)

    async def create_job(request: Request) -> Response:
        """Every request becomes a job. A simple query is answered at once when it is done within 5 seconds."""
        return await creation.create(request)

    async def read_job(request: Request) -> Response:
        return Response(job_view(await existing(door, parse_job_id(request.path_params["job_id"]))), media_type=JSON)

    router.add_api_route(
        "",
        create_job,
        methods=["POST"],
        status_code=202,
        responses={
            200: {"model": JobView, "description": "Done while the client waited"},
            202: {"model": AcceptedJob, "description": "Queued; poll the Location"},
            **problems(400, 401, 409, 413, 415, 422, 429, 503),
        },
        openapi_extra={
            "parameters": _CREATE_HEADERS,
            "requestBody": {"required": True, "content": {JSON: {"schema": inlined_schema(CreateJob)}}},
        },
    )
    router.add_api_route(
        "/{job_id}",
        read_job,
        methods=["GET"],
        responses={200: {"model": JobView}, **problems(404, 422, 503)},
        openapi_extra={"parameters": [_JOB_ID]},
    )
    return router


def router(door: Door, creation: Creation, callers: Callers) -> APIRouter:
    router = APIRouter(prefix="/api/ai/jobs", tags=["jobs"])

    @router.get("", responses={200: {"model": JobPage}, **problems(400, 422, 503)}, response_class=Response)
    async def list_jobs(
        status: Status | None = None,
        type: JobType | None = None,  # noqa: A002 - the query parameter's name
        user: Annotated[str | None, Query(min_length=1, max_length=MAX_USER)] = None,
        limit: Annotated[int, Query(ge=1, le=MAX_LIMIT)] = 20,
        cursor: Annotated[str | None, Query(max_length=64, description="`nextCursor` of the previous page")] = None,
    ) -> Response:
        """Newest first. Results are left out: read the job for its result."""
        if user is not None and (flaw := flaw_of_text(user)):
            raise wrong_field("user", flaw)
        try:
            before = None if cursor is None else decode_cursor(cursor)
        except ValueError as error:
            raise wrong_field("cursor", str(error)) from error
        found = await page(door.database.pool, Filter(status, type, user, before), limit + 1)
        return Response(job_page(found[:limit], len(found) > limit), media_type=JSON)

    @router.delete(
        "/{job_id}", responses={200: {"model": JobView}, **problems(401, 404, 409, 422, 503)}, response_class=Response
    )
    async def cancel_job(request: Request, job_id: uuid.UUID) -> Response:
        """A queued job never starts; a running one stops at its next step. Only the owner may cancel."""
        caller = await callers.of(request)
        cancelled = await door.cancel(job_id, caller)
        job = await existing(door, job_id)
        if cancelled:
            return Response(job_view(job), media_type=JSON)
        if not job.is_owned_by(caller):
            raise Problem(404, "job-not-found", "There is no such job of yours", f"no job {job_id} of this caller")
        raise Problem(409, "job-has-ended", "The job has already ended", f"it is {job.status}")

    @router.post(
        "/{job_id}/retry",
        status_code=202,
        responses={202: {"model": AcceptedJob}, **problems(400, 401, 404, 409, 422, 429, 503)},
        response_class=Response,
    )
    async def retry_job(request: Request, job_id: uuid.UUID) -> Response:
        """A failed job is tried again as a new one; the failed one stays as it ended."""
        return await creation.retry(request, job_id)

    return router
