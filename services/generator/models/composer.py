"""Composing with models first: what they cannot make, the offline composer makes, and the job says so."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from services.generator.domain import BaseSet, Chunk, add_counts
from services.generator.ports import Composer, Composing, Fallback, Made, Start
from services.kernel.llm.router import ModelRouter

if TYPE_CHECKING:
    from services.kernel.sql.dataset import Dataset
    from services.kernel.sql.schema import Schema

_logger = logging.getLogger(__name__)

DRAFTS: Final = 3
"""Problems asked for in one request: a day has few requests, and a long answer is cut off more often."""
BARREN_ROUNDS: Final = 3
"""Requests in a row without one publishable problem before models are given up on."""
OFFLINE_SECONDS: Final = 120.0
"""Models are not asked with less time than this left: the offline composer must still finish the set."""


@dataclass(frozen=True)
class _Material:
    schema: Schema
    base: Dataset
    event: BaseSet
    facts: str


class ModelComposer:
    """See ``ports.Composer``. ``offline`` makes everything when no model can be asked."""

    def __init__(self, router: ModelRouter, offline: Composer) -> None:
        self._router = router
        self._offline = offline

    @asynccontextmanager
    async def compose(self, start: Start) -> AsyncIterator[AsyncIterator[Made]]:
        events = self._events(start) if self._router.available else self._without(start)
        try:
            yield events
        finally:
            await events.aclose()

    async def _without(self, start: Start) -> AsyncGenerator[Made, None]:
        async with self._offline.compose(start) as events:
            async for event in events:
                yield event

    async def _events(self, start: Start) -> AsyncGenerator[Made, None]:
        from services.generator.models import proving
        from services.generator.models.rounds import Rounds

        material = await asyncio.to_thread(_prepare, start)
        yield material.event
        async with proving.opened(material.schema, material.base) as ground:
            until = start.deadline - OFFLINE_SECONDS
            rounds = Rounds(start, material.schema, material.facts, self._router, ground, until)
            number, made, barren, stopped = start.chunks, start.made, 0, ""
            dropped: dict[str, int] = {}
            while made < start.wanted and not stopped:
                yield Composing("asking models for problems", made / start.wanted)
                done = await rounds.make(min(DRAFTS, start.wanted - made))
                barren = 0 if done.problems else barren + 1
                stopped = done.stopped or _given_up(barren, until)
                dropped = add_counts(dropped, done.dropped)
                if done.problems or stopped:
                    yield Chunk(number, done.problems, dropped)
                    number, made, dropped = number + 1, made + len(done.problems), {}
        if made < start.wanted:
            _logger.warning("models stopped: %s", stopped, extra={"action": "generate.fallback"})
            yield Fallback(start.wanted - made, stopped)
            rest = replace(start, chunks=number, titles=frozenset(rounds.titles), known=frozenset(rounds.known))
            async for event in self._without(rest):
                if not isinstance(event, BaseSet):  # the same data set again
                    yield event


def _given_up(barren: int, until: float) -> str:
    if barren >= BARREN_ROUNDS:
        return f"none of the models' last {barren} answers held a problem that passed every check"
    if time.monotonic() >= until:
        return "the rest of the job's time is kept for the offline composer"
    return ""


def _prepare(start: Start) -> _Material:
    """The base data set, as the offline composer makes it from the same order and seed."""
    from services.generator.adapters.composing import request_of, to_parquet
    from services.generator.datasets import profile_dataset
    from services.generator.models.prompts import facts_of
    from services.generator.offline.generate import prepare

    request = request_of(start)
    request.check()
    schema, base = prepare(request)
    event = BaseSet(base.name or "base", base.row_count, to_parquet(schema, base))
    return _Material(schema, base, event, facts_of(schema, profile_dataset(schema, base)))
