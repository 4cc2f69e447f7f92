"""A consumer process that takes what it can get and never settles it, to be killed by the test.

    python -m tests.support.hanging_consumer embedded <database url> <subscription>
    python -m tests.support.hanging_consumer pubsub|polled <project> <subscription>

Prints one line with the message numbers and attempts it holds.
"""

import asyncio
import json
import sys

from tests.support.brokers import SUBSCRIPTIONS, BrokerKit, EmbeddedKit, PubSubKit


async def main(kind: str, target: str, name: str) -> None:
    kit: BrokerKit = (
        EmbeddedKit(None, target) if kind == "embedded" else PubSubKit(None, target, polling=kind == "polled")  # type: ignore[arg-type]
    )
    [subscription] = [subscription for subscription in SUBSCRIPTIONS if subscription.name == name]
    async with kit.connect() as broker, broker.subscribe(subscription, capacity=100) as stream:
        deliveries = await stream.pull(100, 30.0)
        held = [[json.loads(delivery.envelope.data)["number"], delivery.attempt] for delivery in deliveries]
        print(json.dumps(held), flush=True)
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
