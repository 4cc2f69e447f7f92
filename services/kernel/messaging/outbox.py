"""The outbox: messages committed with the state change that caused them, and the relay that publishes them.

A claim carries a lease token; rows are deleted only where the token still matches, so a
relay that was paused past its lease cannot remove rows that another one is publishing.
"""

import asyncio
import json
import logging
import uuid
from collections.abc import Sequence

import asyncpg
from opentelemetry.trace import SpanKind

from services.kernel import metrics, telemetry
from services.kernel.database.pool import OUTAGE
from services.kernel.errors import PermanentError, TransientError
from services.kernel.loops import wait
from services.kernel.messaging.backoff import delay
from services.kernel.messaging.broker import Broker
from services.kernel.messaging.envelope import Envelope

_logger = logging.getLogger(__name__)

BATCH = 500
LEASE_SECONDS = 30.0
TICK_SECONDS = 1.0
"""Without a wake-up (another process died between commit and publish) rows wait at most this long."""

_ADD = """
INSERT INTO outbox (topic, attributes, data, ordering_key)
SELECT * FROM unnest($1::text[], $2::jsonb[], $3::bytea[], $4::text[])
"""
_CLAIM = """
UPDATE outbox SET lease_token = $1, leased_until = now() + make_interval(secs => $2), attempts = attempts + 1
WHERE id IN (
    SELECT id FROM outbox WHERE leased_until IS NULL OR leased_until < now()
    ORDER BY id LIMIT $3 FOR UPDATE SKIP LOCKED
)
RETURNING id, topic, attributes, data, ordering_key, attempts
"""
_DELETE = "DELETE FROM outbox WHERE id = ANY($1::bigint[]) AND lease_token = $2"
_POSTPONE = """
UPDATE outbox SET lease_token = NULL, leased_until = now() + make_interval(secs => failed.wait), last_error = failed.why
FROM unnest($1::bigint[], $2::float8[], $3::text[]) AS failed(id, wait, why)
WHERE outbox.id = failed.id AND outbox.lease_token = $4
"""
_GIVE_UP = """
WITH gone AS (DELETE FROM outbox WHERE id = $1 AND lease_token = $2 RETURNING topic, attributes, data, attempts)
INSERT INTO dead_letters
    (subscription, topic, message_id, source, attributes, data, error_code, reason, handler, attempt)
SELECT 'outbox', topic, attributes->>'ce-id', attributes->>'ce-source', attributes, data, $3, $4, 'relay', attempts
FROM gone ON CONFLICT DO NOTHING
"""


async def add(connection: asyncpg.Connection, envelopes: Sequence[Envelope]) -> None:
    """Insert on the caller's transaction, in order."""
    await connection.execute(
        _ADD,
        [envelope.topic for envelope in envelopes],
        [json.dumps(dict(envelope.attributes), ensure_ascii=False) for envelope in envelopes],
        [envelope.data for envelope in envelopes],
        [envelope.ordering_key for envelope in envelopes],
    )


class Relay:
    """Moves rows from the outbox to the broker until stopped. Any number may run at once."""

    def __init__(self, pool: asyncpg.Pool, broker: Broker) -> None:
        self._pool = pool
        self._broker = broker
        self._work = asyncio.Event()
        self._stopping = False

    def wake(self) -> None:
        self._work.set()

    async def run(self) -> None:
        """Publish until ``stop``; outages of the database or the broker are waited out."""
        failures = 0
        while not self._stopping:
            self._work.clear()
            try:
                while await self.publish_batch() == BATCH:
                    pass
                failures = 0
            except (*OUTAGE, TransientError) as error:
                failures += 1
                _logger.warning("outbox cannot be relayed: %s", error, extra={"action": "outbox.outage"})
                await asyncio.sleep(delay(failures, 0.1, 5.0))
                continue
            await wait(self._work, TICK_SECONDS)

    def stop(self) -> None:
        self._stopping = True
        self._work.set()

    async def publish_batch(self) -> int:
        """Claim, publish and settle one batch; the number of rows claimed."""
        token = uuid.uuid4()
        rows = await self._pool.fetch(_CLAIM, token, LEASE_SECONDS, BATCH)
        if not rows:
            return 0
        rows.sort(key=lambda row: row["id"])
        envelopes = [
            Envelope(row["topic"], json.loads(row["attributes"]), row["data"], row["ordering_key"]) for row in rows
        ]
        outcomes = await self._broker.publish(envelopes)
        for envelope in envelopes:
            telemetry.note(f"publish {envelope.topic}", parent=envelope.traceparent, kind=SpanKind.PRODUCER)
        await self._settle(token, rows, outcomes)
        return len(rows)

    async def _settle(self, token: uuid.UUID, rows: list[asyncpg.Record], outcomes: list[Exception | None]) -> None:
        published = [row["id"] for row, outcome in zip(rows, outcomes, strict=True) if outcome is None]
        if published:
            await self._pool.execute(_DELETE, published, token)
            metrics.MESSAGES_PUBLISHED.add(len(published))
        failed = [(row, outcome) for row, outcome in zip(rows, outcomes, strict=True) if outcome is not None]
        later = [(row, outcome) for row, outcome in failed if not isinstance(outcome, PermanentError)]
        if later:
            metrics.OUTBOX_FAILURES.add(len(later))
            await self._pool.execute(
                _POSTPONE,
                [row["id"] for row, _ in later],
                [delay(row["attempts"], 0.2, 30.0) for row, _ in later],
                [str(outcome) for _, outcome in later],
                token,
            )
        for row, outcome in failed:
            if isinstance(outcome, PermanentError):
                _logger.error("message cannot be published: %s", outcome, extra={"action": "outbox.gave_up"})
                await self._pool.execute(_GIVE_UP, row["id"], token, outcome.code, str(outcome))
