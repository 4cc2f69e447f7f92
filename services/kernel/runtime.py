"""One service process: checks what it needs, runs its parts, and stops in order.

Shutdown: stop taking work, finish what is held within the drain budget, hand back the
rest, and say what was abandoned.
"""

import asyncio
import gc
import logging
import signal
from collections.abc import Awaitable, Callable, Coroutine, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from contracts import manifest
from services.kernel import telemetry
from services.kernel.database.unit_of_work import Database
from services.kernel.errors import ConfigurationError
from services.kernel.jobs import runs
from services.kernel.jobs.worker import Worker
from services.kernel.loops import every
from services.kernel.messaging import inbox
from services.kernel.messaging.broker import Broker
from services.kernel.messaging.consumer import Consumer
from services.kernel.messaging.outbox import Relay
from services.kernel.messaging.replayer import Replayer
from services.kernel.settings import ServiceSettings

if TYPE_CHECKING:
    import uvicorn
    from fastapi import FastAPI

_logger = logging.getLogger(__name__)

PRUNE_SECONDS = 3600.0

Background = Callable[[], Coroutine[Any, Any, None]]
"""A loop of the service's own that runs until cancelled (a dispatcher, a reaper, a clock)."""


@dataclass
class Service:
    """The parts that ``bootstrap`` built. ``on_close`` runs last, in order."""

    name: str
    settings: ServiceSettings
    database: Database
    broker: Broker
    consumers: Sequence[Consumer] = ()
    workers: Sequence[Worker] = ()
    background: Sequence[Background] = ()
    app: "FastAPI | None" = None
    on_close: Sequence[Callable[[], Awaitable[None]]] = ()
    _server: "uvicorn.Server | None" = field(default=None, init=False)

    async def check(self) -> None:
        """Refuse to start without the topics and subscriptions this service uses.

        Raises:
            ConfigurationError: names what is missing and how to create it.
        """
        topics = [topic.name for topic in manifest.TOPICS if self.name in topic.producers]
        subscriptions = manifest.subscriptions_of(self.name)
        missing = await self.broker.missing(topics, subscriptions)
        if missing:
            raise ConfigurationError(
                f"{self.name} cannot start: the broker lacks {', '.join(missing)}; "
                "create them with Terraform, or on one machine with scripts/provision.py"
            )

    async def run(self, stop: asyncio.Event | None = None) -> None:
        """Run until SIGTERM, SIGINT or ``stop``, then drain.

        Raises:
            ConfigurationError: see ``check``.
        """
        stop = stop or _stop_on_signals()
        await self.check()
        relay = Relay(self.database.pool, self.broker)
        self.database.when_emitted(relay.wake)
        takers: list[Consumer | Worker] = [*self.consumers, *self.workers] if self.settings.delivery != "push" else []
        taking = [asyncio.create_task(taker.run(), name=f"{self.name}.take") for taker in takers]
        loops = [asyncio.create_task(loop(), name=f"{self.name}.loop") for loop in self._loops()]
        relaying = asyncio.create_task(relay.run(), name=f"{self.name}.relay")
        server = await self._serve()
        # What was built so far lives as long as the process: walking it costs each full collection 25 ms or more.
        gc.collect()
        gc.freeze()
        _logger.info("%s is ready", self.name, extra={"action": "service.ready"})
        stopped = asyncio.create_task(stop.wait())
        try:
            done, _ = await asyncio.wait({stopped, relaying, *taking, *loops}, return_when=asyncio.FIRST_COMPLETED)
            for task in done - {stopped}:
                task.result()  # a part that ends by itself has failed: let its error end the process
        finally:
            stopped.cancel()
            await self._shut_down(taking, loops, relay, relaying, server)

    def _loops(self) -> list[Background]:
        handlers: dict[str, Consumer | Worker] = {c.route.subscription.name: c for c in self.consumers}
        handlers |= {w.route.subscription.name: w for w in self.workers}
        return [*self.background, Replayer(self.database.pool, handlers).run, self._prune]

    async def _prune(self) -> None:
        await every(PRUNE_SECONDS, "prune", self._prune_once)

    async def _prune_once(self) -> None:
        await inbox.prune(self.database.pool, self.settings.inbox_retention_days)
        if self.workers:
            await runs.prune(self.database.pool, self.settings.inbox_retention_days)

    async def _serve(self) -> "asyncio.Task[None] | None":
        if self.app is None:
            return None
        import uvicorn

        class Server(uvicorn.Server):
            """Leaves the process's signals to ``Service.run``, which drains the other parts too."""

            @contextmanager
            def capture_signals(self) -> Iterator[None]:
                yield

        config = uvicorn.Config(
            self.app,
            host=self.settings.http_host,
            port=self.settings.http_port,
            log_config=None,
            access_log=False,
            lifespan="off",
            timeout_graceful_shutdown=int(self.settings.drain_seconds),
            ws_max_size=65_536,
            ws_per_message_deflate=False,  # costs each idle connection more memory than it ever saves
        )
        server = Server(config)
        task = asyncio.create_task(server.serve(), name=f"{self.name}.http")
        while not server.started:
            if task.done():
                task.result()
                raise ConfigurationError(f"{self.name} cannot listen on {config.host}:{config.port}")
            await asyncio.sleep(0.01)
        self._server = server
        return task

    async def _shut_down(
        self,
        taking: list[asyncio.Task[None]],
        loops: list[asyncio.Task[None]],
        relay: Relay,
        relaying: asyncio.Task[None],
        server: "asyncio.Task[None] | None",
    ) -> None:
        _logger.info("%s is draining", self.name, extra={"action": "service.draining"})
        if self._server is not None:
            self._server.should_exit = True
        for consumer in self.consumers:
            consumer.stop()
        for worker in self.workers:
            worker.stop()
        if taking:
            _, unfinished = await asyncio.wait(taking, timeout=self.settings.drain_seconds)
            if unfinished:
                abandoned = [name for worker in self.workers for name in worker.abandon()]
                _logger.warning(
                    "drain budget of %.0f s is over; handed back %d unfinished jobs",
                    self.settings.drain_seconds,
                    len(abandoned),
                    extra={"action": "service.abandoned", "abandoned": abandoned},
                )
                await asyncio.wait(unfinished, timeout=5.0)
        for task in loops:
            task.cancel()
        relay.stop()
        await asyncio.wait({relaying, *loops, *([server] if server else [])}, timeout=5.0)
        for close in self.on_close:
            await close()
        await self.broker.close()
        await self.database.close()
        gc.unfreeze()
        telemetry.flush()
        _logger.info("%s has stopped", self.name, extra={"action": "service.stopped"})


def _stop_on_signals() -> asyncio.Event:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    return stop
