"""One open subscription on Pub/Sub by unary pull: every request and every lease is our own.

Slower to hear of a message than a streaming pull, and exact: nothing is out at a consumer but what it asked for,
and a nack comes back after the very delay it names. Source: https://cloud.google.com/pubsub/docs/pull
"""

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

from contracts.manifest import Subscription
from services.kernel.errors import TransientError
from services.kernel.messaging.broker import Delivery
from services.kernel.messaging.envelope import Envelope
from services.kernel.messaging.pubsub.failures import typed

_logger = logging.getLogger(__name__)

_MOST_MESSAGES = 1000
"""Of one pull and of one acknowledgement."""
_LONGEST_DEADLINE = 600
_REQUEST_SECONDS = 10.0
_EXTENSIONS_A_LEASE = 3


class PolledStream:
    """``client`` is the library's subscriber client, shared by streams. ``max_lease``: seconds after which a delivery
    that was never settled is given up to others. Not for ordered subscriptions: nothing keeps a key's newer
    messages back while an older one is out."""

    def __init__(self, subscription: Subscription, path: str, capacity: int, max_lease: float, client: Any) -> None:
        self._subscription = subscription
        self._path = path
        self._capacity = capacity
        self._max_lease = max_lease
        self._client = client
        self._out: dict[str, float] = {}
        """Ack ids of what is unsettled, and when each came (monotonic seconds)."""
        # One to wait for messages, one for all else.
        self._threads = ThreadPoolExecutor(2, thread_name_prefix=f"poll-{subscription.name}")
        self._keeper = asyncio.create_task(self._keep_leases())

    async def pull(self, limit: int, wait: float) -> list[Delivery]:
        """See ``Stream.pull``."""
        room = min(limit, self._capacity - len(self._out), _MOST_MESSAGES)
        if room <= 0:
            await asyncio.sleep(wait)
            return []
        request = self._threads.submit(self._request, room, wait)
        try:
            received = await asyncio.shield(asyncio.wrap_future(request))
        except asyncio.CancelledError:
            request.add_done_callback(self._hand_back_pulled)
            raise
        deliveries = []
        unwanted = []
        for item in received:
            attributes = dict(item.message.attributes)
            if not self._subscription.accepts(attributes):  # the emulator takes filters and ignores them
                unwanted.append(item.ack_id)
                continue
            self._out[item.ack_id] = time.monotonic()
            envelope = Envelope(
                self._subscription.topic, attributes, item.message.data, item.message.ordering_key or ""
            )
            deliveries.append(Delivery(envelope, item.delivery_attempt or 1, item.ack_id))
        if unwanted:
            await self._call(self._acknowledge, unwanted)
        return deliveries

    async def ack(self, deliveries: Sequence[Delivery]) -> None:
        """See ``Stream.ack``. Raises TransientError: it did not arrive; the messages will come again."""
        await self._call(self._acknowledge, [self._settled(delivery) for delivery in deliveries])

    async def nack(self, delivery: Delivery, delay: float) -> None:
        """See ``Stream.nack``; the delay is kept to the second."""
        await self._call(self._extend, [self._settled(delivery)], min(round(delay), _LONGEST_DEADLINE))

    async def close(self) -> None:
        """Hand back what is unsettled; what a request under way still brings is handed back when it ends."""
        self._keeper.cancel()
        await asyncio.wait([self._keeper])
        held, self._out = list(self._out), {}
        try:
            await self._call(self._extend, held, 0)
        except TransientError as error:
            _logger.warning(
                "%s could not hand back %d deliveries, their leases will run out: %s",
                self._subscription.name,
                len(held),
                error,
                extra={"action": "broker.hand_back_failed"},
            )
        await asyncio.to_thread(self._threads.shutdown)

    async def _keep_leases(self) -> None:
        deadline = self._subscription.ack_deadline
        while True:
            await asyncio.sleep(deadline / _EXTENSIONS_A_LEASE)
            given_up = time.monotonic() - self._max_lease
            self._out = {ack_id: since for ack_id, since in self._out.items() if since > given_up}
            try:
                await self._call(self._extend, list(self._out), deadline)
            except TransientError as error:
                _logger.warning(
                    "leases on %s could not be extended: %s",
                    self._subscription.name,
                    error,
                    extra={"action": "broker.lease"},
                )

    async def _call(self, function: Callable[..., None], ack_ids: list[str], *arguments: Any) -> None:
        loop = asyncio.get_running_loop()
        for start in range(0, len(ack_ids), _MOST_MESSAGES):
            batch = ack_ids[start : start + _MOST_MESSAGES]
            await loop.run_in_executor(self._threads, function, batch, *arguments)

    def _request(self, room: int, wait: float) -> list[Any]:
        from google.api_core.exceptions import DeadlineExceeded, RetryError

        with typed(f"pull from {self._subscription.name}"):
            try:
                answer = self._client.pull(subscription=self._path, max_messages=room, timeout=wait, retry=None)
            except (DeadlineExceeded, RetryError):
                return []  # none came in time
        return list(answer.received_messages)

    def _acknowledge(self, ack_ids: list[str]) -> None:
        with typed(f"acknowledge on {self._subscription.name}"):
            self._client.acknowledge(subscription=self._path, ack_ids=ack_ids, timeout=_REQUEST_SECONDS)

    def _extend(self, ack_ids: list[str], seconds: int) -> None:
        with typed(f"change leases on {self._subscription.name}"):
            self._client.modify_ack_deadline(
                subscription=self._path, ack_ids=ack_ids, ack_deadline_seconds=seconds, timeout=_REQUEST_SECONDS
            )

    def _hand_back_pulled(self, request: "Future[list[Any]]") -> None:
        """On the thread that pulled for somebody who no longer waits."""
        if request.cancelled() or request.exception() is not None:
            return
        if ack_ids := [item.ack_id for item in request.result()]:
            try:
                self._extend(ack_ids, 0)
            except TransientError as error:
                _logger.warning(
                    "what came late on %s could not be handed back: %s",
                    self._subscription.name,
                    error,
                    extra={"action": "broker.hand_back_failed"},
                )

    def _settled(self, delivery: Delivery) -> str:
        if not isinstance(delivery.receipt, str):
            raise TypeError(f"a delivery of another broker cannot be settled here: {delivery!r}")
        self._out.pop(delivery.receipt, None)
        return delivery.receipt
