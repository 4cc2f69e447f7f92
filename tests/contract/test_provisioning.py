"""What Terraform creates in the cloud is what tests and people create on the emulator."""

from typing import Any

import pytest
from google.cloud import pubsub_v1

from contracts.exports.catalog import declared
from contracts.exports.tfvars import tfvars
from contracts.manifest import SUBSCRIPTIONS, TOPICS
from scripts.emulators.pubsub import PubSubEmulator
from services.kernel.messaging.pubsub.provisioning import Provisioner

CATALOG = declared()


def _as_terraform_names_it(subscription: Any) -> dict[str, object]:
    return {
        "topic": subscription.topic.rsplit("/", 1)[1],
        "filter": subscription.filter,
        "ack_deadline_seconds": subscription.ack_deadline_seconds,
        "dead_letter_topic": subscription.dead_letter_policy.dead_letter_topic.rsplit("/", 1)[1],
        "max_delivery_attempts": subscription.dead_letter_policy.max_delivery_attempts,
        "minimum_backoff": f"{subscription.retry_policy.minimum_backoff.total_seconds():g}s",
        "maximum_backoff": f"{subscription.retry_policy.maximum_backoff.total_seconds():g}s",
        "message_retention": f"{subscription.message_retention_duration.total_seconds():.0f}s",
        "enable_message_ordering": subscription.enable_message_ordering,
    }


@pytest.mark.pubsub
def test_both_ways_give_the_same_subscriptions(pubsub_emulator: PubSubEmulator, pubsub_project: str) -> None:
    provisioner = Provisioner(pubsub_project, CATALOG.schemas / "avro")
    provisioner.provision([topic.name for topic in TOPICS], SUBSCRIPTIONS)
    provisioner.close()

    wanted = tfvars(CATALOG)["subscriptions"]
    with pubsub_v1.SubscriberClient() as client:
        listed = client.list_subscriptions(project=f"projects/{pubsub_project}")
        made = {subscription.name.rsplit("/", 1)[1]: subscription for subscription in listed}
    backstops = {subscription.dead_letter_topic for subscription in SUBSCRIPTIONS}
    assert set(made) == set(wanted) | backstops
    for name, expected in wanted.items():
        consumer = expected["consumer"]
        assert {**_as_terraform_names_it(made[name]), "consumer": consumer} == expected
