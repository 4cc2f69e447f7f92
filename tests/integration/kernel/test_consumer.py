"""Once in effect: the outbox, the inbox, failures and dead letters around a real database and broker."""

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime

import pytest

from contracts.jobs import JobProgressed
from contracts.manifest import Subscription
from services.kernel.database.unit_of_work import Database, UnitOfWork
from services.kernel.errors import PermanentError, TransientError
from services.kernel.messaging import dead_letters
from services.kernel.messaging.broker import Delivery
from services.kernel.messaging.consumer import Consumer, Route
from services.kernel.messaging.embedded import EmbeddedBroker
from services.kernel.messaging.envelope import Envelope, seal
from services.kernel.messaging.outbox import Relay
from services.kernel.messaging.replayer import Replayer

SUBSCRIPTION = Subscription(JobProgressed, "intake", max_attempts=3, min_backoff=0.01, max_backoff=0.05)


def progressed(step: str) -> JobProgressed:
    return JobProgressed(
        job_id="j", job_type="grading", fence=1, sequence=1, progress=1, step=step, reported_at=datetime.now(UTC)
    )


def delivery(step: str, *, attempt: int = 1, message_id: str | None = None) -> Delivery:
    return Delivery(seal(progressed(step), "grader", message_id=message_id), attempt)


async def record(message: JobProgressed, unit: UnitOfWork) -> None:
    if message.step == "permanent":
        raise PermanentError("this can never work")
    if message.step == "transient":
        raise TransientError("not now")
    await unit.connection.execute("INSERT INTO effects (what) VALUES ($1)", message.step)


async def effects(database: Database) -> list[str]:
    return sorted(row["what"] for row in await database.fetch("SELECT what FROM effects"))


@pytest.fixture
def consumer(database: Database, broker: EmbeddedBroker) -> Consumer:
    return Consumer(Route(SUBSCRIPTION, record), broker, database)


async def until(condition: Callable[[], "asyncio.Future[bool] | bool"], seconds: float = 20.0) -> None:
    async with asyncio.timeout(seconds):
        while True:
            answer = condition()
            if answer if isinstance(answer, bool) else await answer:
                return
            await asyncio.sleep(0.01)


async def test_a_duplicate_has_one_effect_within_a_batch_and_across_batches(
    consumer: Consumer, database: Database
) -> None:
    twice = [delivery("a", message_id="same"), delivery("a", message_id="same"), delivery("b")]
    await consumer.handle(twice)
    await consumer.handle([delivery("a", message_id="same")])
    assert await effects(database) == ["a", "b"]


async def test_concurrent_duplicates_have_one_effect(consumer: Consumer, database: Database) -> None:
    batches = [[delivery(str(i), message_id=str(i)) for i in range(20)] for _ in range(4)]
    batches[1].reverse()
    await asyncio.gather(*(consumer.handle(batch) for batch in batches))
    assert await effects(database) == sorted(str(i) for i in range(20))


async def test_a_poison_message_costs_its_neighbours_nothing(consumer: Consumer, database: Database) -> None:
    outcomes = await consumer.handle([delivery("a"), delivery("permanent"), delivery("transient"), delivery("b")])
    assert [type(outcome).__name__ for outcome in outcomes] == ["Done", "Dead", "Retry", "Done"]
    assert await effects(database) == ["a", "b"]


async def test_a_dead_letter_says_why_from_where_after_how_many_attempts(
    consumer: Consumer, database: Database
) -> None:
    await consumer.handle([delivery("transient", attempt=3)])
    [letter] = await dead_letters.listing(database.pool)
    assert (letter.subscription, letter.attempt, letter.error_code) == (SUBSCRIPTION.name, 3, "attempts_exhausted")
    assert "not now" in letter.reason
    assert letter.handler == "record"
    assert JobProgressed.from_bytes(letter.envelope.data).step == "transient"
    alert = await database.fetchrow("SELECT * FROM outbox WHERE topic = 'alert-raised.v1'")
    assert alert is not None
    assert "not now" in alert["data"].decode()


