"""Background loops that outlive whatever goes wrong in one of their rounds."""

import asyncio
import logging
from collections.abc import Awaitable, Callable

from services.kernel.database.pool import OUTAGE

_logger = logging.getLogger(__name__)


async def attempt(name: str, action: Callable[[], Awaitable[object]]) -> bool:
    """Run one round; a failure is logged and the next round tries again. Whether it succeeded."""
    try:
        await action()
    except OUTAGE as error:
        _logger.warning("%s waits for the database: %s", name, error, extra={"action": f"{name}.wait"})
    except Exception:
        _logger.exception("%s failed and will try again", name, extra={"action": f"{name}.failed"})
    else:
        return True
    return False


async def every(seconds: float, name: str, action: Callable[[], Awaitable[object]]) -> None:
    """Rounds of ``action``, ``seconds`` apart, until cancelled."""
    while True:
        await attempt(name, action)
        await asyncio.sleep(seconds)


async def wait(event: asyncio.Event, seconds: float) -> bool:
    """Wait for ``event`` at most so long; whether it is set. ``wait_for`` of Python 3.11 may swallow a cancellation."""
    try:
        async with asyncio.timeout(seconds):
            return await event.wait()
    except TimeoutError:
        return event.is_set()
