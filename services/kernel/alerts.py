"""Telling people that something went wrong: the one way every service words an alert."""

import uuid
from datetime import UTC, datetime

from contracts.alerts import AlertRaised
from services.kernel import telemetry

MAX_MESSAGE = 4_000
MAX_STACK = 8_000


def alert(
    alert_type: str,
    *,
    source: str,
    about: str,
    message: str,
    severity: str = "error",
    user_id: str = "",
    stack_trace: str = "",
    project_id: str = "",
) -> AlertRaised:
    """An alert of the current trace, for ``unit.emit``. Long texts are cut; a stack keeps its end."""
    return AlertRaised(
        alert_id=str(uuid.uuid4()),
        alert_type=alert_type,
        severity=severity,
        source=source,
        about=about,
        user_id=user_id,
        error_message=message[:MAX_MESSAGE],
        stack_trace=stack_trace[-MAX_STACK:],
        project_id=project_id,
        trace_id=telemetry.current_trace_id(),
        raised_at=datetime.now(UTC),
    )
