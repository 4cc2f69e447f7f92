"""Messages about jobs: asked for, moving, and their one end."""

from enum import StrEnum
from typing import ClassVar

from pydantic import AwareDatetime, Field

from contracts.message import JsonText, Long, Message


class JobType(StrEnum):
    """Every kind of job a client may submit."""

    ANALYSIS = "analysis"
    REPORT = "report"
    OPTIMIZATION = "optimization"
    PREDICTION = "prediction"
    PROBLEM_GENERATION = "problem_generation"
    GRADING = "grading"
    METADATA_REFRESH = "metadata_refresh"
    DAILY_TIP = "daily_tip"
    TRIAGE = "triage"


class Priority(StrEnum):
    LOW = "low"
    NORMAL = "normal"
    HIGH = "high"


class JobRequested(Message):
    """Work for one worker. ``fence`` grows with every release of the same job: a worker
    holding an older fence has lost the job and its outcome is ignored."""

    NAME: ClassVar[str] = "job.requested"
    FILTERABLE: ClassVar[tuple[str, ...]] = ("job_type", "priority")
    SUBJECT: ClassVar[str] = "job_id"

    job_id: str
    job_type: str
    user_id: str = Field(default="", description="Empty for an anonymous submitter.")
    query: str
    priority: str = Priority.NORMAL
    fence: Long = Field(ge=1)
    options: JsonText = "{}"
    requested_at: AwareDatetime


class JobProgressed(Message):
    """A worker's report. ``sequence`` 1 says that the job has started; it also serves as a heartbeat."""

    NAME: ClassVar[str] = "job.progressed"
    FILTERABLE: ClassVar[tuple[str, ...]] = ("job_type",)
    SUBJECT: ClassVar[str] = "job_id"

    job_id: str
    job_type: str
    fence: Long = Field(ge=1)
    sequence: Long = Field(ge=1)
    progress: int = Field(ge=0, le=100)
    step: str
    reported_at: AwareDatetime


class JobSucceeded(Message):
    NAME: ClassVar[str] = "job.succeeded"
    FILTERABLE: ClassVar[tuple[str, ...]] = ("job_type",)
    SUBJECT: ClassVar[str] = "job_id"

    job_id: str
    job_type: str
    user_id: str = ""
    fence: Long = Field(ge=1)
    result: JsonText
    finished_at: AwareDatetime


class JobFailed(Message):
    """Revision 2 added ``retryable``: whether submitting the same job again may help."""

    NAME: ClassVar[str] = "job.failed"
    REVISION: ClassVar[int] = 2
    FILTERABLE: ClassVar[tuple[str, ...]] = ("job_type",)
    SUBJECT: ClassVar[str] = "job_id"

    job_id: str
    job_type: str
    user_id: str = ""
    fence: Long = Field(ge=0)
    error_code: str
    error_message: str
    finished_at: AwareDatetime
    retryable: bool = False


class JobCancelled(Message):
    """The client's word. ``was_running`` tells a job stopped half way from one that never started."""

    NAME: ClassVar[str] = "job.cancelled"
    FILTERABLE: ClassVar[tuple[str, ...]] = ("job_type",)
    SUBJECT: ClassVar[str] = "job_id"

    job_id: str
    job_type: str
    user_id: str = ""
    fence: Long = Field(ge=0)
    was_running: bool
    cancelled_at: AwareDatetime


class ScheduleDue(Message):
    """A line of the cron table has come due. Published by intake's own clock on the
    embedded default and by Cloud Scheduler in the cloud; due twice is one job."""

    NAME: ClassVar[str] = "schedule.due"
    SUBJECT: ClassVar[str] = "schedule_name"

    schedule_name: str
    due_at: AwareDatetime
