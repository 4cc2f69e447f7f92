"""Posts what is due to webhooks: claims with a lease, sends, writes down what became of it.

At least once: a crash between the receiver's answer and our note of it sends again, under the same
``webhook-id``, by which the receiver recognises it. No webhook can crowd out the others: each has few
posts under way at a time.
"""

import asyncio
import json
import logging
import uuid
from collections import Counter
from datetime import UTC, datetime

from contracts.alerts import AlertRaised
from services.kernel import telemetry
from services.kernel.database.pool import OUTAGE
from services.kernel.database.unit_of_work import Database
from services.notifier.adapters.deliveries import Claimed, DeliveriesTable
from services.notifier.views import view
from services.notifier.webhooks.schedule import Delivered, Failed, Outcome
from services.notifier.webhooks.sender import Sender
from services.notifier.webhooks.signing import signed_headers

_logger = logging.getLogger(__name__)

UNDER_WAY = 64
PER_WEBHOOK = 16
PER_ROUND = 8
LEASE_SECONDS = 60.0
"""Four times the longest attempt: a lease that ends belongs to a process that died."""
TICK_SECONDS = 1.0
DRAIN_SECONDS = 3.0


class Dispatcher:
    def __init__(self, deliveries: DeliveriesTable, database: Database, sender: Sender, *, project_id: str) -> None:
        self._deliveries = deliveries
        self._database = database
        self._sender = sender
        self._project_id = project_id
        self._under_way: dict[asyncio.Task[None], Claimed] = {}
        self._arrived: list[tuple[Claimed, Delivered]] = []
        self._work = asyncio.Event()

    def wake(self) -> None:
        """Something may have become due."""
        self._work.set()

    async def run(self) -> None:
        """Deliver until cancelled; what is then under way gets a moment to end, the rest is handed back."""
        try:
            while True:
                self._work.clear()
                try:
                    await self._note_arrived()
                    started = await self._start_due()
                except OUTAGE as error:
                    _logger.warning("webhooks wait: %s", error, extra={"action": "webhooks.wait"})
                    started = 0
                await self._wait(may_be_more=started > 0)
        finally:
            await self._drain()

    async def _note_arrived(self) -> None:
        """Many posts that arrived share one statement; their leases hold until then."""
        arrived, self._arrived = self._arrived, []
        if not arrived:
            return
        try:
            await self._deliveries.delivered(arrived)
        except OUTAGE:
            self._arrived += arrived
            raise

    async def _start_due(self) -> int:
        counts = Counter(claimed.webhook_id for claimed in self._under_way.values())
        busy = [webhook for webhook, count in counts.items() if count > PER_WEBHOOK - PER_ROUND]
        free = UNDER_WAY - len(self._under_way)
        if free <= 0:
            return 0
        claims = await self._deliveries.claim(uuid.uuid4(), LEASE_SECONDS, free, PER_ROUND, busy)
        for claimed in claims:
            task = asyncio.create_task(self._deliver(claimed))
            self._under_way[task] = claimed
            task.add_done_callback(self._ended)
        return len(claims)

    def _ended(self, task: "asyncio.Task[None]") -> None:
        self._under_way.pop(task, None)
        self._work.set()
        if not task.cancelled() and (error := task.exception()) is not None:
            # Its lease will end, and then it is attempted again.
            _logger.error("a webhook's attempt broke off", exc_info=error, extra={"action": "webhooks.broken"})

    async def _wait(self, *, may_be_more: bool) -> None:
        if may_be_more and len(self._under_way) < UNDER_WAY:
            await asyncio.sleep(0)
            return
        try:
            async with asyncio.timeout(TICK_SECONDS):
                await self._work.wait()
        except TimeoutError:
            return

    async def _deliver(self, claimed: Claimed) -> None:
        notification = claimed.stored.notification
        body = _body(claimed)
        headers = signed_headers(str(notification.id), datetime.now(UTC), body, claimed.keys)
        with telemetry.span("webhook", attributes={"webhook": str(claimed.webhook_id), "attempt": claimed.attempt}):
            outcome = await self._sender.send(claimed.url, headers, body, claimed.attempt)
        if isinstance(outcome, Delivered):
            self._arrived.append((claimed, outcome))
        else:
            await self._settle(claimed, outcome)

    async def _settle(self, claimed: Claimed, outcome: Outcome) -> None:
        async with self._database.transaction() as unit:
            disabled = await self._deliveries.settle(unit.connection, claimed, outcome)
            if disabled and isinstance(outcome, Failed):
                unit.emit(self._disabled(claimed, outcome))
        _logger.info(
            "delivery %d of webhook %s: %s",
            claimed.id,
            claimed.webhook_id,
            outcome,
            extra={"action": "webhooks.attempted", "outcome": type(outcome).__name__.lower()},
        )

    def _disabled(self, claimed: Claimed, outcome: Failed) -> AlertRaised:
        return AlertRaised(
            alert_id=str(uuid.uuid4()),
            alert_type="webhook_disabled",
            severity="warning",
            source=self._database.source,
            about=str(claimed.webhook_id),
            user_id=claimed.webhook_user,
            error_message=outcome.reason,
            project_id=self._project_id,
            trace_id=claimed.stored.notification.trace_id,
            raised_at=datetime.now(UTC),
        )

    async def _drain(self) -> None:
        under_way = dict(self._under_way)
        unfinished: set[asyncio.Task[None]] = set()
        if under_way:
            _, unfinished = await asyncio.wait(under_way, timeout=DRAIN_SECONDS)
        for task in unfinished:
            task.cancel()
        await asyncio.gather(*unfinished, return_exceptions=True)
        await self._note_arrived()
        await self._deliveries.hand_back([under_way[task] for task in unfinished])


def _body(claimed: Claimed) -> bytes:
    """As Standard Webhooks advise: ``{type, timestamp, data}``."""
    data = view(claimed.stored, administrator=claimed.everything)
    head = {"type": data.type, "timestamp": data.timestamp.isoformat()}
    return f'{json.dumps(head, ensure_ascii=False)[:-1]}, "data": {data.model_dump_json()}}}'.encode()
