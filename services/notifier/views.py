"""Notifications as clients read them."""

from functools import cached_property
from uuid import UUID

from pydantic import AwareDatetime, BaseModel, Field

from contracts.problems import LocaleText
from services.notifier.domain import Viewer
from services.notifier.ports import Stored


class NotificationView(BaseModel):
    sequence: int = Field(description="Grows in the order of appearance; the id to resume a stream after.")
    notification_id: UUID
    kind: str = Field(description="'alert' or 'success'.")
    type: str
    severity: str = Field(description="'info', 'warning', 'error' or 'critical'.")
    about: str = Field(description="Id of the job, table or message concerned.")
    user_id: str
    text: LocaleText
    error_message: str
    stack_trace: str = Field(description="Without secrets; only administrators see it.")
    project_id: str = Field(description="Only administrators see it.")
    trace_id: str
    timestamp: AwareDatetime = Field(description="When the event happened.")
    created_at: AwareDatetime


class NotificationPage(BaseModel):
    items: list[NotificationView]
    next_cursor: int | None = Field(description="Pass as ``cursor`` for the next, older page; null at the end.")


def view(stored: Stored, *, administrator: bool) -> NotificationView:
    """What goes on inside the platform is the administrators' business."""
    notification = stored.notification
    return NotificationView(
        sequence=stored.sequence,
        notification_id=notification.id,
        kind=notification.kind,
        type=notification.type,
        severity=notification.severity,
        about=notification.about,
        user_id=notification.user_id,
        text=notification.text,
        error_message=notification.error_message,
        stack_trace=notification.stack_trace if administrator else "",
        project_id=notification.project_id if administrator else "",
        trace_id=notification.trace_id,
        timestamp=notification.occurred_at,
        created_at=stored.created_at,
    )


class Event:
    """One notification on its way to many clients, written as JSON once for each kind of reader."""

    def __init__(self, stored: Stored) -> None:
        self.sequence = stored.sequence
        self._stored = stored

    def json(self, viewer: Viewer) -> str:
        return self._full if viewer.administrator else self._reduced

    @cached_property
    def _full(self) -> str:
        return view(self._stored, administrator=True).model_dump_json()

    @cached_property
    def _reduced(self) -> str:
        return view(self._stored, administrator=False).model_dump_json()
