"""Follows jobs' event logs for clients that watch: woken at once by what this process wrote, and by
one poll for everything that other replicas wrote. No LISTEN: a transaction pooler would drop it."""

import asyncio
import uuid
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import contextmanager, suppress

import asyncpg

from services.intake.adapters import log
from services.intake.adapters.log import Event
from services.kernel.errors import BusyError
from services.kernel.loops import attempt

POLL_SECONDS = 0.1
MIN_GAP_SECONDS = 0.01
"""Wake-ups within this time share one query."""
OUTAGE_PAUSE_SECONDS = 0.5
MAX_BEHIND = 1_000
"""Events a follower may be behind before it is dropped; its client resumes with Last-Event-ID."""
MAX_FOLLOWED = 20_000


class Follower:
    """Yields a job's events in order until the last one, or until it is dropped or the process stops."""

    def __init__(self, job_id: uuid.UUID, after: int) -> None:
        self.job_id = job_id
        self.after = after
        self._events: asyncio.Queue[Event | None] = asyncio.Queue()

    def push(self, event: Event) -> None:
        if event.seq <= self.after:
            return
        self.after = event.seq
        self._events.put_nowait(event if self._events.qsize() < MAX_BEHIND else None)

    def close(self) -> None:
        self._events.put_nowait(None)

    async def __aiter__(self) -> AsyncIterator[Event]:
        while (event := await self._events.get()) is not None:
            yield event
            if event.is_last:
                return


class Watch:
    """Every follower of this process, served by one loop."""

    def __init__(self, pool: asyncpg.Pool) -> None:
        self._pool = pool
        self._followers: dict[uuid.UUID, set[Follower]] = {}
        self._news = asyncio.Event()
        self._closed = False

    @contextmanager
    def follow(self, job_id: uuid.UUID, after: int = 0) -> Iterator[Follower]:
        """Follow the events past number ``after``; the ones already written come at once."""
        follower = Follower(job_id, after)
        self._followers.setdefault(job_id, set()).add(follower)
        if self._closed:
            follower.close()
        self._news.set()
        try:
            yield follower
        finally:
            others = self._followers[job_id]
            others.discard(follower)
            if not others:
                del self._followers[job_id]

    def require_room(self) -> None:
        """Raises BusyError: this process follows as many jobs as it can."""
        if len(self._followers) >= MAX_FOLLOWED:
            raise BusyError("too many jobs are being watched here", retry_after=5.0)

    async def wait_for_end(self, job_id: uuid.UUID, seconds: float) -> bool:
        """Whether the job ended within ``seconds``."""
        with self.follow(job_id) as follower, suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                async for event in follower:
                    if event.is_last:
                        return True
        return False

    def wake(self, job_ids: Iterable[str]) -> None:
        """These jobs have news, committed by this process."""
        if self._followers and any(uuid.UUID(job_id) in self._followers for job_id in job_ids):
            self._news.set()

    async def run(self) -> None:
        """Deliver until cancelled; then every follower ends, so that open responses can finish."""
        try:
            while True:
                timeout = POLL_SECONDS if self._followers else None
                with suppress(TimeoutError):
                    async with asyncio.timeout(timeout):
                        await self._news.wait()
                self._news.clear()
                delivered = await attempt("watch", self._deliver)
                await asyncio.sleep(MIN_GAP_SECONDS if delivered else OUTAGE_PAUSE_SECONDS)
        finally:
            self._closed = True
            for followers in self._followers.values():
                for follower in followers:
                    follower.close()

    async def _deliver(self) -> None:
        after = {job_id: min(follower.after for follower in followers) for job_id, followers in self._followers.items()}
        if not after:
            return
        events = await log.since(self._pool, after)
        for event in events:
            for follower in self._followers.get(event.job_id, ()):
                follower.push(event)
        if len(events) == log.MAX_EVENTS:
            self._news.set()
