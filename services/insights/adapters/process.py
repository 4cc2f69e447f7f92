"""Work that would hold up the event loop, in a process of its own: its memory goes back when it ends."""

from __future__ import annotations

import asyncio
import multiprocessing
import signal
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Any, TypeVar

from services.kernel.errors import PermanentError, TransientError

T = TypeVar("T")
_JOIN_SECONDS = 5.0


@dataclass(frozen=True)
class _Outcome:
    """``refusal``: why the input can never work; ``failure``: anything else that went wrong."""

    value: Any = None
    refusal: str = ""
    failure: str = ""


async def in_process(function: Callable[..., T], *arguments: Any) -> T:
    """``function(*arguments)`` in a fresh process, killed when the caller is cancelled.

    ``function`` must be importable by name; arguments and result must be picklable.

    Raises:
        PermanentError: it raised ValueError. TransientError: it failed otherwise, or its process died.
    """
    # Spawned, not forked: this process has threads, and theirs is the parent's memory.
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe(duplex=False)
    process = context.Process(target=_child, args=(function, arguments, theirs), daemon=True, name=function.__name__)
    await asyncio.to_thread(process.start)
    theirs.close()
    reading = asyncio.ensure_future(asyncio.to_thread(_receive, ours))
    try:
        outcome = await asyncio.shield(reading)
    finally:
        process.kill()
        await reading
        await asyncio.to_thread(process.join, _JOIN_SECONDS)
        ours.close()
    if outcome.refusal:
        raise PermanentError(outcome.refusal, code="unusable_input")
    if outcome.failure:
        raise TransientError(outcome.failure, code="computation_failed")
    value: T = outcome.value
    return value


def _receive(connection: Connection) -> _Outcome:
    try:
        outcome: _Outcome = connection.recv()
    except (EOFError, OSError):
        return _Outcome(failure="the process that computed died")
    return outcome


def _child(function: Callable[..., Any], arguments: tuple[Any, ...], connection: Connection) -> None:
    # Ctrl-C reaches the group; the service decides when this process ends.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        outcome = _Outcome(function(*arguments))
    except ValueError as error:
        outcome = _Outcome(refusal=str(error) or type(error).__name__)
    except Exception as error:
        outcome = _Outcome(failure=f"{type(error).__name__}: {error}")
    connection.send(outcome)
