"""Several small requests of one purpose in one call, when they have to wait anyway.

Nobody is held back to wait for company: a request that finds the line free goes out at once. What arrives while a call
is under way goes out together when it is back, and so a burst costs few requests of a scarce daily quota.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from pydantic import BaseModel, Field, create_model

from services.kernel.llm.call_log import OFFLINE, Caller
from services.kernel.llm.catalogue import Purpose
from services.kernel.llm.client import TokenUse
from services.kernel.llm.failures import Reason
from services.kernel.llm.router import Answer, Ask, ModelRouter, Skipped

I = TypeVar("I")  # noqa: E741 - an item
T = TypeVar("T", bound=BaseModel)

MOST = 20
"""Items in one call: more would make one bad answer costly and the output long."""


@dataclass(frozen=True)
class BatchKind(Generic[I, T]):
    """``render``: an item as prompt text, foreign parts in data blocks. ``offline``: an item's answer without a model.
    ``tokens_each``: output tokens that one item's answer may take, thinking included."""

    purpose: Purpose
    instruction: str
    render: Callable[[I], str]
    answer: type[T]
    offline: Callable[[I], T]
    tokens_each: int = 512


@dataclass
class _Waiting(Generic[I, T]):
    item: I
    caller: Caller
    deadline: float
    answered: asyncio.Future[Answer[T]]


class Batcher(Generic[I, T]):
    def __init__(self, router: ModelRouter, kind: BatchKind[I, T], *, most: int = MOST) -> None:
        self._router = router
        self._kind = kind
        self._most = most
        self._line: list[_Waiting[I, T]] = []
        self._sender: asyncio.Task[None] | None = None
        entry = create_model("Entry", number=(int, Field(ge=1)), answer=(kind.answer, ...))
        self._schema: type[Any] = create_model("Batch", answers=(list[entry], ...))

    async def ask(self, item: I, caller: Caller, deadline: float) -> Answer[T]:
        """The item's own answer; offline and marked when its ``deadline`` (monotonic seconds) passes in the line.

        Raises:
            asyncpg.PostgresError, OSError: see ``ModelRouter.ask``.
        """
        waiting: _Waiting[I, T] = _Waiting(item, caller, deadline, asyncio.get_running_loop().create_future())
        self._line.append(waiting)
        if self._sender is None:
            self._sender = asyncio.create_task(self._send(), name=f"batch.{self._kind.purpose}")
        try:
            async with asyncio.timeout(max(0.0, deadline - time.monotonic())):
                return await waiting.answered
        except TimeoutError:
            told = Skipped("", Reason.DEADLINE, "no answer before the deadline")
            return self._offline(item, (told,))

    async def close(self) -> None:
        """Ask nobody any more; whoever still waits is cancelled."""
        if self._sender is not None:
            self._sender.cancel()
            await asyncio.gather(self._sender, return_exceptions=True)

    async def _send(self) -> None:
        batch: list[_Waiting[I, T]] = []
        try:
            await asyncio.sleep(0)  # those who ask in the same turn of the loop travel together
            while batch := self._next():
                try:
                    await self._answer(batch)
                except Exception as error:
                    for waiting in batch:
                        if not waiting.answered.done():
                            waiting.answered.set_exception(error)
        finally:
            self._sender = None
            for waiting in (*batch, *self._line):
                waiting.answered.cancel()
            self._line.clear()

    def _next(self) -> list[_Waiting[I, T]]:
        live = [waiting for waiting in self._line if not waiting.answered.done()]
        batch, self._line = live[: self._most], live[self._most :]
        return batch

    async def _answer(self, batch: list[_Waiting[I, T]]) -> None:
        if len(batch) == 1:
            _give(batch[0], await self._alone(batch[0]))
            return
        found = await self._together(batch)
        missing = []
        for number, waiting in enumerate(batch, 1):
            if number in found:
                _give(waiting, found[number])
            else:
                missing.append(waiting)
        for waiting in missing:  # the model left it out: it gets a call of its own
            _give(waiting, await self._alone(waiting))

    async def _together(self, batch: list[_Waiting[I, T]]) -> dict[int, Answer[T]]:
        """Answers by number; every item has one when there was no model."""
        kind = self._kind
        parts = [f"Item {number}:\n{kind.render(waiting.item)}" for number, waiting in enumerate(batch, 1)]
        rule = "There are several items. Answer each on its own, as {number, answer} in answers."
        answer = await self._router.ask(
            Ask(
                kind.purpose,
                f"{kind.instruction}\n{rule}",
                "\n\n".join(parts),
                self._schema,
                lambda: self._schema(answers=[]),
                max_output_tokens=kind.tokens_each * len(batch),
            ),
            batch[0].caller,
            max(waiting.deadline for waiting in batch),
        )
        if answer.source == OFFLINE:
            return {n: self._offline(w.item, answer.skipped) for n, w in enumerate(batch, 1)}
        share = _share(answer.tokens, len(batch))
        return {
            entry.number: Answer(entry.answer, "model", answer.model, answer.served_model, share, answer.skipped)
            for entry in answer.value.answers
        }

    async def _alone(self, waiting: _Waiting[I, T]) -> Answer[T]:
        kind, item = self._kind, waiting.item
        ask = Ask(
            kind.purpose,
            kind.instruction,
            kind.render(item),
            kind.answer,
            lambda: kind.offline(item),
            max_output_tokens=max(kind.tokens_each, 1_024),
        )
        return await self._router.ask(ask, waiting.caller, waiting.deadline)

    def _offline(self, item: I, skipped: tuple[Skipped, ...]) -> Answer[T]:
        return Answer(self._kind.offline(item), OFFLINE, OFFLINE, skipped=skipped)


def _give(waiting: _Waiting[I, T], answer: Answer[T]) -> None:
    if not waiting.answered.done():
        waiting.answered.set_result(answer)


def _share(tokens: TokenUse, parts: int) -> TokenUse:
    """An item's part of a shared call, rounded down."""
    return TokenUse(
        tokens.prompt // parts,
        tokens.candidates // parts,
        tokens.thought // parts,
        tokens.cached // parts,
        tokens.tool // parts,
    )
