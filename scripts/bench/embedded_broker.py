"""PgQueuer as it comes beside our embedded broker, over the same messages and the same Postgres."""

import time
from collections.abc import Sequence
from datetime import timedelta
from typing import TYPE_CHECKING

import asyncpg

from contracts.manifest import Subscription
from scripts.bench.consumer_path import probe_database, timed_path
from scripts.bench.streams import MEASURED, timed_consume, timed_publish
from scripts.embedded.postgres import PostgresServer
from services.kernel.messaging.embedded import EmbeddedBroker
from services.kernel.messaging.envelope import Envelope
from services.kernel.messaging.provision import provision_embedded

if TYPE_CHECKING:
    from pgqueuer.queries import Queries

PUBLISH_BATCH = 500
PULL_BATCH = 200


async def measure(
    server: PostgresServer, subscription: Subscription, envelopes: Sequence[Envelope], rounds: int
) -> dict[str, list[float]]:
    """Messages per second of every round, by what was measured; both sides take turns."""
    rates: dict[str, list[float]] = {name: [] for name in MEASURED}
    async with (
        asyncpg.create_pool(server.url(), min_size=4, max_size=8) as pool,
        probe_database(server) as database,
    ):
        async with pool.acquire() as connection:
            await provision_embedded(connection, topics=[subscription.topic], subscriptions=[subscription])
        bare = _bare_queries(pool)
        if not await bare.schema_is_installed():
            await bare.install()
            await bare.optimize_autovacuum()
        for _ in range(rounds):
            rates["bare_publish"].append(len(envelopes) / await _bare_publish(pool, envelopes))
            rates["bare_consume"].append(len(envelopes) / await _bare_consume(pool, len(envelopes)))
            broker = EmbeddedBroker(pool, topics=[subscription.topic], subscriptions=[subscription])
            rates["publish"].append(len(envelopes) / await timed_publish(broker, envelopes, PUBLISH_BATCH))
            rates["consume"].append(
                len(envelopes) / await timed_consume(broker, subscription, len(envelopes), PULL_BATCH)
            )
            await timed_publish(broker, envelopes, PUBLISH_BATCH)
            await database.execute("DELETE FROM inbox")  # the same messages again: they must not pass for repeats
            rates["path"].append(len(envelopes) / await timed_path(broker, subscription, database, len(envelopes)))
            await broker.close()
    return rates


async def _bare_publish(pool: asyncpg.Pool, envelopes: Sequence[Envelope]) -> float:
    queries = _bare_queries(pool)
    started = time.perf_counter()
    for start in range(0, len(envelopes), PUBLISH_BATCH):
        batch = envelopes[start : start + PUBLISH_BATCH]
        await queries.enqueue(
            ["bare"] * len(batch),
            [envelope.data for envelope in batch],
            [0] * len(batch),
            headers=[dict(envelope.attributes) for envelope in batch],
        )
    return time.perf_counter() - started


async def _bare_consume(pool: asyncpg.Pool, expected: int) -> float:
    from pgqueuer import PgQueuer
    from pgqueuer.adapters.drivers.asyncpg import AsyncpgPoolDriver
    from pgqueuer.domain.models import Job
    from pgqueuer.domain.types import QueueExecutionMode

    application = PgQueuer(AsyncpgPoolDriver(pool), queries=_bare_queries(pool))
    seen = 0
    first = last = 0.0

    @application.entrypoint("bare")
    async def no_op(_job: Job) -> None:
        nonlocal seen, first, last
        seen += 1
        last = time.perf_counter()
        first = first or last

    started = time.perf_counter()
    await application.run(
        batch_size=PULL_BATCH, mode=QueueExecutionMode.drain, dequeue_timeout=timedelta(milliseconds=50)
    )
    if seen != expected:
        raise RuntimeError(f"the bare consumer saw {seen} of {expected} messages")
    return min(time.perf_counter() - started, last - first)


def _bare_queries(pool: asyncpg.Pool) -> "Queries":
    from pgqueuer.adapters.persistence.qb import QueryBuilderEnvironment, QueryQueueBuilder, QuerySchedulerBuilder
    from pgqueuer.domain.settings import DBSettings
    from pgqueuer.queries import Queries

    queries = Queries.from_asyncpg_pool(pool)
    settings = DBSettings(prefix="bare_")
    queries.qbe = QueryBuilderEnvironment(settings)
    queries.qbq = QueryQueueBuilder(settings)
    queries.qbs = QuerySchedulerBuilder(settings)
    return queries
