"""From event to notification: decide, keep, publish, in one transaction."""

from contracts.message import Message
from services.kernel import telemetry
from services.kernel.database.unit_of_work import UnitOfWork
from services.kernel.messaging.consumer import Handler
from services.notifier.domain import Origin, decide
from services.notifier.ports import Record


def notifying(record: Record, project_id: str) -> Handler:
    """The handler of every event the notifier consumes. ``project_id`` is told where the event names none."""

    async def notify(message: Message, unit: UnitOfWork) -> None:
        notification = decide(message, Origin(project_id, telemetry.current_trace_id()))
        if notification is None or not await record(unit.connection, notification):
            return
        unit.emit(notification.published(), message_id=str(notification.id))

    return notify
