"""The whole path of a consumed message: decode, inbox, a handler that emits one message, outbox, commit, ack."""

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import asyncpg
import psycopg

from contracts.jobs import JobProgressed
from contracts.manifest import Subscription
from contracts.message import Message
from scripts.embedded.postgres import PostgresServer
from services.kernel.database.migrations import prepare
from services.kernel.database.tables import MESSAGING
from services.kernel.database.unit_of_work import Database, UnitOfWork
from services.kernel.messaging.broker import Broker
from services.kernel.messaging.consumer import Consumer, Route

ROLE = "probe"
_TIMEOUT = 120.0


@asynccontextmanager
async def probe_database(server: PostgresServer) -> AsyncIterator[Database]:
    """A service's schema with the kernel's tables, empty."""
    prepare(server.url(), ROLE)
    with psycopg.connect(server.url()) as admin:
        admin.execute(f"SET search_path = {ROLE}")
        admin.execute(MESSAGING)
    async with asyncpg.create_pool(server.url(user=ROLE), min_size=2, max_size=4) as pool:
        yield Database(pool, ROLE)


async def timed_path(broker: Broker, subscription: Subscription, database: Database, expected: int) -> float:
    """Seconds from the opened subscription to the commit of the last of ``expected`` messages.

    Raises TimeoutError: they did not come.
    """
    committed = 0
    finished = asyncio.Event()

    async def emit_again(message: JobProgressed, unit: UnitOfWork) -> None:
        unit.emit(message)

    def count(messages: Sequence[Message]) -> None:
        nonlocal committed
        committed += len(messages)
        if committed >= expected:
            finished.set()

    consumer = Consumer(Route(subscription, emit_again, after_commit=count), broker, database)
    started = time.perf_counter()
    running = asyncio.create_task(consumer.run())
    async with asyncio.timeout(_TIMEOUT):
        await finished.wait()
    seconds = time.perf_counter() - started
    consumer.stop()
    await running
    await database.execute("DELETE FROM outbox")
    return seconds
