"""What becomes of a delivery that is not acknowledged."""

import asyncio
import json
import signal
import sys
from contextlib import asynccontextmanager

from tests.integration.messaging.scenario import WAIT, numbers, ping, publish, quiet, take, take_and_ack
from tests.support.brokers import PLAIN


@asynccontextmanager
async def hanging_consumer(kit, subscription):
    """A process that holds what it was delivered; yields it with the (number, attempt) pairs it holds."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "tests.support.hanging_consumer",
        *kit.consumer_arguments(),
        subscription.name,
        stdout=asyncio.subprocess.PIPE,
    )
    try:
        line = await asyncio.wait_for(process.stdout.readline(), WAIT)
        yield process, json.loads(line)
    finally:
        if process.returncode is None:
            process.send_signal(signal.SIGKILL)
        await process.wait()


async def test_a_killed_consumers_deliveries_come_back_and_the_attempt_counts(kit):
    async with kit.connect() as broker:
        await publish(broker, ping(1))
        async with hanging_consumer(kit, PLAIN) as (process, held):
            assert held == [[1, 1]]
            process.send_signal(signal.SIGKILL)
            await process.wait()
        async with broker.subscribe(PLAIN, capacity=10) as stream:
            [delivery] = await take_and_ack(stream, 1)
            assert numbers([delivery]) == [1]
            if kit.kind == "embedded":
                assert delivery.attempt == 2
            # The emulator does not notice a dead consumer, and may deliver to it some times more.
            assert delivery.attempt >= 2
            assert await quiet(stream)


async def test_a_live_consumer_keeps_its_deliveries_past_the_lease(kit):
    async with kit.connect() as broker:
        await publish(broker, ping(1))
        async with hanging_consumer(kit, PLAIN) as (_, held), broker.subscribe(PLAIN, capacity=10) as stream:
            assert held == [[1, 1]]
            assert await stream.pull(1, kit.lease * 1.5) == []


async def test_a_nacked_delivery_comes_again_with_its_attempt_counted(kit):
    async with kit.connect() as broker, broker.subscribe(PLAIN, capacity=10) as stream:
        await publish(broker, ping(1))
        for attempt in (1, 2, 3):
            [delivery] = await take(stream, 1)
            assert delivery.attempt == attempt
            await stream.nack(delivery, 0.1)
        [delivery] = await take_and_ack(stream, 1)
        assert delivery.attempt == 4
        assert await quiet(stream)


async def test_a_nacked_delivery_waits_and_holds_nobody_else_up(kit):
    async with kit.connect() as broker, broker.subscribe(PLAIN, capacity=10) as stream:
        await publish(broker, ping(1))
        [delivery] = await take(stream, 1)
        # Pub/Sub takes its own subscription's backoff; ours takes the delay.
        await stream.nack(delivery, 2.0)
        await publish(broker, ping(2))
        order = numbers(await take_and_ack(stream, 2))
    if kit.kind == "embedded":
        assert order == [2, 1]
    assert sorted(order) == [1, 2]


async def test_an_acknowledged_delivery_never_comes_again(kit):
    async with kit.connect() as broker:
        async with broker.subscribe(PLAIN, capacity=100) as stream:
            await publish(broker, *(ping(number) for number in range(50)))
            assert len(await take_and_ack(stream, 50)) == 50
        async with broker.subscribe(PLAIN, capacity=100) as stream:
            assert await quiet(stream)


async def test_closing_hands_back_at_once_what_is_unsettled(kit):
    async with kit.connect() as broker, kit.connect() as another:
        await publish(broker, *(ping(number) for number in range(5)))
        async with broker.subscribe(PLAIN, capacity=10) as stream:
            held = await take(stream, 5)
            await stream.ack(held[:2])
        async with asyncio.timeout(kit.hand_back_seconds), another.subscribe(PLAIN, capacity=10) as stream:
            again = await take_and_ack(stream, 3)
    assert sorted(numbers(again)) == sorted(numbers(held[2:]))
    if kit.kind == "embedded":  # handed back, not timed out: no attempt is counted
        assert {delivery.attempt for delivery in again} == {1}


async def test_what_was_never_pulled_is_handed_back_too(kit):
    async with kit.connect() as broker, kit.connect() as another:
        await publish(broker, *(ping(number) for number in range(5)))
        async with broker.subscribe(PLAIN, capacity=10) as stream:
            await take(stream, 1)
        async with asyncio.timeout(kit.hand_back_seconds), another.subscribe(PLAIN, capacity=10) as stream:
            assert sorted(numbers(await take_and_ack(stream, 5))) == [0, 1, 2, 3, 4]


async def test_no_more_than_the_capacity_is_held(kit):
    async with kit.connect() as broker, broker.subscribe(PLAIN, capacity=3) as stream:
        await publish(broker, *(ping(number) for number in range(10)))
        held = await take(stream, 3)
        assert await quiet(stream)
        await stream.ack(held[:3])
        assert len(await take(stream, 3)) == 3


async def test_a_cancelled_pull_loses_nothing(kit):
    async with kit.connect() as broker, broker.subscribe(PLAIN, capacity=10) as stream:
        waiting = asyncio.create_task(stream.pull(10, WAIT))
        await publish(broker, *(ping(number) for number in range(10)))
        waiting.cancel()
        [outcome] = await asyncio.gather(waiting, return_exceptions=True)
        already = [] if isinstance(outcome, BaseException) else outcome
        rest = await take(stream, 10 - len(already)) if len(already) < 10 else []
        assert sorted(numbers([*already, *rest])) == list(range(10))
