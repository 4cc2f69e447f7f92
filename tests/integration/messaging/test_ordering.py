"""Ordering keys: within a key in publish order, one at a time; across keys freely."""

import signal

from tests.integration.messaging.scenario import number, numbers, ping, publish, quiet, take
from tests.integration.messaging.test_redelivery import hanging_consumer
from tests.support.brokers import ORDERED


async def _ack_all(stream, count):
    taken = []
    while len(taken) < count:
        for delivery in await take(stream, 1):
            taken.append(delivery)
            await stream.ack([delivery])
    return taken


async def test_a_key_comes_in_publish_order(kit):
    async with kit.connect() as broker, broker.subscribe(ORDERED, capacity=20) as stream:
        await publish(broker, *(ping(index, key="ab"[index % 2]) for index in range(12)))
        taken = await _ack_all(stream, 12)
    for key in "ab":
        of_key = [number(delivery) for delivery in taken if delivery.envelope.ordering_key == key]
        assert of_key == sorted(of_key)
        assert len(of_key) == 6


async def test_an_unsettled_delivery_holds_its_key_back_and_no_other(kit):
    async with kit.connect() as broker, broker.subscribe(ORDERED, capacity=20) as stream:
        await publish(broker, ping(1, key="a"), ping(2, key="a"), ping(3, key="b"))
        held = await take(stream, 2)
        assert sorted(numbers(held)) == [1, 3]
        assert await quiet(stream)
        await stream.ack([delivery for delivery in held if number(delivery) == 1])
        assert numbers(await take(stream, 1)) == [2]


async def test_a_nacked_delivery_comes_again_before_the_newer_ones(kit):
    async with kit.connect() as broker, broker.subscribe(ORDERED, capacity=20) as stream:
        await publish(broker, ping(1, key="a"), ping(2, key="a"))
        [first] = await take(stream, 1)
        await stream.nack(first, 0.2)
        assert numbers(await _ack_all(stream, 2)) == [1, 2]


async def test_a_consumer_in_another_process_is_held_back_too(kit):
    async with kit.connect() as broker:
        await publish(broker, ping(1, key="a"), ping(2, key="a"))
        async with hanging_consumer(kit, ORDERED) as (_, held), broker.subscribe(ORDERED, capacity=20) as stream:
            assert held == [[1, 1]]
            assert await quiet(stream)


async def test_a_killed_consumers_key_goes_on_elsewhere(embedded_kit):
    """Embedded only: the Pub/Sub emulator (0.8.20) never delivers a key again whose consumer was killed,
    not even to Google's own client, so there is nothing to hold it to."""
    await embedded_kit.provision()
    async with embedded_kit.connect() as broker:
        await publish(broker, ping(1, key="a"), ping(2, key="a"))
        async with hanging_consumer(embedded_kit, ORDERED) as (process, held):
            assert held == [[1, 1]]
            process.send_signal(signal.SIGKILL)
            await process.wait()
        async with broker.subscribe(ORDERED, capacity=20) as stream:
            assert numbers(await _ack_all(stream, 2)) == [1, 2]
