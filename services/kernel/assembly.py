"""What every ``bootstrap`` builds first: telemetry, the database and the broker that the settings name."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from services.kernel import telemetry
from services.kernel.database.pool import open_pool
from services.kernel.database.unit_of_work import Database
from services.kernel.messaging.broker import Broker
from services.kernel.settings import ServiceSettings

if TYPE_CHECKING:
    from fastapi import FastAPI

    from services.kernel.jobs.worker import Worker
    from services.kernel.messaging.consumer import Consumer


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

        return PubSubBroker(settings.google_cloud_project, polling=settings.delivery == "poll")
    from services.kernel.messaging.embedded import EmbeddedBroker

    return EmbeddedBroker(database.pool, lease=settings.lease_seconds)


def mount_push(app: "FastAPI", settings: ServiceSettings, takers: "Sequence[Consumer | Worker]") -> None:
    """With ``delivery`` push, let the app take the subscriptions of ``takers``; its body limit must leave room.

    Raises:
        ConfigurationError: pushes could not be authenticated.
    """
    if settings.delivery != "push":
        return
    from services.kernel.messaging.oidc import push_verifier
    from services.kernel.messaging.push import PushHandler, push_router

    verifier = push_verifier(
        audience=settings.push_audience, service_account=settings.push_service_account, emulator=settings.push_emulator
    )
    app.include_router(push_router([PushHandler(t.route.subscription, t.dispatch) for t in takers], verifier))
