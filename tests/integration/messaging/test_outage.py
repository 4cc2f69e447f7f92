"""The broker goes away and comes back."""

import asyncio
from contextlib import suppress

from services.kernel.errors import TransientError
from tests.integration.messaging.scenario import WAIT, numbers, ping, publish, take
from tests.support.brokers import PLAIN


async def test_publishing_fails_transiently_and_then_works_again(outage_kit):
    async with outage_kit.connect() as broker:
        await publish(broker, ping(1))
        with outage_kit.outage():
            outcomes = await broker.publish([ping(2), ping(3, key="a")])
            assert [type(outcome) for outcome in outcomes] == [TransientError, TransientError]
        await publish(broker, ping(4), ping(5, key="a"))


async def test_an_open_stream_survives(outage_kit):
    async with outage_kit.connect() as broker, broker.subscribe(PLAIN, capacity=10) as stream:
        await publish(broker, ping(1))
        held = await take(stream, 1)
        with outage_kit.outage():
            # Pub/Sub's client waits an outage out inside; ours says so. Neither may lose the stream.
            with suppress(TransientError):
                assert await stream.pull(1, 0.5) == []
            await stream.ack(held)
        await publish(broker, ping(2))
        seen: set[int] = set()
        async with asyncio.timeout(WAIT):
            while 2 not in seen:
                with suppress(TransientError):
                    deliveries = await stream.pull(10, 1.0)
                    await stream.ack(deliveries)
                    seen.update(numbers(deliveries))


async def test_closing_during_an_outage_ends(outage_kit):
    async with outage_kit.connect() as broker:
        await publish(broker, ping(1))
        async with broker.subscribe(PLAIN, capacity=10) as stream:
            await take(stream, 1)
            outage = outage_kit.outage()
            outage.__enter__()
        outage.__exit__(None, None, None)
        async with broker.subscribe(PLAIN, capacity=10) as stream:
            async with asyncio.timeout(WAIT * 2):
                while not (deliveries := await _patient_pull(stream)):
                    continue
            assert numbers(deliveries) == [1]


async def _patient_pull(stream):
    with suppress(TransientError):
        return await stream.pull(1, 1.0)
    return []
