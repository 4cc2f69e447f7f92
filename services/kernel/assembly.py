"""What every ``bootstrap`` builds first and last: the clients a service stands on, and the service from its parts."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from contracts import manifest
from contracts.jobs import JobRequested
from contracts.message import Message
from services.kernel import telemetry
from services.kernel.database.pool import open_pool
from services.kernel.database.unit_of_work import Database
from services.kernel.jobs.context import JobHandler
from services.kernel.jobs.worker import JobRoute, Worker
from services.kernel.messaging.broker import Broker
from services.kernel.messaging.consumer import AfterCommit, Consumer, Handler, Route
from services.kernel.runtime import Background, Service
from services.kernel.settings import ServiceSettings

if TYPE_CHECKING:
    from fastapi import FastAPI


@dataclass(frozen=True)
class Foundation:
    """What a service called ``name`` stands on. Its subscriptions are the manifest's."""

    name: str
    settings: ServiceSettings
    database: Database
    broker: Broker

    def consumers(
        self, handlers: Mapping[type[Message], Handler], after_commit: AfterCommit | None = None
    ) -> list[Consumer]:
        """One for each message. Raises KeyError: the service has no subscription to one of them."""
        by_message = {subscription.message: subscription for subscription in manifest.subscriptions_of(self.name)}
        return [
            Consumer(
                Route(by_message[message], handler, after_commit),
                self.broker,
                self.database,
                project_id=self.settings.google_cloud_project,
            )
            for message, handler in handlers.items()
        ]

    def worker(
        self,
        handlers: Mapping[str, JobHandler],
        *,
        concurrency: int = JobRoute.concurrency,
        time_limit: float = JobRoute.time_limit,
    ) -> Worker:
        """For the service's job requests; see ``JobRoute``."""
        [requests] = [one for one in manifest.subscriptions_of(self.name) if one.message is JobRequested]
        route = JobRoute(requests, handlers, concurrency=concurrency, time_limit=time_limit)
        return Worker(route, self.broker, self.database, project_id=self.settings.google_cloud_project)

    def service(
        self,
        app: "FastAPI",
        consumers: Sequence[Consumer],
        workers: Sequence[Worker] = (),
        *,
        background: Sequence[Background] = (),
        on_close: Sequence[Callable[[], Awaitable[None]]] = (),
    ) -> Service:
        """The whole; with ``delivery`` push ``app`` takes the subscriptions, for which its body limit must leave room.

        Raises:
            ConfigurationError: pushes could not be authenticated.
        """
        _mount_push(app, self.settings, [*consumers, *workers])
        return Service(
            self.name,
            self.settings,
            self.database,
            self.broker,
            consumers=consumers,
            workers=workers,
            background=background,
            app=app,
            on_close=on_close,
        )


async def lay_foundation(service: str, settings: ServiceSettings) -> Foundation:
    """Configure telemetry and open the clients a service of this name stands on.

    Raises:
        OSError, asyncpg.PostgresError: the database cannot be reached or refuses the role.
    """
    telemetry.configure(service, settings)
    database = Database(await open_pool(service, settings), service)
    return Foundation(service, settings, database, _open_broker(settings, database))


def _open_broker(settings: ServiceSettings, database: Database) -> Broker:
    if settings.broker == "pubsub":
        from services.kernel.messaging.pubsub import PubSubBroker

        return PubSubBroker(settings.google_cloud_project, polling=settings.delivery == "poll")
    from services.kernel.messaging.embedded import EmbeddedBroker

    return EmbeddedBroker(database.pool, lease=settings.lease_seconds)


def _mount_push(app: "FastAPI", settings: ServiceSettings, takers: Sequence[Consumer | Worker]) -> None:
    if settings.delivery != "push":
        return
    from services.kernel.messaging.oidc import push_verifier
    from services.kernel.messaging.push import PushHandler, push_router

    verifier = push_verifier(
        audience=settings.push_audience, service_account=settings.push_service_account, emulator=settings.push_emulator
    )
    app.include_router(push_router([PushHandler(t.route.subscription, t.dispatch) for t in takers], verifier))
