"""Feeds one stream until its client leaves or the platform ends it. SSE and WebSocket share it."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextlib import aclosing
from typing import Protocol

from services.kernel.database.pool import OUTAGE
from services.notifier.hub import Client, End, Hub
from services.notifier.views import Event

_logger = logging.getLogger(__name__)


class Gone(Exception):
    """The peer has closed the connection."""


class Wire(Protocol):
    """How one transport writes. Both methods raise ``Gone``."""

    async def ready(self, position: int) -> None: ...
    async def notify(self, event: Event) -> None: ...


async def feed(
    hub: Hub, client: Client, after: int | None, wire: Wire, left: Callable[[], Awaitable[None]], seconds: float
) -> End | None:
    """Why the platform ended the stream, or None when the client left.

    ``left`` returns when the client has gone; ``seconds``: how long a stream may last.
    """
    sender = asyncio.create_task(_send(hub, client, after, wire))
    leaving = asyncio.ensure_future(left())
    client.on_end = sender.cancel
    if client.ended is not None:
        sender.cancel()
    try:
        await asyncio.wait({sender, leaving}, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        over_time = not sender.done() and not leaving.done()
    finally:
        client.on_end = None
        sender.cancel()
        leaving.cancel()
        [outcome, _] = await asyncio.gather(sender, leaving, return_exceptions=True)
    if client.ended is not None:
        return client.ended
    if over_time:
        return End.RENEW
    return _reason(outcome)


def _reason(outcome: BaseException | None) -> End | None:
    if isinstance(outcome, Gone):
        return None
    if isinstance(outcome, OUTAGE):
        _logger.warning("a stream cannot be replayed: %s", outcome, extra={"action": "stream.unavailable"})
        return End.UNAVAILABLE
    if isinstance(outcome, Exception):
        raise outcome
    return None


async def _send(hub: Hub, client: Client, after: int | None, wire: Wire) -> None:
    async with aclosing(hub.events(client, after)) as events:
        async for item in events:
            if isinstance(item, Event):
                await wire.notify(item)
            else:
                await wire.ready(item)
