"""What runs beside the doors: refreshing tables whose hints are due."""

import asyncio
import logging
from collections.abc import Callable
from datetime import UTC, datetime

from services.kernel.database.pool import OUTAGE
from services.metadata.handlers import HintWorker

_logger = logging.getLogger(__name__)

LONGEST_WAIT_SECONDS = 2.0
"""Another replica may have taken a hint in: look this often at least."""


async def follow_hints(worker: HintWorker) -> None:
    """Until cancelled."""
    while True:
        try:
            if await worker.work():
                continue
            due_at = await worker.hints.next_due()
        except OUTAGE as error:
            _logger.warning("hints wait: %s", error, extra={"action": "metadata.hints_wait"})
            due_at = None
        await asyncio.sleep(_wait(due_at, lambda: datetime.now(UTC)))


def _wait(due_at: datetime | None, now: Callable[[], datetime]) -> float:
    if due_at is None:
        return LONGEST_WAIT_SECONDS
    return min(LONGEST_WAIT_SECONDS, max(0.05, (due_at - now()).total_seconds()))
