"""One open subscription on Pub/Sub: a streaming pull, reopened when it dies."""

import asyncio
import logging
from collections import deque
from collections.abc import Sequence
from typing import Any

from google.cloud import pubsub_v1
from google.cloud.pubsub_v1.subscriber.message import Message

from contracts.manifest import Subscription
from services.kernel.errors import TransientError
from services.kernel.messaging.backoff import delay as backoff
from services.kernel.messaging.broker import Delivery
from services.kernel.messaging.envelope import Envelope
from services.kernel.messaging.pubsub.scheduler import LoopScheduler

_logger = logging.getLogger(__name__)

_SHORTEST_LEASE, _LONGEST_LEASE = 10, 600
"""Seconds; the service's limits on one extension."""
_FIRST_REOPEN, _LONGEST_REOPEN = 0.2, 30.0
_HEALTHY_SECONDS = 60.0
"""A stream that lived this long starts its backoff anew."""
_CLOSE_SECONDS = 10.0
"""How long a closing stream waits for a service that does not answer."""
_MAX_HELD_BYTES = 100_000_000


class PubSubStream:
    """``max_lease``: seconds after which a delivery that was never settled is given up to others."""

    def __init__(self, client: Any, path: str, subscription: Subscription, capacity: int, max_lease: float) -> None:
        self._client = client
        self._path = path
        self._subscription = subscription
        extension = min(max(subscription.ack_deadline, _SHORTEST_LEASE), _LONGEST_LEASE)
        self._flow = pubsub_v1.types.FlowControl(
            max_messages=capacity,
            max_bytes=_MAX_HELD_BYTES,
            max_lease_duration=max_lease,
            min_duration_per_lease_extension=extension,
            max_duration_per_lease_extension=extension,
        )
        self._ready: deque[Delivery] = deque()
        self._arrived = asyncio.Event()
        self._failure: Exception | None = None
        self._scheduler: LoopScheduler | None = None
        self._keeper = asyncio.create_task(self._keep_open())

    async def pull(self, limit: int, wait: float) -> list[Delivery]:
        """See ``Stream.pull``."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + wait
        while not self._ready:
            if self._failure is not None:
                failure, self._failure = self._failure, None
                raise TransientError(f"the stream of {self._subscription.name} ended: {failure!r}") from failure
            self._arrived.clear()
            try:
                await asyncio.wait_for(self._arrived.wait(), deadline - loop.time())
            except TimeoutError:
                return []
        return [self._ready.popleft() for _ in range(min(limit, len(self._ready)))]

    async def ack(self, deliveries: Sequence[Delivery]) -> None:
        """See ``Stream.ack``. Sent in batches by the client's own thread."""
        for delivery in deliveries:
            scheduler, message = _receipt(delivery)
            if scheduler.settled(message):
                message.ack()

    async def nack(self, delivery: Delivery, delay: float) -> None:
        """See ``Stream.nack``."""
        scheduler, message = _receipt(delivery)
        if scheduler.settled(message):
            message.nack()

    async def close(self) -> None:
        """End the stream; the client nacks what is unsettled and sends its last acks before this returns."""
        self._keeper.cancel()
        await asyncio.wait([self._keeper])
        self._ready.clear()

    async def _keep_open(self) -> None:
        loop = asyncio.get_running_loop()
        failures = 0
        while True:
            opened = loop.time()
            try:
                await self._run_once()
            except Exception as error:
                # Whatever ended it (no permission, no subscription, a lost network): say so and try again.
                failures = 1 if loop.time() - opened > _HEALTHY_SECONDS else failures + 1
                self._failure = error
                self._arrived.set()
                _logger.warning(
                    "the stream of %s ended: %r", self._subscription.name, error, extra={"action": "broker.reopen"}
                )
            await asyncio.sleep(backoff(failures, _FIRST_REOPEN, _LONGEST_REOPEN))

    async def _run_once(self) -> None:
        scheduler = LoopScheduler(asyncio.get_running_loop())
        future = self._client.subscribe(
            self._path,
            callback=lambda message: self._receive(scheduler, message),
            flow_control=self._flow,
            scheduler=scheduler,
        )
        ended: asyncio.Future[Any] = asyncio.wrap_future(future)
        try:
            await asyncio.shield(ended)
        except asyncio.CancelledError:
            future.cancel()  # returns at once; the client shuts down on a thread of its own
            _, waiting = await asyncio.wait([ended], timeout=_CLOSE_SECONDS)
            if waiting:
                _logger.warning(
                    "%s could not hand back its deliveries within %.0f s, their leases will run out",
                    self._subscription.name,
                    _CLOSE_SECONDS,
                    extra={"action": "broker.hand_back_failed"},
                )
            raise
        finally:
            # Those the client has given back must not reach a consumer any more.
            self._ready = deque(item for item in self._ready if _receipt(item)[0] is not scheduler)

    def _receive(self, scheduler: LoopScheduler, message: Message) -> None:
        envelope = Envelope(
            self._subscription.topic, dict(message.attributes), message.data, message.ordering_key or ""
        )
        self._ready.append(Delivery(envelope, message.delivery_attempt or 1, (scheduler, message)))
        self._arrived.set()


def _receipt(delivery: Delivery) -> tuple[LoopScheduler, Message]:
    if not isinstance(delivery.receipt, tuple):
        raise TypeError(f"a delivery of another broker cannot be settled here: {delivery!r}")
    scheduler, message = delivery.receipt
    return scheduler, message
