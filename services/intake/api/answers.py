"""Outcomes at the door, as HTTP answers."""

import math

from fastapi import Response

from services.intake.adapters.creation import Admission, RateLimit
from services.intake.api.views import job_view, poll_url
from services.intake.domain.idempotency import Verdict
from services.intake.domain.preferences import Preference
from services.intake.door import Accepted, Answered, Conflict, Limited, NotAnswered, Outcome
from services.kernel.http import Problem

MAX_RETRY_AFTER = 10
DISABLED_RETRY_AFTER = 60


def answer(outcome: Outcome, preference: Preference, limit: RateLimit, estimated_time: int) -> Response:
    """The response to a creation. Raises Problem: 409, 422, 429 or 503, as the outcome says."""
    headers = _limit_headers(outcome.admission, limit)
    if preference.applied:
        headers["Preference-Applied"] = preference.applied
    match outcome:
        case Accepted():
            headers["Location"] = poll_url(outcome.job_id)
            headers["Retry-After"] = str(min(max(1, estimated_time // 2), MAX_RETRY_AFTER))
            return Response(outcome.body.encode(), 202, headers, "application/json")
        case Answered():
            headers["Location"] = headers["Content-Location"] = poll_url(outcome.job.id)
            return Response(job_view(outcome.job), 200, headers, "application/json")
        case Limited():
            wait = max(1, math.ceil(outcome.admission.debt - (limit.burst - 1) * limit.interval))
            raise Problem(
                429,
                "rate-limited",
                "Too many jobs at once",
                f"{limit.per_second:g} jobs a second and {limit.burst} at once are allowed; try again in {wait} s",
                headers={**headers, "Retry-After": str(wait)},
            )
        case NotAnswered():
            raise queue_disabled("the query took longer than a request may, and was cancelled", headers)
        case Conflict():
            raise _key_conflict(outcome.verdict, headers)


def queue_disabled(detail: str, headers: dict[str, str] | None = None) -> Problem:
    """The operator has switched queueing off and this query cannot be answered at once."""
    retry = {"Retry-After": str(DISABLED_RETRY_AFTER)}
    return Problem(
        503, "job-queue-disabled", "The job queue is switched off", detail, headers={**(headers or {}), **retry}
    )


def _key_conflict(verdict: Verdict, headers: dict[str, str]) -> Problem:
    if verdict is Verdict.IN_FLIGHT:
        message = "a request with this key is still being answered"
        return Problem(
            409,
            "idempotency-key-in-flight",
            "The first request is not finished",
            message,
            errors=[{"field": "Idempotency-Key", "message": message}],
            headers={**headers, "Retry-After": "1"},
        )
    message = "this key was used with another payload"
    return Problem(
        422,
        "idempotency-key-reused",
        "An idempotency key belongs to one payload",
        message,
        errors=[{"field": "Idempotency-Key", "message": message}],
        headers=headers,
    )


def _limit_headers(admission: Admission, limit: RateLimit) -> dict[str, str]:
    """Source: draft-ietf-httpapi-ratelimit-headers. ``t``: seconds until the whole burst is there again."""
    remaining = max(0, math.floor(limit.burst - admission.debt * limit.per_second + 1e-6))
    return {
        "RateLimit-Policy": f'"jobs";q={limit.burst};w={max(1, math.ceil(limit.burst * limit.interval))}',
        "RateLimit": f'"jobs";r={remaining};t={max(0, math.ceil(admission.debt))}',
    }
