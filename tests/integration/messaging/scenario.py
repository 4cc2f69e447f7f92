"""Steps that the conformance scenarios share."""

import asyncio
from collections.abc import Sequence

from services.kernel.messaging.broker import Broker, Delivery, Stream
from services.kernel.messaging.envelope import Envelope, seal, unseal
from tests.support.brokers import Ping

WAIT = 60.0
"""Seconds that a scenario waits for what must come."""
QUIET = 1.0
"""Seconds without a delivery after which none is taken to come."""


def ping(number: int, key: str = "", **fields: str) -> Envelope:
    return seal(Ping(number=number, **fields), "tests", ordering_key=key)


async def publish(broker: Broker, *envelopes: Envelope) -> None:
    assert await broker.publish(envelopes) == [None] * len(envelopes)


async def take(stream: Stream, count: int, limit: int = 100) -> list[Delivery]:
    """Pull until ``count`` deliveries have come; they stay unsettled."""
    taken: list[Delivery] = []
    async with asyncio.timeout(WAIT):
        while len(taken) < count:
            taken += await stream.pull(min(limit, count - len(taken)), WAIT)
    return taken


async def take_and_ack(stream: Stream, count: int) -> list[Delivery]:
    taken: list[Delivery] = []
    async with asyncio.timeout(WAIT):
        while len(taken) < count:
            deliveries = await stream.pull(100, WAIT)
            await stream.ack(deliveries)
            taken += deliveries
    return taken


async def quiet(stream: Stream) -> bool:
    """Whether nothing more comes."""
    return await stream.pull(100, QUIET) == []


def number(delivery: Delivery) -> int:
    message = unseal(delivery.envelope, Ping)
    assert isinstance(message, Ping)
    return message.number


def numbers(deliveries: Sequence[Delivery]) -> list[int]:
    return [number(delivery) for delivery in deliveries]
