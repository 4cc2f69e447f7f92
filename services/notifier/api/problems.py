"""The shape of error answers, for the API's description."""

from typing import Any

from pydantic import BaseModel


class WrongField(BaseModel):
    field: str
    message: str


class ProblemDetails(BaseModel):
    """RFC 9457."""

    type: str
    title: str
    status: int
    detail: str = ""
    errors: list[WrongField] = []


def problems(**titles: str) -> dict[int | str, dict[str, Any]]:
    """``responses`` of a route: ``problems(_404="No such notification")``."""
    schema = ProblemDetails.model_json_schema(ref_template="#/components/schemas/{model}")
    schema.pop("$defs", None)
    return {
        int(status.lstrip("_")): {"description": title, "content": {"application/problem+json": {"schema": schema}}}
        for status, title in titles.items()
    }
