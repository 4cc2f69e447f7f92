"""Messages about learners' answers."""

from typing import ClassVar

from pydantic import AwareDatetime, Field

from contracts.message import Long, Message


class SubmissionGraded(Message):
    NAME: ClassVar[str] = "submission.graded"
    FILTERABLE: ClassVar[tuple[str, ...]] = ("verdict",)
    SUBJECT: ClassVar[str] = "submission_id"

    submission_id: str
    job_id: str
    problem_id: str
    user_id: str = ""
    data_type: str
    difficulty: str
    tags: list[str]
    verdict: str = Field(description="'correct' or 'wrong'.")
    score: float = Field(ge=0, le=1, description="Partial credit.")
    mistake_kind: str = ""
    mistake_clause: str = ""
    attempt: Long = Field(ge=1)
    duration_ms: Long = Field(ge=0)
    graded_at: AwareDatetime
