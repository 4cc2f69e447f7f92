"""The life of one worker: forked, confined, one request, one answer, gone."""

from __future__ import annotations

import gc
import os
import select
import socket
from collections.abc import Mapping
from typing import Final, NoReturn

from services.kernel.sql.sandbox import engine, wire
from services.kernel.sql.sandbox.confinement import Report, apply_limits, confine_worker
from services.kernel.sql.sandbox.errors import LimitExceeded, TaskFailed
from services.kernel.sql.sandbox.limits import Limits
from services.kernel.sql.sandbox.stored import StoredDataset
from services.kernel.sql.sandbox.tasks import Json, Task, TaskContext, rehearsals

# Given back when the task ran out of memory, so that saying so still works.
_RESERVE_BYTES: Final = 4 * 1024 * 1024
# Objects made between two visits of the garbage collector: each visit writes to pages that the worker shares until
# then, and a process that ends after one task leaves little behind.
_COLLECT_EVERY: Final = 50_000
# A worker that nobody asks for so long is not needed at once: its pool is idle.
_IDLE_SECONDS: Final = 0.5


class Worker:
    """Runs in the forked child. ``base_address_space``: bytes mapped at the fork."""

    def __init__(
        self,
        connection: socket.socket,
        tasks: Mapping[str, Task],
        stored: Mapping[str, StoredDataset],
        base_address_space: int,
    ) -> None:
        self._connection = connection
        self._tasks = tasks
        self._stored = stored
        self._base_address_space = base_address_space

    def run(self, parent: int) -> NoReturn:
        """Never returns: the process ends with its only answer, skipping every exit hook it inherited."""
        try:
            confine_worker(parent, self._connection.fileno())
            if not _request_within(self._connection, _IDLE_SECONDS):
                self._rehearse()
            body = wire.receive_frame(self._connection)
            if body is not None:
                self._connection.sendall(self._answer(wire.decode(body)))
        except OSError:
            os._exit(1)
        os._exit(0)

    def _rehearse(self) -> None:
        """Makes this process's own copies of the thousands of pages that a task writes to while nobody waits."""
        for rehearse in rehearsals(self._tasks):
            rehearse()
        engine.prepare()

    def probe(self, parent: int) -> NoReturn:
        """Confines itself as a worker would and answers with the report."""
        report: Report = confine_worker(parent, self._connection.fileno())
        self._connection.sendall(wire.encode(report))
        os._exit(0)

    def _answer(self, request: Json) -> bytes:
        limits = Limits.from_json(request["limits"])
        gc.set_threshold(_COLLECT_EVERY)
        engine.leave_open()
        reserve = bytearray(_RESERVE_BYTES)
        apply_limits(limits, self._base_address_space + _RESERVE_BYTES)
        try:
            result = self._tasks[request["task"]](request["payload"], TaskContext(limits, self._stored))
            frame = wire.encode({"ok": result})
        except BaseException as error:  # whatever the task did, its caller is told
            del reserve
            return wire.encode(_failure(error))
        if len(frame) - wire.HEADER_BYTES > limits.result_bytes:
            return wire.encode(_failure(LimitExceeded("bytes")))
        return frame


def _request_within(connection: socket.socket, seconds: float) -> bool:
    return bool(select.select([connection], [], [], seconds)[0])


def _failure(error: BaseException) -> dict[str, object]:
    if isinstance(error, LimitExceeded):
        return {"limit": error.kind, "message": str(error)}
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryException":
        return {"limit": "memory", "message": ""}
    if isinstance(error, TaskFailed):
        return {"failed": error.code, "message": str(error), "details": error.details}
    return {"failed": "internal", "message": f"{type(error).__name__}: {error}"[:2_000], "details": {}}
