"""One transaction: a state change and the messages that announce it, together or not at all."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, TypeVar

import asyncpg

from contracts.message import Message
from services.kernel import telemetry
from services.kernel.messaging import outbox
from services.kernel.messaging.envelope import Envelope, seal

T = TypeVar("T")


class UnitOfWork:
    """What a handler gets: the open transaction's ``connection``, ``emit`` and ``defer``."""

    def __init__(self, connection: asyncpg.Connection, source: str) -> None:
        self.connection = connection
        self._source = source
        self.pending: list[Envelope] = []
        self._deferred: dict[Callable[[UnitOfWork, list[Any]], Awaitable[None]], list[Any]] = {}

    def defer(self, apply: "Callable[[UnitOfWork, list[T]], Awaitable[None]]", item: T) -> None:
        """Have ``apply`` called once before the commit, with every item deferred to it, in order.

        A batch of messages becomes one statement this way, with its locks taken in one order.
        """
        self._deferred.setdefault(apply, []).append(item)

    async def complete(self) -> None:
        """Carry out what was deferred, then write the outbox; the caller commits."""
        while self._deferred:
            apply, items = self._deferred.popitem()
            await apply(self, items)
        if self.pending:
            await outbox.add(self.connection, self.pending)

    def emit(self, message: Message, *, message_id: str | None = None, ordering_key: str = "") -> None:
        """Publish ``message`` if and only if this transaction commits.

        Raises:
            PermanentError: the message is too large for any broker.
        """
        self.pending.append(
            seal(
                message,
                self._source,
                traceparent=telemetry.current_traceparent(),
                message_id=message_id,
                ordering_key=ordering_key,
            )
        )


class Database:
    """A service's Postgres: plain reads through ``pool``, writes through ``transaction``."""

    def __init__(self, pool: asyncpg.Pool, source: str) -> None:
        self.pool = pool
        self.source = source
        self._on_emitted: Callable[[], None] = _nobody_listens

    def when_emitted(self, wake: Callable[[], None]) -> None:
        """Call ``wake`` after each commit that left messages in the outbox."""
        self._on_emitted = wake

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[UnitOfWork]:
        """Commit on normal exit, outbox included; roll back on an exception.

        Raises:
            asyncpg.PostgresError, OSError: as the database says.
        """
        async with self.pool.acquire() as connection, connection.transaction():
            unit = UnitOfWork(connection, self.source)
            yield unit
            await unit.complete()
        if unit.pending:
            self._on_emitted()

    async def fetch(self, query: str, *arguments: Any) -> list[asyncpg.Record]:
        return await self.pool.fetch(query, *arguments)  # type: ignore[no-any-return]

    async def fetchrow(self, query: str, *arguments: Any) -> asyncpg.Record | None:
        return await self.pool.fetchrow(query, *arguments)

    async def execute(self, query: str, *arguments: Any) -> str:
        return await self.pool.execute(query, *arguments)  # type: ignore[no-any-return]

    async def ping(self) -> None:
        """Raises asyncpg.PostgresError or OSError: the database does not answer."""
        await self.pool.fetchval("SELECT 1")

    async def close(self) -> None:
        await self.pool.close()


def _nobody_listens() -> None:
    """Until a relay registers, its own tick finds what was emitted."""
