"""The conformance suite runs every scenario on both brokers, and on Pub/Sub by either way to pull."""

import pytest

from tests.support.brokers import BrokerKit, EmbeddedKit, PubSubKit

BROKERS = ("embedded", pytest.param("pubsub", marks=pytest.mark.pubsub))
WAYS = (*BROKERS, pytest.param("polled", marks=pytest.mark.pubsub))


@pytest.fixture
def embedded_kit(postgres_server, empty_database_url) -> EmbeddedKit:
    return EmbeddedKit(postgres_server, empty_database_url)


@pytest.fixture
def embedded_outage_kit(own_postgres) -> EmbeddedKit:
    return EmbeddedKit(own_postgres, own_postgres.url())


@pytest.fixture
def pubsub_kit(pubsub_emulator, pubsub_project) -> PubSubKit:
    return PubSubKit(pubsub_emulator, pubsub_project)


@pytest.fixture
def polled_kit(pubsub_emulator, pubsub_project) -> PubSubKit:
    return PubSubKit(pubsub_emulator, pubsub_project, polling=True)


pubsub_outage_kit = pubsub_kit


@pytest.fixture(params=WAYS)
async def kit(request) -> BrokerKit:
    """A provisioned broker of the test's own."""
    made: BrokerKit = request.getfixturevalue(f"{request.param}_kit")
    await made.provision()
    return made


@pytest.fixture(params=BROKERS)
async def outage_kit(request) -> BrokerKit:
    """A provisioned broker that may be taken down."""
    made: BrokerKit = request.getfixturevalue(f"{request.param}_outage_kit")
    await made.provision()
    return made
