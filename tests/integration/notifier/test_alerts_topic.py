"""The alerts topic as an outsider reads it: the plain Google client, plain JSON, nothing of this project's code."""

import asyncio
import json
from collections.abc import AsyncIterator

import pytest
from google.cloud import pubsub_v1

from services.kernel.messaging.provision import provision_pubsub
from tests.integration.notifier.conftest import Running, Settings, running, told
from tests.support.notifier_events import alert, failed, succeeded

pytestmark = pytest.mark.pubsub


@pytest.fixture
async def on_pubsub(settings: Settings, pubsub_project: str) -> AsyncIterator[Running]:
    await asyncio.to_thread(provision_pubsub, pubsub_project)
    async with running(settings(broker="pubsub", google_cloud_project=pubsub_project)) as service:
        yield service


def read_alerts(project: str, number: int) -> list[tuple[dict[str, str], dict[str, object]]]:
    """Attributes and content of so many messages."""
    found = []
    with pubsub_v1.SubscriberClient() as client:
        subscription = client.subscription_path(project, "outsider")
        while len(found) < number:
            answer = client.pull(subscription=subscription, max_messages=10, timeout=20)
            found += [
                (dict(received.message.attributes), json.loads(received.message.data))
                for received in answer.received_messages
            ]
            client.acknowledge(
                subscription=subscription, ack_ids=[received.ack_id for received in answer.received_messages]
            )
    return found


async def test_any_subscriber_reads_failures_and_successes(on_pubsub: Running, pubsub_project: str) -> None:
    with pubsub_v1.SubscriberClient() as client:
        client.create_subscription(
            name=client.subscription_path(pubsub_project, "outsider"),
            topic=f"projects/{pubsub_project}/topics/alerts.v1",
        )
    event = failed(user_id="mina", error_message="cannot reach postgresql://app:hunter2@db/main")
    trace_id = "4bf92f3577b34da6a3ce929d0e0e4736"
    await on_pubsub.publish(event, traceparent=f"00-{trace_id}-00f067aa0ba902b7-01")
    await on_pubsub.publish(succeeded(), alert(stack_trace="Traceback: line 1"))
    await told(on_pubsub, 3)
    messages = await asyncio.to_thread(read_alerts, pubsub_project, 3)
    by_type = {content["type"]: (attributes, content) for attributes, content in messages}
    attributes, content = by_type["job_failed"]
    assert attributes["ce-type"] == "querycraft.notification.published.v1"
    assert (attributes["ce-specversion"], attributes["kind"], attributes["severity"]) == ("1.0", "alert", "error")
    assert (content["project_id"], content["trace_id"]) == (pubsub_project, trace_id)
    assert "cannot reach" in str(content["error_message"])
    assert "hunter2" not in json.dumps(content)
    assert by_type["dead_letter"][1]["stack_trace"] == "Traceback: line 1"
    assert by_type["job_succeeded"][1]["kind"] == "success"
    assert all(content["timestamp"] for _, content in messages)
