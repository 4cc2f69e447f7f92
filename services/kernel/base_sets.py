"""Base data sets: fetched from object storage once, then held in the sandbox for every judgement that needs them."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from services.kernel.errors import PermanentError
from services.kernel.sql.sandbox.datasets import DatasetFiles
from services.kernel.sql.sandbox.pool import SandboxPool
from services.kernel.storage import ObjectReader, table_object


@dataclass
class _Entry:
    """``users``: judgements that need it now; such an entry is not dropped. ``ready``: it is in the sandbox."""

    loading: asyncio.Lock = field(default_factory=asyncio.Lock)
    users: int = 0
    ready: bool = False


class BaseSets:
    """At most ``held`` data sets stay in the sandbox while nobody uses them; the least recently used goes first.

    A URI names its content (see the generator), so what is held never becomes stale.
    """

    def __init__(self, pool: SandboxPool, objects: ObjectReader, held: int) -> None:
        self._pool = pool
        self._objects = objects
        self._held = held
        self._entries: OrderedDict[str, _Entry] = OrderedDict()

    @asynccontextmanager
    async def using(self, uri: str, tables: Sequence[str]) -> AsyncIterator[str]:
        """The name under which tasks find the data set, for as long as the context lasts.

        Raises:
            PermanentError: it is not in storage, or cannot be read as tables.
            TransientError: storage or the sandbox is out of reach.
        """
        entry = self._entries.setdefault(uri, _Entry())
        self._entries.move_to_end(uri)
        entry.users += 1
        try:
            async with entry.loading:
                if not entry.ready:
                    await self._load(uri, tables)
                    entry.ready = True
            yield uri
        finally:
            entry.users -= 1
            await self._shrink()

    async def _load(self, uri: str, tables: Sequence[str]) -> None:
        contents = await asyncio.gather(*(self._objects.read(table_object(uri, table)) for table in tables))
        files = dict(zip(tables, contents, strict=True))
        try:
            await self._pool.store(uri, DatasetFiles.parquet(files))
        except ValueError as error:
            raise PermanentError(f"the data set at {uri} cannot be loaded: {error}", code="bad_base_set") from error

    async def _shrink(self) -> None:
        idle = [uri for uri, entry in self._entries.items() if entry.users == 0]
        for uri in idle[: max(0, len(self._entries) - self._held)]:
            if self._entries.pop(uri).ready:
                await self._pool.drop(uri)
