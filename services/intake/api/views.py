"""Jobs and events as the bytes that clients get. Results are already JSON and are copied, not parsed."""

import base64
import binascii
import json
import struct
import uuid
from datetime import UTC, datetime, timedelta

from services.intake.adapters.log import Event
from services.intake.domain.jobs import Job

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_CURSOR = struct.Struct(">q16s")


def poll_url(job_id: uuid.UUID) -> str:
    return f"/api/ai/jobs/{job_id}"


def job_view(job: Job) -> bytes:
    """``JobView`` as JSON."""
    return (
        f'{{"jobId":"{job.id}","status":"{job.status}","progress":{job.progress},'
        f'"currentStep":{_text(job.current_step)},"result":{job.result or "null"},"error":{_text(job.error)},'
        f"{_times(job)}}}"
    ).encode()


def job_summary(job: Job) -> str:
    """``JobSummary`` as JSON."""
    return (
        f'{{"jobId":"{job.id}","type":"{job.type}","userId":{_text(job.user_id)},"priority":"{job.priority}",'
        f'"status":"{job.status}","progress":{job.progress},"currentStep":{_text(job.current_step)},'
        f'"error":{_text(job.error)},{_times(job)}}}'
    )


def job_page(jobs: list[Job], more: bool) -> bytes:
    """``JobPage`` as JSON; ``more``: there is a page after this one."""
    cursor = _text(encode_cursor(jobs[-1])) if more else "null"
    return f'{{"jobs":[{",".join(map(job_summary, jobs))}],"nextCursor":{cursor}}}'.encode()


def accepted(job_id: uuid.UUID, estimated_time: int) -> str:
    """``AcceptedJob`` as JSON."""
    return f'{{"jobId":"{job_id}","status":"queued","pollUrl":"{poll_url(job_id)}","estimatedTime":{estimated_time}}}'


def event_view(event: Event) -> str:
    """``JobEvent`` as JSON."""
    return (
        f'{{"jobId":"{event.job_id}","seq":{event.seq},"status":"{event.status}","progress":{event.progress},'
        f'"currentStep":{_text(event.step)},"error":{_text(event.error)},"details":{event.details or "null"},'
        f'"reportedAt":{_time(event.reported_at)},"at":{_time(event.at)}}}'
    )


def encode_cursor(job: Job) -> str:
    """Opaque to clients: where the page ended, to the microsecond."""
    micros = (job.created_at - _EPOCH) // timedelta(microseconds=1)
    return base64.urlsafe_b64encode(_CURSOR.pack(micros, job.id.bytes)).decode()


def decode_cursor(cursor: str) -> tuple[datetime, uuid.UUID]:
    """Raises ValueError: not a cursor of ours."""
    try:
        micros, job_id = _CURSOR.unpack(
            base64.b64decode(cursor.rstrip("=").encode("ascii"), altchars=b"-_", validate=True)
        )
        return _EPOCH + timedelta(microseconds=micros), uuid.UUID(bytes=job_id)
    except (binascii.Error, struct.error, UnicodeEncodeError, OverflowError) as error:
        raise ValueError("is not a cursor from a previous page") from error


def _text(value: str | None) -> str:
    return "null" if value is None else json.dumps(value, ensure_ascii=False)


def _times(job: Job) -> str:
    started, completed = _time(job.started_at), _time(job.completed_at)
    return f'"createdAt":{_time(job.created_at)},"startedAt":{started},"completedAt":{completed}'


def _time(moment: datetime | None) -> str:
    return "null" if moment is None else f'"{moment.isoformat()}"'
