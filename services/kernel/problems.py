"""Error answers as an OpenAPI document shows them."""

from http import HTTPStatus
from typing import Any

from pydantic import BaseModel, ConfigDict


class WrongField(BaseModel):
    field: str
    message: str


class ProblemDetails(BaseModel):
    """``application/problem+json``, RFC 9457; ``errors`` names the fields that were wrong."""

    model_config = ConfigDict(extra="allow")

    type: str
    title: str
    status: int
    detail: str = ""
    errors: list[WrongField] = []


def problems(*statuses: int, **titles: str) -> dict[int | str, dict[str, Any]]:
    """``responses`` of a route: ``problems(422, _404="No such notification")``."""
    schema = ProblemDetails.model_json_schema(ref_template="#/components/schemas/{model}")
    schema["properties"]["errors"]["items"] = WrongField.model_json_schema()
    schema.pop("$defs")
    described = {status: HTTPStatus(status).phrase for status in statuses}
    described |= {int(status.lstrip("_")): title for status, title in titles.items()}
    return {
        status: {"description": title, "content": {"application/problem+json": {"schema": schema}}}
        for status, title in described.items()
    }
