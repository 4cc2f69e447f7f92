"""The rules: which events become notifications, and for whom. Pure.

| event                               | notification        | audience                           |
|-------------------------------------|---------------------|------------------------------------|
| job succeeded                       | success, info       | its owner, or whoever holds its id |
| ... of type grading                 | none                | the verdict below tells more       |
| submission graded                   | success, info       | its owner, or whoever holds its id |
| job failed                          | alert, error        | its owner, or whoever holds its id |
| job cancelled while running         | alert, info         | its owner, or whoever holds its id |
| job cancelled before it started     | none                | nothing happened                   |
| alert with a user                   | alert, its severity | that user                          |
| alert without, for everyone         | alert, its severity | everyone                           |
| alert without                       | alert, its severity | administrators                     |

An alert is for everyone when its ``details`` say ``{"audience": "everyone"}``. Administrators see all.
A job without an owner belongs to whoever knows its id: ids are random, and its submitter alone got it.
"""

import json
import uuid
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from contracts.alerts import AlertRaised, NotificationPublished
from contracts.jobs import JobCancelled, JobFailed, JobSucceeded, JobType
from contracts.message import Message
from contracts.problems import LocaleText
from contracts.submissions import SubmissionGraded
from services.kernel.errors import PermanentError
from services.notifier import texts
from services.notifier.scrub import scrub

MAX_ERROR = 4_000
MAX_STACK = 16_000
MAX_NAME = 255
MAX_ABOUT = 1_100
"""A fully qualified BigQuery table name still fits."""
PLAIN = r"^[^\x00-\x1f\x7f]*$"
"""Text without control characters, as a pattern for what clients send."""
_IDS = uuid.UUID("6a2f7c0e-95b1-5d7e-9d0b-3c1f5e8a7b42")


class Kind(StrEnum):
    ALERT = "alert"
    SUCCESS = "success"


class Severity(StrEnum):
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"
    CRITICAL = "critical"

    @property
    def rank(self) -> int:
        return list(Severity).index(self)


class Audience(StrEnum):
    """``HOLDER``: whoever names the id in ``about``."""

    USER = "user"
    HOLDER = "holder"
    EVERYONE = "everyone"
    ADMINISTRATORS = "administrators"


@dataclass(frozen=True, slots=True)
class Viewer:
    """Who reads notifications. ``user_id`` is empty for an anonymous one; ``named``: ids it names."""

    user_id: str = ""
    administrator: bool = False
    named: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Origin:
    """What the platform knows about an event beside its message."""

    project_id: str
    trace_id: str


@dataclass(frozen=True, slots=True)
class Notification:
    """``id`` follows from the fact, so that the same fact told twice is one notification. A job's end is one
    fact whatever its fence: a worker announces it again when intake, not having heard yet, released the job anew."""

    id: uuid.UUID
    kind: Kind
    type: str
    severity: Severity
    audience: Audience
    user_id: str
    about: str
    text: LocaleText
    error_message: str
    stack_trace: str
    project_id: str
    trace_id: str
    occurred_at: datetime

    def published(self) -> NotificationPublished:
        """The message that tells subscribers of the alerts topic."""
        return NotificationPublished(
            notification_id=str(self.id),
            kind=self.kind,
            type=self.type,
            severity=self.severity,
            about=self.about,
            user_id=self.user_id,
            text=self.text,
            error_message=self.error_message,
            stack_trace=self.stack_trace,
            project_id=self.project_id,
            trace_id=self.trace_id,
            timestamp=self.occurred_at,
        )


def decide(message: Message, origin: Origin) -> Notification | None:
    """The notification an event deserves, or None.

    Raises:
        PermanentError: a name in the message could never be stored or matched.
    """
    match message:
        case JobSucceeded():
            return None if message.job_type == JobType.GRADING else _succeeded(message, origin)
        case JobFailed():
            return _failed(message, origin)
        case JobCancelled():
            return _stopped(message, origin) if message.was_running else None
        case SubmissionGraded():
            return _graded(message, origin)
        case AlertRaised():
            return _alert(message, origin)
    raise PermanentError(f"no rule for {message.event_type()}", code="no_rule")


