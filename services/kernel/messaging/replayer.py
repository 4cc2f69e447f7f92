"""Runs requested dead letters through the handler that failed on them, a few a second."""

import logging
from collections.abc import Mapping
from typing import Protocol

import asyncpg

from services.kernel.loops import every
from services.kernel.messaging import dead_letters
from services.kernel.messaging.broker import Delivery

_logger = logging.getLogger(__name__)

TICK_SECONDS = 1.0
PER_TICK = 20
"""The rate limit: replaying must not crowd out what arrives."""


class Redelivers(Protocol):
    async def redeliver(self, delivery: Delivery) -> bool:
        """Handle again; whether it has had its effect, now or before."""
        ...


class Replayer:
    def __init__(self, pool: asyncpg.Pool, handlers: Mapping[str, Redelivers]) -> None:
        """``handlers``: subscription name -> who handles it in this process."""
        self._pool = pool
        self._handlers = handlers

    async def run(self) -> None:
        """Replay until cancelled. A replay that fails leaves its dead letter open with the new reason."""
        await every(TICK_SECONDS, "replay", self.replay_due)

    async def replay_due(self) -> int:
        """One round; how many were replayed with success."""
        letters = await dead_letters.take_replays(self._pool, list(self._handlers), PER_TICK)
        done = []
        for letter in letters:
            handler = self._handlers[letter.subscription]
            if await handler.redeliver(Delivery(letter.envelope, attempt=1)):
                done.append(letter.id)
        if done:
            await dead_letters.resolve(self._pool, done)
            _logger.info("replayed %d dead letters", len(done), extra={"action": "replay.done"})
        return len(done)
