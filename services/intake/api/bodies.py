"""Request bodies: every way to send a wrong one has its own answer, naming the field."""

from typing import Any, TypeVar

from fastapi import Request
from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from services.kernel.http import MAX_BODY_BYTES, Problem

M = TypeVar("M", bound=BaseModel)

MAX_ERRORS = 20


async def read_body(request: Request, model: type[M]) -> M:
    """The request's JSON body as ``model``.

    Raises:
        Problem: 415 another media type, 400 not UTF-8 or not JSON, 422 not this model, 413 too large.
    """
    media_type = request.headers.get("content-type", "").split(";")[0].strip().lower()
    if media_type != "application/json":
        raise Problem(
            415,
            "unsupported-media-type",
            "The body must be application/json",
            f"Content-Type is {media_type!r}" if media_type else "there is no Content-Type header",
            errors=[{"field": "Content-Type", "message": "must be application/json"}],
        )
    raw = await request.body()
    if len(raw) > MAX_BODY_BYTES:
        raise Problem(413, "body-too-large", f"The request body may have at most {MAX_BODY_BYTES:,} bytes")
    return parse(raw, model)


def parse(raw: bytes, model: type[M]) -> M:
    """Raises Problem: see ``read_body``."""
    try:
        raw.decode()
    except UnicodeDecodeError as error:
        raise Problem(
            400, "invalid-utf8", "The body is not UTF-8", f"byte {error.start} does not continue a character"
        ) from error
    try:
        return model.model_validate_json(raw)
    except ValidationError as error:
        errors = error.errors(include_url=False, include_context=False, include_input=False)
        if errors[0]["type"] == "json_invalid":
            raise Problem(400, "malformed-json", "The body is not JSON", errors[0]["msg"]) from error
        raise invalid(errors) from error


def invalid(errors: list[ErrorDetails]) -> Problem:
    return Problem(
        422,
        "invalid-request",
        "The request is not valid",
        errors=[{"field": _path(entry["loc"]), "message": entry["msg"]} for entry in errors[:MAX_ERRORS]],
    )


def wrong_field(
    field: str, message: str, *, code: str = "invalid-request", extra: dict[str, Any] | None = None
) -> Problem:
    """A 422 about one field."""
    return Problem(422, code, "The request is not valid", errors=[{"field": field, "message": message}], extra=extra)


def _path(location: tuple[int | str, ...]) -> str:
    return ".".join(str(part) for part in location) or "body"
