"""Who gets a message, and what it looks like when it arrives."""

import asyncio

from contracts.manifest import Subscription
from services.kernel.errors import PermanentError
from services.kernel.messaging.envelope import MAX_DATA_BYTES, Envelope
from tests.integration.messaging.scenario import WAIT, numbers, ping, publish, quiet, take_and_ack
from tests.support.brokers import FILTERED, OTHER, PLAIN, Ping


async def test_every_subscription_gets_its_own_copy(kit):
    async with (
        kit.connect() as broker,
        broker.subscribe(PLAIN, capacity=10) as reader,
        broker.subscribe(OTHER, capacity=10) as listener,
    ):
        await publish(broker, ping(1), ping(2))
        assert sorted(numbers(await take_and_ack(reader, 2))) == [1, 2]
        assert sorted(numbers(await take_and_ack(listener, 2))) == [1, 2]
        assert await quiet(reader)


async def test_messages_published_before_anyone_listens_are_kept(kit):
    async with kit.connect() as broker:
        await publish(broker, *(ping(number) for number in range(5)))
    async with kit.connect() as broker, broker.subscribe(PLAIN, capacity=10) as stream:
        assert sorted(numbers(await take_and_ack(stream, 5))) == [0, 1, 2, 3, 4]


async def test_a_filter_takes_only_what_matches_every_attribute(kit):
    async with kit.connect() as broker, broker.subscribe(FILTERED, capacity=10) as stream:
        await publish(
            broker,
            ping(1, kind="red", size="small"),
            ping(2, kind="red", size="big"),
            ping(3, kind="green", size="big"),
            ping(4, kind="blue", size="big"),
        )
        assert sorted(numbers(await take_and_ack(stream, 2))) == [2, 4]
        assert await quiet(stream)


async def test_two_consumers_of_one_subscription_share_its_messages(kit):
    expected = list(range(40))
    seen: list[int] = []

    async def consume(stream):
        while len(seen) < len(expected):
            deliveries = await stream.pull(5, 0.2)
            seen.extend(numbers(deliveries))
            await stream.ack(deliveries)

    async with (
        kit.connect() as one,
        kit.connect() as two,
        one.subscribe(PLAIN, capacity=5) as first,
        two.subscribe(PLAIN, capacity=5) as second,
    ):
        await publish(one, *(ping(number) for number in expected))
        async with asyncio.timeout(WAIT):
            await asyncio.gather(consume(first), consume(second))
        assert await quiet(first)
        assert await quiet(second)
    assert sorted(seen) == expected


async def test_a_message_arrives_as_it_was_sent(kit):
    sent = ping(7, text="안녕하세요 \N{SNOWMAN} e\u0301")
    sent = Envelope(sent.topic, {**sent.attributes, "greeting": "한글 \N{ROCKET} \t\n\"'"}, sent.data)
    async with kit.connect() as broker, broker.subscribe(PLAIN, capacity=10) as stream:
        await publish(broker, sent)
        [delivery] = await take_and_ack(stream, 1)
    received = delivery.envelope
    assert {name: received.attributes.get(name) for name in sent.attributes} == dict(sent.attributes)
    assert (received.topic, received.data, received.ordering_key) == (sent.topic, sent.data, "")
    assert delivery.attempt == 1


async def test_a_large_message_passes(kit):
    text = "x" * (MAX_DATA_BYTES - 1000)
    async with kit.connect() as broker, broker.subscribe(PLAIN, capacity=10) as stream:
        await publish(broker, ping(1, text=text))
        [delivery] = await take_and_ack(stream, 1)
    assert len(delivery.envelope.data) > MAX_DATA_BYTES - 1000


async def test_the_same_message_published_twice_is_delivered_twice(kit):
    envelope = ping(1)
    async with kit.connect() as broker, broker.subscribe(PLAIN, capacity=10) as stream:
        await publish(broker, envelope)
        await publish(broker, envelope)
        first, second = await take_and_ack(stream, 2)
    assert first.envelope.id == second.envelope.id == envelope.id


async def test_what_cannot_be_published_is_refused_and_the_rest_goes_out(kit):
    good = ping(1)

    def bad(topic: str = good.topic, data: bytes = good.data, **attributes: str) -> Envelope:
        return Envelope(topic, {**good.attributes, **attributes}, data)

    refused = [
        bad(topic="nobody-declared.v1"),
        bad(data=b"x" * (MAX_DATA_BYTES + 1)),
        bad(note="x" * 1025),
        bad(**{"n" * 257: "x"}),
        bad(**{"goog-own": "x"}),
        bad(nul="a\0b"),
        bad(surrogate="\ud800"),
        bad(**{"": "x"}),
        bad(**{f"n{index}": "x" for index in range(101)}),
        bad(topic=good.topic, data=b"", retry="x"),
    ]
    async with kit.connect() as broker, broker.subscribe(PLAIN, capacity=10) as stream:
        outcomes = await broker.publish([*refused, good])
        assert [type(outcome) for outcome in outcomes[:-1]] == [PermanentError] * len(refused)
        assert outcomes[-1] is None
        assert numbers(await take_and_ack(stream, 1)) == [1]
        assert await quiet(stream)


async def test_missing_names_what_does_not_exist(kit):
    stranger = Subscription(Ping, "stranger")
    async with kit.connect() as broker:
        assert await broker.missing([Ping.topic()], [PLAIN, FILTERED]) == []
        assert await broker.missing(["ghost-seen.v1", Ping.topic()], [stranger, PLAIN]) == [
            "ghost-seen.v1",
            "stranger.ping-sent.v1",
        ]
