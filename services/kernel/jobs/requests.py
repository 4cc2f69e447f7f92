"""What a client asked of a job, validated: every complaint names the field."""

import json
from collections.abc import Mapping
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from services.kernel.jobs.context import JobFailedError

M = TypeVar("M", bound=BaseModel)

INVALID = "invalid_request"
CALLER_ROLES, SCHEDULE = "callerRoles", "schedule"
"""Members of a job's metadata that the door writes and clients may not: roles of the signed-in sender, and the name
of the schedule, set up by an administrator, whose job it is."""


def json_object(query: str) -> dict[str, Any] | None:
    """The JSON object that ``query`` holds, or None when it does not begin like one.

    Raises:
        JobFailedError: it begins like a JSON object and is none.
    """
    if not query.lstrip().startswith("{"):
        return None
    try:
        value = json.loads(query)
    except (ValueError, RecursionError) as error:
        raise JobFailedError(f"query: this is not valid JSON: {error}", code=INVALID) from error
    if not isinstance(value, dict):
        raise JobFailedError("query: write one JSON object", code=INVALID)
    return value


def validated(model: type[M], fields: Mapping[str, Any]) -> M:
    """``fields`` as ``model``.

    Raises:
        JobFailedError: one sentence per wrong field, the field's name first.
    """
    try:
        return model.model_validate(fields)
    except ValidationError as error:
        complaints = [
            f"{'.'.join(str(part) for part in entry['loc']) or 'query'}: {entry['msg']}" for entry in error.errors()
        ]
        raise JobFailedError("; ".join(complaints), code=INVALID) from error
