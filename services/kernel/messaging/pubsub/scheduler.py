"""The way from the client's threads to the event loop and back."""

import asyncio
import queue
import threading
from collections import deque
from collections.abc import Callable
from typing import Any

from google.cloud.pubsub_v1.subscriber.message import Message
from google.cloud.pubsub_v1.subscriber.scheduler import Scheduler


class LoopScheduler(Scheduler):  # type: ignore[misc]  # the client ships no types
    """Runs the subscriber's callbacks on the event loop, many to one wake-up, instead of on a pool of threads.

    It remembers what is unsettled, for the stream to hand back when the client has ended.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._requests: queue.Queue[Any] = queue.Queue()
        self._lock = threading.Lock()
        self._arrived: deque[tuple[Callable[[Message], None], Message]] = deque()
        self._unsettled: dict[str, Message] = {}
        self._woken = False
        self._closed = False

    @property
    def queue(self) -> "queue.Queue[Any]":
        return self._requests

    def schedule(self, callback: Callable[..., Any], *args: Any, **_kwargs: Any) -> None:
        message: Message = args[0]
        with self._lock:
            if self._closed:
                return
            self._unsettled[message.ack_id] = message
            self._arrived.append((callback, message))
            if self._woken:
                return
            self._woken = True
            self._loop.call_soon_threadsafe(self._run)

    def shutdown(self, await_msg_callbacks: bool = False) -> list[Message]:
        """Schedule nothing more. Nothing is reported as dropped: the client would nack it too early."""
        with self._lock:
            self._closed = True
            self._arrived.clear()
        return []

    def take_unsettled(self) -> list[str]:
        """The ack ids still on the books, taken off them."""
        with self._lock:
            self._closed = True
            unsettled = list(self._unsettled)
            self._unsettled.clear()
        return unsettled

    def settled(self, message: Message) -> bool:
        """Take the message off the books; False when the stream that delivered it has already given it back."""
        with self._lock:
            return self._unsettled.pop(message.ack_id, None) is not None

    def _run(self) -> None:
        with self._lock:
            arrived, self._arrived = self._arrived, deque()
            self._woken = False
        for callback, message in arrived:
            callback(message)
