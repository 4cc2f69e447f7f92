"""One open subscription on Pub/Sub: a streaming pull, reopened when it dies."""

import asyncio
import logging
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

from google.cloud import pubsub_v1
from google.cloud.pubsub_v1.subscriber.message import Message

from contracts.manifest import Subscription
from services.kernel.errors import TransientError
from services.kernel.messaging.backoff import delay as backoff
from services.kernel.messaging.broker import Delivery
from services.kernel.messaging.envelope import Envelope
from services.kernel.messaging.pubsub.clients import SubscriberClient, subscriber_client
from services.kernel.messaging.pubsub.scheduler import LoopScheduler

_logger = logging.getLogger(__name__)

_SHORTEST_LEASE, _LONGEST_LEASE = 10, 600
"""Seconds; the service's limits on one extension."""
_FIRST_REOPEN, _LONGEST_REOPEN = 0.2, 30.0
_HEALTHY_SECONDS = 60.0
"""A stream that lived this long starts its backoff anew."""
_FINISH_SECONDS = 1.0
"""How long the service has to end a stream that is finished; then it is cancelled."""
_CLOSE_SECONDS = 10.0
"""How long a closing stream waits for a service that does not answer."""
_REDELIVERY_MARGIN = 5.0
_MAX_HELD_BYTES = 100_000_000


class PubSubStream:
    """``max_lease``: seconds after which a delivery that was never settled is given up to others.
    ``hand_back``: nacks ack ids of ``path``; blocking. It must not use the stream's own channel.
    """

    def __init__(
        self,
        subscription: Subscription,
        path: str,
        capacity: int,
        max_lease: float,
        hand_back: Callable[[str, list[str]], None],
    ) -> None:
        self._path = path
        self._subscription = subscription
        self._hand_back = hand_back
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
        self._order = NackedKeys(subscription.max_backoff + _REDELIVERY_MARGIN) if subscription.ordered else None
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
            if self._order is not None:
                self._order.nacked(message)
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
        client = subscriber_client()
        future = client.subscribe(
            self._path,
            callback=lambda message: self._receive(scheduler, message),
            flow_control=self._flow,
            scheduler=scheduler,
        )
        ended: asyncio.Future[Any] = asyncio.wrap_future(future)
        try:
            await asyncio.shield(ended)
        finally:
            client.finish()
            await asyncio.wait([ended], timeout=_FINISH_SECONDS)
            future.cancel()  # returns at once; the client shuts down and sends its last acks on its own threads
            await self._end(scheduler, client, ended)

    async def _end(self, scheduler: LoopScheduler, client: SubscriberClient, ended: "asyncio.Future[Any]") -> None:
        _, waiting = await asyncio.wait([ended], timeout=_CLOSE_SECONDS)
        # Only with its channel closed does the service surely send nothing more this way: what
        # is handed back earlier may come right back to the stream that is going.
        client.close()
        unsettled = scheduler.take_unsettled()
        self._ready = deque(item for item in self._ready if _receipt(item)[0] is not scheduler)
        if not waiting and not ended.cancelled():
            ended.exception()  # a finished stream ends with an error of the library's; that is no news
        if waiting:
            _logger.warning(
                "the client of %s did not end within %.0f s",
                self._subscription.name,
                _CLOSE_SECONDS,
                extra={"action": "broker.close_abandoned"},
            )
        try:
            await asyncio.to_thread(self._hand_back, self._path, unsettled)
        except TransientError as error:
            _logger.warning(
                "%s could not hand back %d deliveries, their leases will run out: %s",
                self._subscription.name,
                len(unsettled),
                error,
                extra={"action": "broker.hand_back_failed"},
            )

    def _receive(self, scheduler: LoopScheduler, message: Message) -> None:
        attributes = dict(message.attributes)
        if not self._subscription.accepts(attributes):
            # The service filters before it delivers; its emulator takes filters and ignores them.
            scheduler.settled(message)
            message.ack()
            return
        if self._order is not None and self._order.too_early(message):
            scheduler.settled(message)
            message.nack()
            return
        envelope = Envelope(self._subscription.topic, attributes, message.data, message.ordering_key or "")
        self._ready.append(Delivery(envelope, message.delivery_attempt or 1, (scheduler, message)))
        self._arrived.set()


class NackedKeys:
    """Keeps a nacked message ahead of the newer ones of its ordering key.

    The client releases the next message of a key as soon as the one before is settled, nacked
    or not, counting on the service to deliver the whole key again.
    """

    def __init__(self, patience: float) -> None:
        self._patience = patience
        self._waiting: dict[str, tuple[str, float]] = {}

    def nacked(self, message: Message) -> None:
        if message.ordering_key:
            self._waiting[message.ordering_key] = (message.message_id, time.monotonic() + self._patience)

    def too_early(self, message: Message) -> bool:
        """Whether the message must wait; not for longer than the nacked one may take to come, here or elsewhere."""
        awaited, until = self._waiting.get(message.ordering_key, ("", 0.0))
        if awaited and awaited != message.message_id and time.monotonic() < until:
            return True
        self._waiting.pop(message.ordering_key, None)
        return False


def _receipt(delivery: Delivery) -> tuple[LoopScheduler, Message]:
    if not isinstance(delivery.receipt, tuple):
        raise TypeError(f"a delivery of another broker cannot be settled here: {delivery!r}")
    scheduler, message = delivery.receipt
    return scheduler, message
