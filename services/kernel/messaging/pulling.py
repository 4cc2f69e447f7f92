"""Waiting for messages, and for the end of waiting."""

import asyncio

from services.kernel.messaging.broker import Delivery, Stream


async def pull_until(stopping: asyncio.Event, stream: Stream, limit: int, wait: float) -> list[Delivery]:
    """``stream.pull``, given up with nothing as soon as ``stopping`` is set: who ends need not wait for messages.

    Raises:
        TransientError: see ``Stream.pull``.
    """
    pull = asyncio.ensure_future(stream.pull(limit, wait))
    stopped = asyncio.ensure_future(stopping.wait())
    try:
        await asyncio.wait({pull, stopped}, return_when=asyncio.FIRST_COMPLETED)
        return pull.result() if pull.done() else []
    finally:
        pull.cancel()
        stopped.cancel()
        await asyncio.gather(pull, stopped, return_exceptions=True)
