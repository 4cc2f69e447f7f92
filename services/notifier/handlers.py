"""From event to notification: decide, keep, publish, in one transaction."""

from contracts.message import Message
from services.kernel import telemetry
from services.kernel.database.unit_of_work import UnitOfWork
from services.kernel.messaging.consumer import Handler
from services.notifier.domain import Notification, Origin, decide
from services.notifier.ports import Record

Decided = tuple[Notification, str]
"""A notification and the traceparent of the event it comes from."""


def notifying(record: Record, project_id: str) -> Handler:
    """The handler of every event the notifier consumes. ``project_id`` is told where the event names none."""

    async def notify(message: Message, unit: UnitOfWork) -> None:
        notification = decide(message, Origin(project_id, telemetry.current_trace_id()))
        if notification is not None:
            unit.defer(tell, (notification, telemetry.current_traceparent()))

    async def tell(unit: UnitOfWork, decided: list[Decided]) -> None:
        new = await record(unit.connection, [notification for notification, _ in decided])
        for notification, traceparent in decided:
            if notification.id not in new:
                continue
            new.remove(notification.id)  # the same fact twice in one batch
            with telemetry.span("notify", parent=traceparent):
                unit.emit(notification.published(), message_id=str(notification.id))

    return notify
