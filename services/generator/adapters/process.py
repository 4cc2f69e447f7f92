"""Composing in a process of its own: it may be stopped at any moment, and its memory goes back when it ends."""

from __future__ import annotations

import asyncio
import multiprocessing
import signal
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Any

from services.generator.ports import Made, Start
from services.kernel.errors import PermanentError, QueryCraftError, TransientError

Send = Callable[[Made], None]
Compose = Callable[[Start, Send], None]
"""Runs in the child. Must be importable by name; raises PermanentError for what cannot be made."""

_JOIN_SECONDS = 5.0


@dataclass(frozen=True)
class _Failure:
    permanent: bool
    code: str
    message: str


class _End:
    """The child made everything it could."""


class ProcessComposer:
    def __init__(self, compose: Compose) -> None:
        self._compose = compose

    @asynccontextmanager
    async def compose(self, start: Start) -> AsyncIterator[AsyncIterator[Made]]:
        """See ``ports.Composer``. Leaving the context kills the process and waits for its end."""
        # Spawned, not forked: this process has threads, and theirs is the parent's memory.
        context = multiprocessing.get_context("spawn")
        ours, theirs = context.Pipe(duplex=False)
        process = context.Process(target=_run, args=(self._compose, start, theirs), daemon=True, name="compose")
        events: asyncio.Queue[Any] = asyncio.Queue()
        await asyncio.to_thread(process.start)
        theirs.close()
        reader = threading.Thread(
            target=_pump, args=(ours, events, asyncio.get_running_loop()), name="compose-reader", daemon=True
        )
        reader.start()
        try:
            yield _events(events)
        finally:
            process.kill()
            await asyncio.to_thread(_collect, process, reader, ours)


async def _events(queue: asyncio.Queue[Any]) -> AsyncIterator[Made]:
    while True:
        event = await queue.get()
        if isinstance(event, _End):
            return
        if isinstance(event, _Failure):
            kind = PermanentError if event.permanent else TransientError
            raise kind(event.message, code=event.code)
        yield event


def _pump(connection: Connection, queue: asyncio.Queue[Any], loop: asyncio.AbstractEventLoop) -> None:
    """Carry what the child sends into the event loop until it ends."""
    while True:
        try:
            event = connection.recv()
        except (EOFError, OSError):
            event = _Failure(False, "composer_died", "the process that composes problems died")
        try:
            loop.call_soon_threadsafe(queue.put_nowait, event)
        except RuntimeError:  # the loop is closed: nobody waits any more
            return
        if isinstance(event, _End | _Failure):
            return


def _collect(process: multiprocessing.process.BaseProcess, reader: threading.Thread, connection: Connection) -> None:
    process.join(_JOIN_SECONDS)
    reader.join(_JOIN_SECONDS)
    connection.close()
    process.close()


def _run(compose: Compose, start: Start, connection: Connection) -> None:
    """The child's whole life."""
    # Ctrl-C reaches the group; the service decides when this process ends.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        compose(start, connection.send)
        connection.send(_End())
    except BrokenPipeError:
        return  # the service is gone, and with it whoever wanted the problems
    except QueryCraftError as error:
        connection.send(_Failure(isinstance(error, PermanentError), error.code, str(error)))
    except Exception as error:
        connection.send(_Failure(False, "composer_failed", f"{type(error).__name__}: {error}"))
