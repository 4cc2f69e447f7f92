"""Migrate the services' schemas and create the broker's topics and subscriptions from the manifest.

    python -m scripts.provision --admin-url postgresql://... [--broker embedded|pubsub|none] [SERVICE ...]

The URL may come from QC_ADMIN_DATABASE_URL, which keeps its password off the command line.
In the cloud Terraform creates the topics, so there the broker is ``none`` and this only migrates.
Safe to repeat and to run from two places at once.
"""

import argparse
import asyncio
import os
from collections.abc import Callable, Mapping, Sequence

import asyncpg

from scripts.services import SERVICES
from services.kernel.database.migrations import migrate, prepare
from services.kernel.messaging.provision import provision_embedded


def provision(
    admin_url: str,
    services: Sequence[str],
    *,
    broker: str,
    project: str = "",
    push: Mapping[str, str] | None = None,
    when_migrated: Callable[[str], None] = lambda service: None,
) -> None:
    """Roles, broker, schemas; ``when_migrated`` is told each service that has all it needs to start.

    ``push``: service -> base URL, for those that Pub/Sub pushes to.

    Raises psycopg.Error, asyncpg.PostgresError or google.api_core exceptions as the parts say.
    """
    for service in services:
        prepare(admin_url, service)
    if broker == "embedded":
        asyncio.run(_provision_embedded(admin_url, services))
    elif broker == "pubsub":
        from services.kernel.messaging.provision import provision_pubsub

        provision_pubsub(project, push=push)
    for service in services:
        migrate(admin_url, service)
        when_migrated(service)


async def _provision_embedded(admin_url: str, services: Sequence[str]) -> None:
    connection = await asyncpg.connect(admin_url)
    try:
        await provision_embedded(connection, clients=services)
    finally:
        await connection.close()


def main() -> None:
    parser = argparse.ArgumentParser(description="Migrate schemas and create topics and subscriptions.")
    parser.add_argument("services", nargs="*", default=SERVICES)
    parser.add_argument("--admin-url", default=os.environ.get("QC_ADMIN_DATABASE_URL"))
    parser.add_argument("--broker", choices=("embedded", "pubsub", "none"), default="none")
    parser.add_argument("--project", default=os.environ.get("GOOGLE_CLOUD_PROJECT", ""))
    arguments = parser.parse_args()
    if not arguments.admin_url:
        parser.error("--admin-url or QC_ADMIN_DATABASE_URL must name the database, with a role that may create others")
    provision(arguments.admin_url, arguments.services, broker=arguments.broker, project=arguments.project)


if __name__ == "__main__":
    main()
