"""One transaction: a state change and the messages that announce it, together or not at all."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import asyncpg

from contracts.message import Message
from services.kernel import telemetry
from services.kernel.messaging import outbox
from services.kernel.messaging.envelope import Envelope, seal


class UnitOfWork:
    """What a handler gets: the open transaction's ``connection`` and ``emit``."""

    def __init__(self, connection: asyncpg.Connection, source: str) -> None:
        self.connection = connection
        self._source = source
        self.pending: list[Envelope] = []

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
            if unit.pending:
                await outbox.add(connection, unit.pending)
        if unit.pending:
            self._on_emitted()

    async def fetch(self, query: str, *arguments: Any) -> list[asyncpg.Record]:
        return await self.pool.fetch(query, *arguments)  # type: ignore[no-any-return]

    async def fetchrow(self, query: str, *arguments: Any) -> asyncpg.Record | None:
        return await self.pool.fetchrow(query, *arguments)

    async def execute(self, query: str, *arguments: Any) -> str:
        return await self.pool.execute(query, *arguments)  # type: ignore[no-any-return]

    async def close(self) -> None:
        await self.pool.close()


def _nobody_listens() -> None:
    """Until a relay registers, its own tick finds what was emitted."""
