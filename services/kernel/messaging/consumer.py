"""Consumers of subscriptions whose handlers are short: everything they do is one transaction.

A batch shares one transaction: inbox rows, effects and outgoing messages commit together,
then the batch is acknowledged. When any message of a batch fails, the batch is rolled back and
each of its messages is handled alone, so that one poison message costs the others nothing.
"""

import asyncio
import logging
import traceback
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from opentelemetry.trace import SpanKind

from contracts.alerts import AlertRaised
from contracts.manifest import Subscription
from contracts.message import Message
from services.kernel import metrics, telemetry
from services.kernel.alerts import alert
from services.kernel.database.pool import OUTAGE
from services.kernel.database.unit_of_work import Database, UnitOfWork
from services.kernel.loops import wait
from services.kernel.messaging import dead_letters, inbox
from services.kernel.messaging.broker import Broker, Delivery, Stream
from services.kernel.messaging.envelope import MalformedMessage, unseal
from services.kernel.messaging.outcomes import Dead, Done, Outcome, Retry, classify, overrun
from services.kernel.messaging.pulling import pull_until

_logger = logging.getLogger(__name__)

BATCH = 200
PULL_WAIT_SECONDS = 1.0
OUTAGE_PAUSE_SECONDS = 1.0

Handler = Callable[[Any, UnitOfWork], Awaitable[None]]
"""``async def handle(message, unit)``: effects on ``unit.connection``, messages through ``unit.emit``."""
AfterCommit = Callable[[Sequence[Message]], None]


@dataclass(frozen=True)
class Route:
    """Which handler takes a subscription's messages. ``after_commit`` runs once a batch has committed."""

    subscription: Subscription
    handler: Handler
    after_commit: AfterCommit | None = None

    @property
    def handler_name(self) -> str:
        return getattr(self.handler, "__qualname__", repr(self.handler))


