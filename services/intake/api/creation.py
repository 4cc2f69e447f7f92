"""POST: from a request to a new job."""

import json
import uuid

from fastapi import Request, Response
from pydantic import JsonValue
from pydantic_core import to_json

from contracts.jobs import JobType, Priority
from contracts.message import json_text
from services.intake.adapters.jobs import OwnJob
from services.intake.api.answers import answer, queue_disabled
from services.intake.api.bodies import read_body, wrong_field
from services.intake.api.callers import Callers
from services.intake.api.models import MAX_OPTIONS, MAX_OPTIONS_BYTES, CreateJob, JobOptions
from services.intake.api.views import accepted
from services.intake.domain import idempotency
from services.intake.domain.complexity import classify
from services.intake.domain.documents import flaw_of_value
from services.intake.domain.jobs import (
    RESERVED_METADATA,
    Caller,
    IdempotencyClaim,
    NewJob,
    may_retry,
    served_types,
    worker_of,
)
from services.intake.domain.preferences import preference_in
from services.intake.domain.routing import Route, route
from services.intake.door import Door, Retrial
from services.intake.settings import IntakeSettings
from services.kernel import telemetry
from services.kernel.http import Problem

ANSWERING_GRACE = 10.0
"""Seconds past its wait after which an unanswered request is taken for dead."""


class Creation:
    def __init__(self, door: Door, callers: Callers, settings: IntakeSettings) -> None:
        self._door = door
        self._callers = callers
        self._settings = settings

    async def create(self, request: Request) -> Response:
        """Raises Problem: every wrong thing a client can send, and 503 while queueing is switched off."""
        caller = await self._callers.of(request)
        asked = await read_body(request, CreateJob)
        preference = preference_in(request.headers.get("prefer"))
        complexity = classify(asked.type, asked.query)
        way = route(
            complexity,
            preference,
            queue=self._settings.enable_job_queue,
            by_complexity=self._settings.enable_complexity_routing,
        )
        worker = served(asked.type)
        options = checked_options(asked.options)
        if way.refused:
            raise queue_disabled("only simple queries are answered now, and this one is complex")
        job_id = uuid.uuid4()
        estimated_time = self._door.estimates.seconds(asked.type, worker)
        body = accepted(job_id, estimated_time)
        payload: dict[str, object] = {
            "type": asked.type,
            "query": asked.query,
            "options": asked.options.model_dump(mode="json"),
        }
        metadata = {**asked.options.metadata, "routing": complexity.explained(), **caller.credentials}
        job = NewJob(
            id=job_id,
            caller=caller,
            type=asked.type,
            worker=worker,
            query=asked.query,
            priority=asked.options.priority,
            metadata=to_json(metadata).decode(),
            options=to_json(options).decode(),
            traceparent=telemetry.current_traceparent(),
            idempotency=_claim(request, caller, "create", payload, body, way),
        )
        outcome = await self._door.submit(job, body, way)
        return answer(outcome, preference, self._door.limit, estimated_time)

    async def retry(self, request: Request, job_id: uuid.UUID) -> Response:
        """Raises Problem: 404 no such job of the caller's, 409 it has not failed."""
        caller = await self._callers.of(request)
        new_id = uuid.uuid4()
        estimated_time = 1

        def again(own: OwnJob) -> Retrial:
            nonlocal estimated_time
            if not may_retry(own.status):
                raise Problem(
                    409, "job-not-failed", "Only a failed job can be tried again", f"this one is {own.status}"
                )
            worker = served(JobType(own.type))
            estimated_time = self._door.estimates.seconds(own.type, worker)
            body = accepted(new_id, estimated_time)
            claim = _claim(request, caller, f"retry:{job_id}", {}, body, Route())
            return Retrial(_retrial(own, new_id, job_id, caller, worker, claim), body)

        outcome = await self._door.retry(job_id, caller, again)
        if outcome is None:
            raise Problem(404, "job-not-found", "There is no such job of yours", f"no job {job_id} of this caller")
        return answer(outcome, preference_in(None), self._door.limit, estimated_time)


def served(job_type: JobType) -> str:
    """The worker of ``job_type``. Raises Problem: 422, nobody serves it."""
    worker = worker_of(job_type)
    if worker is None:
        types = served_types()
        raise wrong_field(
            "type",
            f"no worker serves {job_type.value!r}; served are: {', '.join(types)}",
            code="job-type-not-served",
            extra={"served": types},
        )
    return worker


def checked_options(asked: JobOptions) -> dict[str, JsonValue]:
    """The options besides priority and metadata. Raises Problem: 422, what they hold cannot be kept."""
    options = asked.__pydantic_extra__ or {}
    if len(options) > MAX_OPTIONS - 2:
        raise wrong_field("options", f"may have at most {MAX_OPTIONS} members")
    for name, value in options.items():
        if flaw := flaw_of_value({name: value}):
            raise wrong_field(f"options.{name!a}", flaw)
    if len(to_json(options)) + len(to_json(asked.metadata)) > MAX_OPTIONS_BYTES:
        raise wrong_field("options", f"may take at most {MAX_OPTIONS_BYTES:,} bytes as JSON")
    return options


def _claim(
    request: Request, caller: Caller, operation: str, payload: dict[str, object], body: str, way: Route
) -> IdempotencyClaim | None:
    header = request.headers.get("idempotency-key")
    if header is None:
        return None
    key = idempotency.key_in(header)
    if key is None:
        message = f"must be 1 to {idempotency.MAX_KEY} visible ASCII characters"
        raise Problem(
            400,
            "invalid-idempotency-key",
            "The idempotency key is not valid",
            message,
            errors=[{"field": "Idempotency-Key", "message": message}],
        )
    fingerprint = idempotency.fingerprint_of(operation, payload)
    wait = way.wait + ANSWERING_GRACE if way.wait else 0.0
    return IdempotencyClaim(caller.idempotency_scope, key, fingerprint, body, wait)


def _retrial(
    own: OwnJob, new_id: uuid.UUID, old_id: uuid.UUID, caller: Caller, worker: str, claim: IdempotencyClaim | None
) -> NewJob:
    kept = {
        name: value for name, value in json.loads(own.metadata).items() if name not in RESERVED_METADATA - {"routing"}
    }
    return NewJob(
        id=new_id,
        caller=caller,
        type=JobType(own.type),
        worker=worker,
        query=own.query,
        priority=Priority(own.priority),
        metadata=json_text({**kept, "retryOf": str(old_id), **caller.credentials}),
        options=own.options,
        traceparent=telemetry.current_traceparent(),
        idempotency=claim,
    )
