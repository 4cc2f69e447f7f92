"""What an embedded broker does in the background while subscriptions are open."""

import asyncio
import logging
from collections.abc import Callable
from datetime import timedelta

import asyncpg

from services.kernel.database.pool import OUTAGE
from services.kernel.errors import ConfigurationError, TransientError
from services.kernel.messaging.backoff import delay
from services.kernel.messaging.embedded.schema import CHANNEL
from services.kernel.messaging.embedded.store import Store
from services.kernel.messaging.embedded.stream import EmbeddedStream

_logger = logging.getLogger(__name__)

RETENTION = timedelta(days=7)
"""As on Pub/Sub: what nobody takes within it is dropped."""
_EXPIRY_INTERVAL = 600.0


async def keep_leases(store: Store, streams: Callable[[], list[EmbeddedStream]], interval: float) -> None:
    """Renew everything held, in one statement a tick, until cancelled."""
    while True:
        await asyncio.sleep(interval)
        try:
            await _renew(store, streams())
        except (TransientError, ConfigurationError) as error:
            _logger.warning("leases cannot be extended: %s", error, extra={"action": "broker.lease_waits"})


async def _renew(store: Store, streams: list[EmbeddedStream]) -> None:
    for stream in streams:
        await stream.flush_acks()
    holding = [(stream, set(stream.held)) for stream in streams if stream.held]
    if not holding:
        return
    kept = await store.extend([row_id for _, ids in holding for row_id in ids], [stream.token for stream, _ in holding])
    for stream, ids in holding:
        # Those settled while the statement ran are gone for a good reason.
        lost = (ids - kept) & stream.held
        if lost:
            stream.forget(lost)


async def expire(store: Store) -> None:
    """Drop what nobody takes, until cancelled."""
    while True:
        try:
            await store.expire(RETENTION)
        except (TransientError, ConfigurationError) as error:
            _logger.warning("old messages cannot be dropped: %s", error, extra={"action": "broker.expiry_waits"})
        await asyncio.sleep(_EXPIRY_INTERVAL)


async def listen(pool: asyncpg.Pool, wake: Callable[[str], None]) -> None:
    """Call ``wake`` with the name of every subscription that gets something, until cancelled.

    Holds one connection; a lost one is replaced. Meanwhile streams find their messages by polling.
    """
    failures = 0
    while True:
        try:
            async with pool.acquire() as connection:
                failures = 0
                await _listen_on(connection, wake)
        except (*OUTAGE, asyncpg.PostgresError) as error:
            failures += 1
            _logger.warning("cannot listen: %r", error, extra={"action": "broker.listen_waits"})
        await asyncio.sleep(delay(failures + 1, 0.1, 5.0))


async def _listen_on(connection: asyncpg.pool.PoolConnectionProxy, wake: Callable[[str], None]) -> None:
    lost = asyncio.Event()

    def received(_connection: object, _pid: int, _channel: str, subscription: object) -> None:
        wake(str(subscription))

    def terminated(_connection: object) -> None:
        lost.set()

    connection.add_termination_listener(terminated)
    await connection.add_listener(CHANNEL, received)
    try:
        wake("")  # whatever came before the channel was open
        await lost.wait()
    finally:
        if not connection.is_closed():
            connection.remove_termination_listener(terminated)
            await connection.remove_listener(CHANNEL, received)
