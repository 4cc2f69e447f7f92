"""The port between services and whatever carries their messages.

Two adapters implement it: ``pubsub`` and ``embedded``. One conformance suite
(tests/integration/messaging) holds both to the behaviour written here.
"""

from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import Protocol

from contracts.manifest import Subscription
from services.kernel.messaging.envelope import Envelope


@dataclass(frozen=True, slots=True)
class Delivery:
    """One message handed to a consumer.

    ``attempt`` counts deliveries of this message to this subscription, from 1, crashes of
    the consumer included. ``receipt`` is the adapter's own token for ack and nack.
    """

    envelope: Envelope
    attempt: int
    receipt: object = field(repr=False, compare=False, default=None)


class Stream(Protocol):
    """An open subscription. Deliveries are leased: the adapter extends the lease while the
    consumer holds them and stops when they are settled or the stream closes."""

    async def pull(self, limit: int, wait: float) -> list[Delivery]:
        """Up to ``limit`` deliveries; returns as soon as there is one, or empty after ``wait`` seconds.

        On an ordered subscription deliveries of one ordering key come in publish order and a key
        with an unsettled or nacked delivery yields nothing newer.

        Raises:
            TransientError: the broker cannot be reached; pull again later.
        """
        ...

    async def ack(self, deliveries: Sequence[Delivery]) -> None:
        """Never deliver these again (best effort: an ack may be lost, so consumers deduplicate)."""
        ...

    async def nack(self, delivery: Delivery, delay: float) -> None:
        """Deliver again after about ``delay`` seconds (Pub/Sub uses the subscription's own backoff)."""
        ...


class Broker(Protocol):
    async def publish(self, envelopes: Sequence[Envelope]) -> list[Exception | None]:
        """Publish; one outcome per envelope in order: None when the broker has it durably.

        A failure of one never hides the success of another. Failures are ``TransientError``
        (publish again) or ``PermanentError`` (this envelope can never be published).
        """
        ...

    def subscribe(self, subscription: Subscription, *, capacity: int) -> AbstractAsyncContextManager[Stream]:
        """Open the subscription, holding at most ``capacity`` unsettled deliveries.

        Closing hands back everything unsettled so that another consumer gets it at once.
        """
        ...

    async def missing(self, topics: Sequence[str], subscriptions: Sequence[Subscription]) -> list[str]:
        """Names of those that do not exist; services refuse to start when there are any."""
        ...

    async def close(self) -> None: ...
