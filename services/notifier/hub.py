"""Hands new notifications to every connected client of this process.

One reader asks the database for all clients: at once after a commit of this process, and every
100 ms for what other replicas committed. Nothing is asked while nobody is connected. It needs no
LISTEN, so it works behind a transaction pooler.

A client keeps a bounded queue. One that falls further behind is disconnected with a reason and
comes back with the last id it saw: the table, not the process, remembers what it missed.
"""

import asyncio
import logging
from collections import defaultdict, deque
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from enum import StrEnum

from services.kernel.database.pool import OUTAGE
from services.kernel.errors import BusyError
from services.notifier.domain import Audience, Viewer
from services.notifier.ports import Notifications, Stored
from services.notifier.views import Event

_logger = logging.getLogger(__name__)

POLL_SECONDS = 0.1
PAGE = 500
QUEUE = 256
OUTAGE_PAUSE_SECONDS = 1.0
_EVERYTHING = Viewer(administrator=True)


class End(StrEnum):
    """Why the platform ended a stream. Reconnecting with the last id misses nothing."""

    LAGGING = "lagging"
    CLOSING = "closing"
    UNAVAILABLE = "unavailable"
    RENEW = "renew"


class Client:
    """One connected stream. ``end`` may come from the hub at any time; ``on_end`` hears of it once."""

    def __init__(self, viewer: Viewer, capacity: int) -> None:
        self.viewer = viewer
        self.ended: End | None = None
        self.on_end: Callable[[], object] | None = None
        self._capacity = capacity
        self._queue: deque[Event] = deque()
        self._arrived = asyncio.Event()
        self._replaying = True
        self._missed = False

    def offer(self, event: Event) -> None:
        if len(self._queue) < self._capacity:
            self._queue.append(event)
            self._arrived.set()
        elif self._replaying:
            self._missed = True
        else:
            self.end(End.LAGGING)

    def end(self, reason: End) -> None:
        if self.ended is None:
            self.ended = reason
            self._queue.clear()
            if self.on_end is not None:
                self.on_end()

    def restart(self) -> None:
        """Forget what was queued: the next page read from the table has it."""
        self._queue.clear()
        self._missed = False

    def go_live(self) -> bool:
        """From now on the queue alone feeds the client; False when it overflowed during the last page."""
        self._replaying = self._missed
        return not self._missed

    async def next(self) -> Event:
        while not self._queue:
            self._arrived.clear()
            await self._arrived.wait()
        return self._queue.popleft()


class Hub:
    def __init__(self, notifications: Notifications, *, max_clients: int, queue: int = QUEUE, page: int = PAGE) -> None:
        self._notifications = notifications
        self._max_clients = max_clients
        self._queue = queue
        self._page = page
        self._clients: set[Client] = set()
        self._administrators: set[Client] = set()
        self._by_user: defaultdict[str, set[Client]] = defaultdict(set)
        self._by_named: defaultdict[str, set[Client]] = defaultdict(set)
        self._position: int | None = None
        self._priming = asyncio.Lock()
        self._work = asyncio.Event()
        self._closing = False

    def wake(self) -> None:
        """Something was committed here: read now instead of at the next tick."""
        self._work.set()

    async def run(self) -> None:
        """Read and hand out until cancelled; then every client is told to come back elsewhere."""
        try:
            while True:
                await self._wait()
                try:
                    await self.poll()
                except OUTAGE as error:
                    _logger.warning("notifications cannot be read: %s", error, extra={"action": "hub.wait"})
                    await asyncio.sleep(OUTAGE_PAUSE_SECONDS)
        finally:
            self._closing = True
            for client in list(self._clients):
                client.end(End.CLOSING)

    async def poll(self) -> None:
        """One round: everything committed since the last one."""
        while self._clients and (start := self._position) is not None:
            page = await self._notifications.after(start, _EVERYTHING, self._page)
            if self._position != start:
                continue  # everybody left meanwhile, and somebody new began elsewhere
            for stored in page:
                event = Event(stored)
                for client in self._audience(stored):
                    client.offer(event)
                self._position = stored.sequence
            if len(page) < self._page:
                return

    @asynccontextmanager
    async def join(self, viewer: Viewer) -> AsyncIterator[Client]:
        """A client for the body's duration.

        Raises:
            BusyError: the process serves as many clients as it may, or is stopping.
            OSError, asyncpg.PostgresError: as the database says.
        """
        if self._closing or len(self._clients) >= self._max_clients:
            raise BusyError("all streams of this replica are taken; try again", code="streams_taken", retry_after=5.0)
        client = Client(viewer, self._queue)
        self._register(client)
        try:
            await self._prime()
            yield client
        finally:
            self._forget(client)

    async def events(self, client: Client, after: int | None) -> AsyncGenerator[Event | int, None]:
        """First the position the stream starts from, then what came after it, each once, in order.

        ``after`` None starts with what comes next, and so does a number from the future, which would wait for
        ever. Ends only by cancellation.
        """
        latest = await self._notifications.latest()
        position = latest if after is None else min(after, latest)
        yield position
        while True:
            client.restart()
            page = await self._notifications.after(position, client.viewer, self._page)
            for stored in page:
                yield Event(stored)
                position = stored.sequence
            if len(page) < self._page and client.go_live():
                break
        while True:
            event = await client.next()
            if event.sequence > position:
                yield event

    async def _prime(self) -> None:
        """Know where to read from before the first client replays, so that nothing falls between the two."""
        async with self._priming:
            if self._position is None:
                self._position = await self._notifications.latest()
                self._work.set()

    async def _wait(self) -> None:
        try:
            async with asyncio.timeout(POLL_SECONDS if self._clients else None):
                await self._work.wait()
        except TimeoutError:
            return
        finally:
            self._work.clear()

    def _audience(self, stored: Stored) -> Iterator[Client]:
        notification = stored.notification
        if notification.audience is Audience.EVERYONE:
            yield from list(self._clients)
            return
        yield from list(self._administrators)
        chosen: set[Client] = set()
        if notification.audience is Audience.USER:
            chosen = self._by_user.get(notification.user_id, chosen)
        elif notification.audience is Audience.HOLDER:
            chosen = self._by_named.get(notification.about, chosen)
        yield from [client for client in chosen if not client.viewer.administrator]

    def _register(self, client: Client) -> None:
        self._clients.add(client)
        if client.viewer.administrator:
            self._administrators.add(client)
        if client.viewer.user_id:
            self._by_user[client.viewer.user_id].add(client)
        for named in client.viewer.named:
            self._by_named[named].add(client)

    def _forget(self, client: Client) -> None:
        self._clients.discard(client)
        self._administrators.discard(client)
        for index, names in ((self._by_user, [client.viewer.user_id]), (self._by_named, client.viewer.named)):
            for name in names:
                index[name].discard(client)
                if not index[name]:
                    del index[name]
        if not self._clients:
            self._position = None