class Consumer:
    """Runs one route: pulls, handles, settles. ``dispatch`` does the same for one pushed delivery."""

    def __init__(self, route: Route, broker: Broker, database: Database, *, project_id: str = "") -> None:
        self.route = route
        self._broker = broker
        self._database = database
        self._project_id = project_id
        self._stopping = asyncio.Event()

    async def run(self) -> None:
        """Consume until ``stop``; what was pulled is finished, the rest is handed back."""
        subscription = self.route.subscription
        async with self._broker.subscribe(subscription, capacity=BATCH * 2) as stream:
            while not self._stopping.is_set():
                try:
                    deliveries = await pull_until(self._stopping, stream, BATCH, PULL_WAIT_SECONDS)
                    if deliveries:
                        await self._handle_and_settle(stream, deliveries)
                except Exception as error:
                    # The loop outlives any failure: unsettled deliveries come back when their lease ends.
                    _logger.warning(
                        "consumer of %s is waiting out: %s", subscription.name, error, extra={"action": "consumer.wait"}
                    )
                    await self._pause(OUTAGE_PAUSE_SECONDS)

    def stop(self) -> None:
        self._stopping.set()

    async def dispatch(self, delivery: Delivery) -> Literal["ack", "nack"]:
        """Handle one delivery that came by push."""
        [outcome] = await self.handle([delivery])
        return "nack" if isinstance(outcome, Retry) else "ack"

    async def redeliver(self, delivery: Delivery) -> bool:
        """Handle a replayed dead letter; whether it has had its effect."""
        [outcome] = await self.handle([delivery])
        return isinstance(outcome, Done)

    async def handle(self, deliveries: Sequence[Delivery]) -> list[Outcome]:
        """Outcomes in order; dead ones are already buried when this returns.

        Raises:
            asyncpg.PostgresError, OSError: a dead letter could not be written; nothing was settled.
        """
        outcomes: list[Outcome] = [Done()] * len(deliveries)
        readable: list[tuple[int, Message]] = []
        for position, delivery in enumerate(deliveries):
            try:
                message = unseal(delivery.envelope, self.route.subscription.message)
            except MalformedMessage as error:
                outcomes[position] = Dead(error.code, str(error))
                continue
            dead = overrun(self.route.subscription, delivery)
            if dead is None:
                readable.append((position, message))
            else:
                outcomes[position] = dead
        for position, outcome in (await self._apply(deliveries, readable)).items():
            outcomes[position] = outcome
        for delivery, outcome in zip(deliveries, outcomes, strict=True):
            metrics.MESSAGES_CONSUMED.add(1, {"outcome": type(outcome).__name__.lower()})
            if isinstance(outcome, Dead):
                await self._bury(delivery, outcome)
        return outcomes

    async def _apply(self, deliveries: Sequence[Delivery], batch: list[tuple[int, Message]]) -> dict[int, Outcome]:
        """Together if possible, else one by one, so that only the culprit fails."""
        if not batch:
            return {}
        try:
            await self._commit(deliveries, batch)
        except Exception as error:
            if len(batch) > 1 and not isinstance(error, OUTAGE):
                outcomes: dict[int, Outcome] = {}
                for single in batch:
                    outcomes |= await self._apply(deliveries, [single])
                return outcomes
            return {position: self._failure(deliveries[position], error) for position, _ in batch}
        return {position: Done() for position, _ in batch}

    def _failure(self, delivery: Delivery, error: Exception) -> Outcome:
        outcome = classify(error, self.route.subscription, delivery)
        _logger.warning(
            "%s failed on attempt %d: %s",
            self.route.handler_name,
            delivery.attempt,
            outcome.reason,
            extra={
                "action": "message.failed",
                "message_id": delivery.envelope.id,
                "outcome": type(outcome).__name__.lower(),
                "stack_trace": "".join(traceback.format_exception(error)),
            },
        )
        return outcome

    async def _commit(self, deliveries: Sequence[Delivery], batch: list[tuple[int, Message]]) -> None:
        subscription = self.route.subscription
        handled: list[Message] = []
        async with self._database.transaction() as unit:
            envelopes = [deliveries[position].envelope for position, _ in batch]
            fresh = await inbox.claim(unit.connection, subscription.name, envelopes)
            for index, (position, message) in enumerate(batch):
                if index not in fresh:
                    continue
                parent = deliveries[position].envelope.traceparent
                with telemetry.span(f"process {subscription.name}", parent=parent, kind=SpanKind.CONSUMER):
                    await self.route.handler(message, unit)
                handled.append(message)
        if handled and self.route.after_commit is not None:
            self.route.after_commit(handled)

    async def _handle_and_settle(self, stream: Stream, deliveries: list[Delivery]) -> None:
        outcomes = await self.handle(deliveries)
        settled = [
            delivery for delivery, outcome in zip(deliveries, outcomes, strict=True) if not isinstance(outcome, Retry)
        ]
        if settled:
            await stream.ack(settled)
        retries = [
            (delivery, outcome)
            for delivery, outcome in zip(deliveries, outcomes, strict=True)
            if isinstance(outcome, Retry)
        ]
        for delivery, outcome in retries:
            await stream.nack(delivery, outcome.delay)
        if any(outcome.outage for _, outcome in retries):
            await self._pause(OUTAGE_PAUSE_SECONDS)

    async def _bury(self, delivery: Delivery, outcome: Dead) -> None:
        subscription = self.route.subscription
        async with self._database.transaction() as unit:
            letter = await dead_letters.bury(
                unit.connection,
                subscription.name,
                delivery,
                code=outcome.code,
                reason=outcome.reason,
                handler=self.route.handler_name,
            )
            if subscription.message is not AlertRaised:  # an alert about a dead alert would never end
                unit.emit(
                    alert(
                        "dead_letter",
                        source=self._database.source,
                        about=delivery.envelope.id,
                        message=f"dead letter {letter} on {subscription.name}: {outcome.reason}",
                        project_id=self._project_id,
                    )
                )
            waiting = await dead_letters.count_open(unit.connection, subscription.name)
        metrics.DEAD_LETTERS.add(1, {"subscription": subscription.name})
        _logger.error(
            "dead letter %d on %s: %s",
            letter,
            subscription.name,
            outcome.reason,
            extra={"action": "message.dead", "message_id": delivery.envelope.id, "attempt": delivery.attempt},
        )
        await self._hold_the_line(waiting)

    async def _hold_the_line(self, waiting: int) -> None:
        """Too many dead letters mean that the handler is broken, not the messages: stop and say so."""
        limit = self.route.subscription.dead_letter_limit
        while waiting > limit and not self._stopping.is_set():
            _logger.critical(
                "%s has %d open dead letters (limit %d); consuming stops until they are replayed or discarded",
                self.route.subscription.name,
                waiting,
                limit,
                extra={"action": "consumer.stopped_line"},
            )
            await self._pause(5.0)
            waiting = await dead_letters.count_open(self._database.pool, self.route.subscription.name)

    async def _pause(self, seconds: float) -> None:
        await wait(self._stopping, seconds)
