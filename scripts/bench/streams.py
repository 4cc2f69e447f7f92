"""How fast messages go through the broker port: publish in batches, pull and ack in batches."""

import time
from collections.abc import Sequence

from contracts.manifest import Subscription
from services.kernel.messaging.broker import Broker
from services.kernel.messaging.envelope import Envelope

MEASURED = ("bare_publish", "publish", "bare_consume", "consume", "path")
"""``path``: the whole consumer path, beside ``bare_consume``."""
_DRY_SECONDS = 10.0


async def timed_publish(broker: Broker, envelopes: Sequence[Envelope], batch: int) -> float:
    """Seconds to publish all. Raises RuntimeError: one could not be published."""
    started = time.perf_counter()
    for start in range(0, len(envelopes), batch):
        outcomes = await broker.publish(envelopes[start : start + batch])
        if any(outcomes):
            raise RuntimeError(f"publishing failed: {next(filter(None, outcomes))}")
    return time.perf_counter() - started


async def timed_consume(broker: Broker, subscription: Subscription, expected: int, batch: int) -> float:
    """Seconds to pull and ack ``expected`` messages, from the opened subscription to the last ack.

    Raises RuntimeError: they did not come.
    """
    seen = 0
    async with broker.subscribe(subscription, capacity=2 * batch) as stream:
        started = time.perf_counter()
        while seen < expected:
            deliveries = await stream.pull(batch, _DRY_SECONDS)
            if not deliveries:
                raise RuntimeError(f"the stream ran dry after {seen} of {expected} messages")
            await stream.ack(deliveries)
            seen += len(deliveries)
        return time.perf_counter() - started
