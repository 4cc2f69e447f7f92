"""What ``prediction`` and ``report`` jobs ask for."""

from __future__ import annotations

import json
from datetime import date
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from contracts.jobs import JobRequested
from services.insights.access import Policy, Reader
from services.insights.api.models import Id
from services.kernel.identity import ADMIN
from services.kernel.jobs.context import JobFailedError
from services.kernel.jobs.requests import CALLER_ROLES, INVALID, SCHEDULE, json_object, validated

MOST_LEARNERS = 500
IMPORTS = "insights/imports/"


class _Asked(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class PredictionRequest(_Asked):
    """Scores of several learners in one subject on one date."""

    student_ids: Annotated[list[Id], Field(min_length=1, max_length=MOST_LEARNERS)]
    subject_id: Id
    target_date: date


class ReportRequest(_Asked):
    """One document about one learner, or about a group of them."""

    student_ids: Annotated[list[Id], Field(min_length=1, max_length=MOST_LEARNERS)]
    title: str = Field(default="", max_length=200)
    language: Literal["ko", "en"] = "ko"


class Options(BaseModel):
    """A job's options that this service reads. ``task`` makes a ``prediction`` job one that prepares predictions:
    ``import`` takes in the history at ``uri``, ``refit`` fits the model anew."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    task: Literal["", "import", "refit"] = ""
    uri: str = Field(default="", max_length=1_000)
    subject: str = Field(default="imported", min_length=1, max_length=255)

    @model_validator(mode="after")
    def _names_a_file(self) -> Options:
        if self.task == "import" and not self.uri:
            raise ValueError("an import needs the uri of a CSV or Parquet file")
        return self


def options_of(job: JobRequested) -> Options:
    """Raises JobFailedError: names every wrong option."""
    return validated(Options, {**json.loads(job.options).get("metadata", {}), **json.loads(job.options)})


def reader_of(job: JobRequested, policy: Policy) -> Reader:
    """Who sent the job. The door writes roles into the metadata under a name that clients may not use; only
    administrators set up schedules."""
    metadata = json.loads(job.options).get("metadata", {})
    roles = [ADMIN] if SCHEDULE in metadata else metadata.get(CALLER_ROLES, [])
    return policy.reader(job.user_id or (f"{SCHEDULE}:{metadata[SCHEDULE]}" if SCHEDULE in metadata else None), roles)


def prediction_of(job: JobRequested) -> PredictionRequest:
    """Raises JobFailedError: names every wrong field."""
    return validated(
        PredictionRequest, _students(job, '{"student_id": "...", "subject_id": "pa", "target_date": "..."}')
    )


def report_of(job: JobRequested) -> ReportRequest:
    """Raises JobFailedError: names every wrong field."""
    return validated(ReportRequest, _students(job, '{"student_ids": ["..."], "language": "ko"}'))


def _students(job: JobRequested, example: str) -> dict[str, object]:
    """The query's fields; a single ``student_id`` is a list of one."""
    fields = json_object(job.query)
    if fields is None:
        raise JobFailedError(f"query: write JSON such as {example}", code=INVALID)
    if "student_id" in fields and "student_ids" not in fields:
        fields["student_ids"] = [fields.pop("student_id")]
    return fields
