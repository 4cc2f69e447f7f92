"""google-cloud-pubsub as it comes beside our adapter, over the same messages and the same emulator."""

import threading
import time
from collections.abc import Sequence
from typing import Any

from contracts.manifest import Subscription
from scripts.bench.consumer_path import probe_database, timed_path
from scripts.bench.streams import MEASURED, timed_consume, timed_publish
from scripts.embedded.postgres import PostgresServer
from services.kernel.database.unit_of_work import Database
from services.kernel.messaging.envelope import Envelope
from services.kernel.messaging.provision import provision_pubsub
from services.kernel.messaging.pubsub import PubSubBroker

PUBLISH_BATCH = 500
PULL_BATCH = 500
_TIMEOUT = 120.0


async def measure(
    server: PostgresServer, project: str, subscription: Subscription, envelopes: Sequence[Envelope], rounds: int
) -> dict[str, list[float]]:
    """Messages per second of every round, by what was measured; both sides take turns. ``server``: for the inbox."""
    rates: dict[str, list[float]] = {name: [] for name in MEASURED}
    async with probe_database(server) as database:
        await _measure(database, project, subscription, envelopes, rounds, rates)
    return rates


async def _measure(
    database: Database,
    project: str,
    subscription: Subscription,
    envelopes: Sequence[Envelope],
    rounds: int,
    rates: dict[str, list[float]],
) -> None:
    for number in range(rounds):
        # The emulator slows down with what a project has seen, so every measurement gets its own.
        bare, ours, path = (f"{project}-{side}-{number}" for side in ("bare", "ours", "path"))
        for made in (bare, ours, path):
            provision_pubsub(made, topics=[subscription.topic], subscriptions=[subscription])
        rates["bare_publish"].append(len(envelopes) / _bare_publish(bare, envelopes))
        rates["bare_consume"].append(len(envelopes) / _bare_consume(bare, subscription, len(envelopes)))
        broker = PubSubBroker(ours, topics=[subscription.topic])
        rates["publish"].append(len(envelopes) / await timed_publish(broker, envelopes, PUBLISH_BATCH))
        rates["consume"].append(len(envelopes) / await timed_consume(broker, subscription, len(envelopes), PULL_BATCH))
        await broker.close()
        broker = PubSubBroker(path, topics=[subscription.topic])
        await timed_publish(broker, envelopes, PUBLISH_BATCH)
        await database.execute("DELETE FROM inbox")  # the same messages again: they must not pass for repeats
        rates["path"].append(len(envelopes) / await timed_path(broker, subscription, database, len(envelopes)))
        await broker.close()


def _bare_publish(project: str, envelopes: Sequence[Envelope]) -> float:
    from google.cloud import pubsub_v1

    client = pubsub_v1.PublisherClient(batch_settings=pubsub_v1.types.BatchSettings(max_messages=PUBLISH_BATCH))
    started = time.perf_counter()
    for start in range(0, len(envelopes), PUBLISH_BATCH):
        futures = [
            client.publish(f"projects/{project}/topics/{envelope.topic}", envelope.data, **envelope.attributes)
            for envelope in envelopes[start : start + PUBLISH_BATCH]
        ]
        for future in futures:
            future.result(_TIMEOUT)
    seconds = time.perf_counter() - started
    client.stop()
    return seconds


def _bare_consume(project: str, subscription: Subscription, expected: int) -> float:
    from google.cloud import pubsub_v1

    seen = 0
    lock = threading.Lock()
    finished = threading.Event()

    def no_op(message: Any) -> None:
        nonlocal seen
        message.ack()
        with lock:
            seen += 1
            if seen == expected:
                finished.set()

    with pubsub_v1.SubscriberClient() as client:
        started = time.perf_counter()
        future = client.subscribe(
            f"projects/{project}/subscriptions/{subscription.name}",
            no_op,
            flow_control=pubsub_v1.types.FlowControl(max_messages=2 * PULL_BATCH),
        )
        if not finished.wait(_TIMEOUT):
            raise RuntimeError(f"the bare consumer saw {seen} of {expected} messages")
        seconds = time.perf_counter() - started
        future.cancel()
        future.result(_TIMEOUT)
    return seconds
