"""What goes over the wire, as the API's document shows it."""

import uuid
from datetime import datetime
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, JsonValue, StringConstraints
from pydantic.alias_generators import to_camel

from contracts.jobs import JobType, Priority
from services.intake.domain.documents import flaw_of_text, flaw_of_value
from services.intake.domain.jobs import RESERVED_METADATA, Status

MAX_QUERY = 20_000
MAX_OPTIONS = 50
MAX_METADATA = 50
MAX_OPTIONS_BYTES = 65_536


def _keepable_text(text: str) -> str:
    if flaw := flaw_of_text(text):
        raise ValueError(flaw)
    if not text.strip():
        raise ValueError("must not be blank")
    return text


def _keepable_value(value: Any) -> Any:
    if flaw := flaw_of_value(value):
        raise ValueError(flaw)
    return value


def _unreserved(metadata: dict[str, JsonValue]) -> dict[str, JsonValue]:
    if taken := RESERVED_METADATA & metadata.keys():
        raise ValueError(f"the platform writes {', '.join(sorted(taken))} itself")
    return metadata


Query = Annotated[
    str,
    StringConstraints(min_length=1, max_length=MAX_QUERY, pattern=r"\S"),
    AfterValidator(_keepable_text),
    Field(description="What is asked: plain language or SQL, as the job's type takes it."),
]
Metadata = Annotated[
    dict[str, JsonValue],
    AfterValidator(_keepable_value),
    AfterValidator(_unreserved),
    Field(max_length=MAX_METADATA, description="The client's own, kept with the job and passed to its worker."),
]


class JobOptions(BaseModel):
    """``priority``, ``metadata``, and whatever else the job's type takes."""

    model_config = ConfigDict(extra="allow", json_schema_extra={"maxProperties": MAX_OPTIONS})

    priority: Priority = Priority.NORMAL
    metadata: Metadata = Field(default_factory=dict)


class CreateJob(BaseModel):
    model_config = ConfigDict(extra="forbid")

    type: JobType
    query: Query
    options: JobOptions = Field(default_factory=JobOptions)


class Wire(BaseModel):
    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, extra="forbid")


class AcceptedJob(Wire):
    """``estimatedTime``: whole seconds to the end. ``pollUrl``: path of the job."""

    job_id: uuid.UUID
    status: Status
    poll_url: str
    estimated_time: int = Field(ge=1)


class JobView(Wire):
    job_id: uuid.UUID
    status: Status
    progress: int = Field(ge=0, le=100)
    current_step: str | None
    result: Any
    error: str | None
    created_at: datetime
    started_at: datetime | None
    completed_at: datetime | None


class JobSummary(Wire):
    """A job in a list: everything but its result."""

    job_id: uuid.UUID
    type: str
    user_id: str | None
    priority: Priority
    status: Status
    progress: int = Field(ge=0, le=100)
    current_step: str | None
    error: str | None
    created_at: datetime
    started_at: datetime | None
    completed_at: datetime | None


class JobPage(Wire):
    """``nextCursor``: pass it as ``cursor`` for the next page; null on the last one."""

    jobs: list[JobSummary]
    next_cursor: str | None


class JobEvent(Wire):
    """One entry of a job's log. ``seq`` counts from 1 and is the SSE event's id."""

    job_id: uuid.UUID
    seq: int
    status: Status
    progress: int
    current_step: str | None
    error: str | None
    details: Any
    reported_at: datetime | None
    at: datetime
