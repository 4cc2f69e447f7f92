"""Creates topics, subscriptions and schemas from the manifest, on either broker.

Run by the embedded default's start, by the tests and by people; services never call it.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

import asyncpg

from contracts import manifest
from contracts.manifest import Subscription

AVRO_SCHEMAS = Path(manifest.__file__).parent / "schemas" / "avro"


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


def provision_pubsub(
    project: str,
    *,
    topics: Sequence[str] | None = None,
    subscriptions: Sequence[Subscription] = manifest.SUBSCRIPTIONS,
    schemas: Path = AVRO_SCHEMAS,
    push: Mapping[str, str] | None = None,
) -> None:
    """Create or update the project's topics, subscriptions, dead letter topics and schemas; idempotent and blocking.

    ``push``: consumer -> base URL, for those that are pushed to (unsigned: the emulator signs nothing).
    In the cloud Terraform does this from the same manifest; here it serves the emulator.

    Raises:
        ConfigurationError: something exists that cannot be changed into what is declared.
    """
    from services.kernel.messaging.pubsub.provisioning import Provisioner

    names = [topic.name for topic in manifest.TOPICS] if topics is None else list(topics)
    provisioner = Provisioner(project, schemas, push)
    try:
        provisioner.provision(names, subscriptions)
    finally:
        provisioner.close()
