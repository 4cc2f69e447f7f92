"""What every ``bootstrap`` builds first: telemetry, the database and the broker that the settings name."""

from dataclasses import dataclass

from services.kernel import telemetry
from services.kernel.database.pool import open_pool
from services.kernel.database.unit_of_work import Database
from services.kernel.messaging.broker import Broker
from services.kernel.settings import ServiceSettings


@dataclass(frozen=True)
class Foundation:
    database: Database
    broker: Broker


async def lay_foundation(service: str, settings: ServiceSettings) -> Foundation:
    """Configure telemetry and open the clients a service of this name stands on.

    Raises:
        OSError, asyncpg.PostgresError: the database cannot be reached or refuses the role.
    """
    telemetry.configure(service, settings)
    database = Database(await open_pool(service, settings), service)
    return Foundation(database, _open_broker(settings, database))


def _open_broker(settings: ServiceSettings, database: Database) -> Broker:
    if settings.broker == "pubsub":
        from services.kernel.messaging.pubsub import PubSubBroker

        return PubSubBroker(settings.google_cloud_project)
    from services.kernel.messaging.embedded import EmbeddedBroker

    return EmbeddedBroker(database.pool, lease=settings.lease_seconds)
