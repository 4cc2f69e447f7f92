"""Posts what is due to webhooks, one by one. None can crowd out the others: each has few posts under way at a time."""

import uuid
from collections import Counter
from collections.abc import Collection, Sequence
from datetime import UTC, datetime

from services.kernel import telemetry
from services.kernel.database.pool import OUTAGE
from services.notifier.adapters.deliveries import Claimed, DeliveriesTable
from services.notifier.dispatcher import LEASE_SECONDS
from services.notifier.schedule import Delivered
from services.notifier.settlement import Settlement
from services.notifier.webhooks.bodies import single
from services.notifier.webhooks.sender import Sender
from services.notifier.webhooks.signing import signed_headers

UNDER_WAY = 64
PER_WEBHOOK = 16
PER_ROUND = 8


class WebhookChannel:
    """See ``dispatcher.Channel``."""

    name = "webhooks"
    capacity = UNDER_WAY

    def __init__(self, deliveries: DeliveriesTable, sender: Sender, settlement: Settlement[Claimed]) -> None:
        self._deliveries = deliveries
        self._sender = sender
        self._settle = settlement
        self._arrived: list[tuple[Claimed, Delivered]] = []

    async def claim(self, free: int, under_way: Collection[Claimed]) -> list[Claimed]:
        counts = Counter(claimed.receiver_id for claimed in under_way)
        busy = [webhook for webhook, count in counts.items() if count > PER_WEBHOOK - PER_ROUND]
        return await self._deliveries.claim(uuid.uuid4(), LEASE_SECONDS, free, PER_ROUND, busy)

    async def note(self) -> None:
        """Many posts that arrived share one statement; their leases hold until then."""
        arrived, self._arrived = self._arrived, []
        if not arrived:
            return
        try:
            await self._deliveries.delivered(arrived)
        except OUTAGE:
            self._arrived += arrived
            raise

    async def hand_back(self, claims: Sequence[Claimed]) -> None:
        await self._deliveries.hand_back(claims)

    async def attempt(self, claimed: Claimed) -> None:
        notification = claimed.stored.notification
        body = single(claimed.stored, administrator=claimed.everything)
        headers = signed_headers(str(notification.id), datetime.now(UTC), body, claimed.keys)
        with telemetry.span("webhook", attributes={"webhook": str(claimed.receiver_id), "attempt": claimed.attempt}):
            outcome = await self._sender.send(claimed.url, headers, body, claimed.attempt)
        if isinstance(outcome, Delivered):
            self._arrived.append((claimed, outcome))
        else:
            await self._settle(claimed, outcome)
