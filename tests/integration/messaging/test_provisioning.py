"""The manifest, created on both brokers from one declaration."""

from datetime import UTC, datetime

import asyncpg
import pytest

from contracts import manifest
from contracts.jobs import JobFailed
from contracts.manifest import Subscription
from services.kernel.errors import ConfigurationError, PermanentError
from services.kernel.messaging.embedded import EmbeddedBroker
from services.kernel.messaging.envelope import Envelope, seal, unseal
from services.kernel.messaging.provision import provision_embedded, provision_pubsub
from services.kernel.messaging.pubsub import PubSubBroker
from tests.support.brokers import Ping

TOPICS = [topic.name for topic in manifest.TOPICS]
NOTIFIER = next(sub for sub in manifest.subscriptions_of("notifier") if sub.message is JobFailed)
FAILED = JobFailed(
    job_id="j", job_type="grading", fence=1, error_code="e", error_message="오류", finished_at=datetime.now(UTC)
)


async def test_the_embedded_broker_takes_the_manifest_as_often_as_asked(empty_database_url):
    async with asyncpg.create_pool(empty_database_url, min_size=1, max_size=3) as pool:
        broker = EmbeddedBroker(pool)
        assert await broker.missing(TOPICS, manifest.SUBSCRIPTIONS) == [
            *TOPICS,
            *(sub.name for sub in manifest.SUBSCRIPTIONS),
        ]
        for _ in range(2):
            async with pool.acquire() as connection:
                await provision_embedded(connection)
        assert await broker.missing(TOPICS, manifest.SUBSCRIPTIONS) == []


async def test_a_client_role_publishes_and_consumes_and_creates_nothing(postgres_server, empty_database_url):
    name = empty_database_url.split("/")[3].split("?")[0]
    role = f"client_{name}"
    owner = await asyncpg.connect(empty_database_url)
    await owner.execute(f'CREATE ROLE "{role}" LOGIN')
    try:
        await provision_embedded(owner, clients=[role])
        async with asyncpg.create_pool(postgres_server.url(name, role), min_size=1, max_size=3) as pool:
            broker = EmbeddedBroker(pool)
            assert await broker.publish([seal(FAILED, "intake")]) == [None]
            async with broker.subscribe(NOTIFIER, capacity=5) as stream:
                [delivery] = await stream.pull(5, 30.0)
                assert unseal(delivery.envelope, JobFailed) == FAILED
                await stream.ack([delivery])
            await broker.close()
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await pool.execute("CREATE TABLE broker.mine ()")
    finally:
        await owner.execute(f'DROP OWNED BY "{role}"; DROP ROLE "{role}"')
        await owner.close()


@pytest.mark.pubsub
async def test_pubsub_takes_the_manifest_and_its_schemas_as_often_as_asked(pubsub_project):
    for _ in range(2):
        provision_pubsub(pubsub_project)
    broker = PubSubBroker(pubsub_project)
    try:
        assert await broker.missing(TOPICS, manifest.SUBSCRIPTIONS) == []
        good = seal(FAILED, "intake")
        malformed = Envelope(good.topic, good.attributes, b'{"job_id": 5}')
        outcomes = await broker.publish([good, malformed, good])
        assert [type(outcome) for outcome in outcomes] == [type(None), PermanentError, type(None)]
        async with broker.subscribe(NOTIFIER, capacity=5) as stream:
            deliveries = await stream.pull(5, 30.0)
            assert unseal(deliveries[0].envelope, JobFailed) == FAILED
            await stream.ack(deliveries)
    finally:
        await broker.close()


@pytest.mark.pubsub
async def test_what_pubsub_cannot_change_is_said(pubsub_project):
    provision_pubsub(pubsub_project, topics=[Ping.topic()], subscriptions=[Subscription(Ping, "reader")])
    changed = Subscription(Ping, "reader", filter={"kind": ("red",)})
    with pytest.raises(ConfigurationError, match="filter"):
        provision_pubsub(pubsub_project, topics=[Ping.topic()], subscriptions=[changed])
    longer = Subscription(Ping, "reader", ack_deadline=45, max_attempts=7)
    provision_pubsub(pubsub_project, topics=[Ping.topic()], subscriptions=[longer])
