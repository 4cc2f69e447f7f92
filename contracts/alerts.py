"""Messages for people: what went wrong, and what went well."""

from typing import ClassVar

from pydantic import AwareDatetime, Field

from contracts.message import JsonText, Message
from contracts.problems import LocaleText


class AlertRaised(Message):
    """Something a person may want to know, from any service to the notifier."""

    NAME: ClassVar[str] = "alert.raised"
    FILTERABLE: ClassVar[tuple[str, ...]] = ("severity",)
    SUBJECT: ClassVar[str] = "alert_id"

    alert_id: str
    alert_type: str = Field(description="Stable name, e.g. 'job_failed', 'dead_letter', 'metadata_refresh_failed'.")
    severity: str = Field(description="'info', 'warning', 'error' or 'critical'.")
    source: str
    about: str = Field(default="", description="Id of the job, table or message concerned.")
    user_id: str = ""
    error_message: str = ""
    stack_trace: str = ""
    project_id: str = ""
    trace_id: str = ""
    details: JsonText = "{}"
    raised_at: AwareDatetime


class NotificationPublished(Message):
    """What the notifier tells any subscriber of the alerts topic: a failure or a success."""

    NAME: ClassVar[str] = "notification.published"
    FILTERABLE: ClassVar[tuple[str, ...]] = ("kind", "severity")
    SUBJECT: ClassVar[str] = "notification_id"

    notification_id: str
    kind: str = Field(description="'alert' or 'success'.")
    type: str
    severity: str
    about: str = ""
    user_id: str = ""
    text: LocaleText
    error_message: str = ""
    stack_trace: str = ""
    project_id: str = ""
    trace_id: str = ""
    timestamp: AwareDatetime

    @classmethod
    def topic(cls) -> str:
        # Subscribers outside the platform know this topic by its own short name.
        return f"alerts.v{cls.VERSION}"