@pytest.mark.parametrize(
    ("envelope", "says"),
    [
        (Envelope("job-progressed.v1", {}, b"{}"), "ce-id"),
        (Envelope("job-progressed.v1", dict(delivery("a").envelope.attributes), b"\xff not json"), "not a"),
        (
            Envelope("job-progressed.v1", {**delivery("a").envelope.attributes, "ce-specversion": "9.0"}, b"{}"),
            "ce-specversion",
        ),
        (
            Envelope(
                "job-progressed.v1",
                {**delivery("a").envelope.attributes, "ce-type": "querycraft.job.progressed.v7"},
                b"{}",
            ),
            "querycraft.job.progressed.v7",
        ),
    ],
    ids=["no-cloudevent", "undecodable", "other-spec-version", "future-version"],
)
async def test_what_cannot_be_read_becomes_a_dead_letter(
    consumer: Consumer, database: Database, envelope: Envelope, says: str
) -> None:
    await consumer.handle([Delivery(envelope, 1)])
    await consumer.handle([Delivery(envelope, 2)])  # as after a death between the burial and its acknowledgement
    [letter] = await dead_letters.listing(database.pool)
    assert letter.error_code == "malformed_message"
    assert says in letter.reason


async def test_a_message_that_kills_its_consumer_is_not_run_for_ever(consumer: Consumer, database: Database) -> None:
    await consumer.handle([delivery("a", attempt=4)])
    assert await effects(database) == []
    [letter] = await dead_letters.listing(database.pool)
    assert "without an outcome" in letter.reason


async def test_a_replay_has_its_effect_once_however_often_it_is_asked_for(
    consumer: Consumer, database: Database, broker: EmbeddedBroker
) -> None:
    broken = True

    async def mended(message: JobProgressed, unit: UnitOfWork) -> None:
        if broken:
            raise PermanentError("a bug")
        await record(message, unit)

    consumer = Consumer(Route(SUBSCRIPTION, mended), broker, database)
    await consumer.handle([delivery("a", message_id="m")])
    [letter] = await dead_letters.listing(database.pool)
    replayer = Replayer(database.pool, {SUBSCRIPTION.name: consumer})

    assert await dead_letters.request_replay(database.pool, [letter.id]) == [letter.id]
    assert await replayer.replay_due() == 0
    [still_open] = await dead_letters.listing(database.pool)
    assert still_open.replays == 1

    broken = False
    await dead_letters.request_replay(database.pool, [letter.id])
    await dead_letters.request_replay(database.pool, [letter.id])
    assert await replayer.replay_due() == 1
    assert await dead_letters.request_replay(database.pool, [letter.id]) == []
    assert await replayer.replay_due() == 0
    await consumer.handle([delivery("a", message_id="m")])
    assert await effects(database) == ["a"]
    assert await dead_letters.listing(database.pool) == []


async def test_messages_travel_from_outbox_to_effect(
    consumer: Consumer, database: Database, broker: EmbeddedBroker
) -> None:
    relay = Relay(database.pool, broker)
    database.when_emitted(relay.wake)
    tasks = [asyncio.create_task(relay.run()), asyncio.create_task(consumer.run())]
    async with database.transaction() as unit:
        for step in "abc":
            unit.emit(progressed(step))

    async def arrived() -> bool:
        return await effects(database) == ["a", "b", "c"]

    await until(lambda: asyncio.ensure_future(arrived()))
    relay.stop()
    consumer.stop()
    await asyncio.gather(*tasks)
    assert await database.fetch("SELECT * FROM outbox") == []


async def test_nothing_is_published_when_the_transaction_fails(database: Database, broker: EmbeddedBroker) -> None:
    async def emit_and_fail() -> None:
        async with database.transaction() as unit:
            unit.emit(progressed("never"))
            raise RuntimeError("after emitting")

    with pytest.raises(RuntimeError, match="after emitting"):
        await emit_and_fail()
    assert await Relay(database.pool, broker).publish_batch() == 0


async def test_a_relay_that_lost_its_lease_deletes_nothing(database: Database, broker: EmbeddedBroker) -> None:
    async with database.transaction() as unit:
        unit.emit(progressed("a"))

    class Slow:
        async def publish(self, envelopes: list[Envelope]) -> list[Exception | None]:
            await database.execute("UPDATE outbox SET lease_token = gen_random_uuid(), leased_until = now()")
            return [None] * len(envelopes)

    await Relay(database.pool, Slow()).publish_batch()  # type: ignore[arg-type]
    assert len(await database.fetch("SELECT * FROM outbox")) == 1


async def test_an_envelope_no_broker_takes_is_kept_as_a_dead_letter(database: Database, broker: EmbeddedBroker) -> None:
    async with database.transaction() as unit:
        unit.pending.append(Envelope("no-such-topic.v1", {"ce-id": "x", "ce-source": "/querycraft/probe"}, b"{}"))
        unit.emit(progressed("fine"))
    await Relay(database.pool, broker).publish_batch()
    [letter] = await dead_letters.listing(database.pool)
    assert letter.subscription == "outbox"
    assert "no-such-topic" in letter.reason
    assert await database.fetch("SELECT * FROM outbox") == []
