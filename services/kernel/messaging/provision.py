"""Creates topics, subscriptions and schemas from the manifest, on either broker.

Run by the embedded default's start, by the tests and by people; services never call it.
"""

from collections.abc import Sequence

import asyncpg

from contracts import manifest
from contracts.manifest import Subscription


async def provision_embedded(
    connection: asyncpg.Connection,
    *,
    topics: Sequence[str] | None = None,
    subscriptions: Sequence[Subscription] = manifest.SUBSCRIPTIONS,
    clients: Sequence[str] = (),
) -> None:
    """Install or upgrade the embedded broker's schema and register the manifest; idempotent.

    ``connection`` belongs to a role that may create the schema; ``clients`` are the existing
    roles that get to publish and consume.
    """
    from services.kernel.messaging.embedded import schema

    names = [topic.name for topic in manifest.TOPICS] if topics is None else list(topics)
    await schema.install(connection)
    await schema.register(connection, names, [(sub.name, sub.topic) for sub in subscriptions])
    for role in clients:
        await schema.grant(connection, role)