def _succeeded(message: JobSucceeded, origin: Origin) -> Notification:
    text = texts.job_succeeded(message.job_type)
    return _of_job(message, Kind.SUCCESS, "job_succeeded", Severity.INFO, text, origin, message.finished_at)


def _failed(message: JobFailed, origin: Origin) -> Notification:
    text, why = texts.job_failed(message.job_type, retryable=message.retryable), message.error_message
    return _of_job(message, Kind.ALERT, "job_failed", Severity.ERROR, text, origin, message.finished_at, why)


def _stopped(message: JobCancelled, origin: Origin) -> Notification:
    text = texts.job_stopped(message.job_type)
    return _of_job(message, Kind.ALERT, "job_cancelled", Severity.INFO, text, origin, message.cancelled_at)


def _of_job(
    message: JobSucceeded | JobFailed | JobCancelled,
    kind: Kind,
    type_: str,
    severity: Severity,
    text: LocaleText,
    origin: Origin,
    occurred_at: datetime,
    error_message: str = "",
) -> Notification:
    return _notification(
        (type_, message.job_id),
        kind,
        type_,
        severity,
        owner=message.user_id,
        about=message.job_id,
        text=text,
        origin=origin,
        occurred_at=occurred_at,
        error_message=error_message,
    )


def _graded(message: SubmissionGraded, origin: Origin) -> Notification:
    return _notification(
        ("submission_graded", message.submission_id),
        Kind.SUCCESS,
        "submission_graded",
        Severity.INFO,
        owner=message.user_id,
        about=message.job_id or message.submission_id,
        text=texts.graded(message.verdict, message.score),
        origin=origin,
        occurred_at=message.graded_at,
    )


def _alert(message: AlertRaised, origin: Origin) -> Notification:
    alert_type = _name(message.alert_type, "alert_type")
    return _notification(
        ("alert_raised", message.source, message.alert_id),
        Kind.ALERT,
        alert_type,
        _severity(message.severity),
        owner=message.user_id,
        about=message.about,
        text=texts.alert(alert_type, _name(message.source, "source")),
        origin=Origin(message.project_id or origin.project_id, message.trace_id or origin.trace_id),
        occurred_at=message.raised_at,
        error_message=message.error_message,
        stack_trace=message.stack_trace,
        unowned=_alert_audience(message),
    )


def _notification(
    fact: tuple[str, ...],
    kind: Kind,
    type_: str,
    severity: Severity,
    *,
    owner: str,
    about: str,
    text: LocaleText,
    origin: Origin,
    occurred_at: datetime,
    error_message: str = "",
    stack_trace: str = "",
    unowned: Audience = Audience.HOLDER,
) -> Notification:
    return Notification(
        id=uuid.uuid5(_IDS, repr(fact)),
        kind=kind,
        type=type_,
        severity=severity,
        audience=Audience.USER if owner else unowned,
        user_id=_name(owner, "user_id"),
        about=_name(about, "about", MAX_ABOUT),
        text=text,
        error_message=scrub(error_message, MAX_ERROR),
        stack_trace=scrub(stack_trace, MAX_STACK),
        project_id=_name(origin.project_id, "project_id"),
        trace_id=_name(origin.trace_id, "trace_id"),
        occurred_at=occurred_at,
    )


def _alert_audience(message: AlertRaised) -> Audience:
    details = json.loads(message.details)
    wanted = details.get("audience") if isinstance(details, dict) else None
    return Audience.EVERYONE if wanted == "everyone" else Audience.ADMINISTRATORS


def _severity(word: str) -> Severity:
    """An unknown word counts as an error: a misjudged alert is better than a lost one."""
    try:
        return Severity(word.lower())
    except ValueError:
        return Severity.ERROR


def _name(value: str, field: str, limit: int = MAX_NAME) -> str:
    """Ids are compared, never cleaned: two different ones must not become the same."""
    if len(value) > limit or not value.isprintable():
        raise PermanentError(
            f"{field} must be at most {limit} printable characters, not {value[:80]!r}", code="malformed_name"
        )
    return value
