"""Events as other services publish them."""

import uuid
from datetime import UTC, datetime
from typing import Any

from contracts.alerts import AlertRaised
from contracts.jobs import JobCancelled, JobFailed, JobSucceeded
from contracts.submissions import SubmissionGraded


def succeeded(**fields: Any) -> JobSucceeded:
    return JobSucceeded(
        **{
            "job_id": str(uuid.uuid4()),
            "job_type": "report",
            "fence": 1,
            "result": "{}",
            "finished_at": datetime.now(UTC),
            **fields,
        }
    )


def failed(**fields: Any) -> JobFailed:
    return JobFailed(
        **{
            "job_id": str(uuid.uuid4()),
            "job_type": "report",
            "fence": 1,
            "error_code": "job_failed",
            "error_message": "the table is gone",
            "finished_at": datetime.now(UTC),
            **fields,
        }
    )


def cancelled(**fields: Any) -> JobCancelled:
    return JobCancelled(
        **{
            "job_id": str(uuid.uuid4()),
            "job_type": "report",
            "fence": 1,
            "was_running": True,
            "cancelled_at": datetime.now(UTC),
            **fields,
        }
    )


def graded(**fields: Any) -> SubmissionGraded:
    return SubmissionGraded(
        **{
            "submission_id": str(uuid.uuid4()),
            "job_id": str(uuid.uuid4()),
            "problem_id": str(uuid.uuid4()),
            "data_type": "pa",
            "difficulty": "easy",
            "tags": [],
            "verdict": "wrong",
            "score": 0.25,
            "attempt": 1,
            "duration_ms": 12,
            "graded_at": datetime.now(UTC),
            **fields,
        }
    )


def alert(**fields: Any) -> AlertRaised:
    return AlertRaised(
        **{
            "alert_id": str(uuid.uuid4()),
            "alert_type": "dead_letter",
            "severity": "error",
            "source": "grader",
            "raised_at": datetime.now(UTC),
            **fields,
        }
    )
