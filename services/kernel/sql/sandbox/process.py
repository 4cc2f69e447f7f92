"""The service's side of a zygote and its workers."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Self

import services
from services.kernel.errors import ConfigurationError
from services.kernel.sql.sandbox.confinement import Report
from services.kernel.sql.sandbox.errors import SandboxUnavailable

_START_SECONDS: Final = 30.0
_CODE_ROOT: Final = Path(services.__file__).resolve().parent.parent
_BOOTSTRAP: Final = (
    "import sys; sys.path.insert(0, sys.argv[1]); from services.kernel.sql.sandbox.zygote import main; main()"
)


@dataclass(slots=True, eq=False)
class WorkerProcess:
    """A forked worker waiting for its one request. ``generation``: the stored data sets it can see."""

    process_id: int
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    zygote: Zygote
    generation: int

    def kill(self) -> None:
        """At once, whatever it is doing. Its id cannot have been reused: only ``Zygote.reap`` lets go of it."""
        if self.zygote.alive:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.process_id, signal.SIGKILL)

    async def closed(self) -> None:
        """Returns when the process has let go of its socket, that is, of its memory too."""
        with contextlib.suppress(ConnectionError):
            while await self.reader.read(65_536):
                continue

    def release(self) -> None:
        self.writer.close()


class Zygote:
    """A running zygote. One request is under way at a time; when its socket ends, ``alive`` turns False for good.

    A request must not be cancelled, or its answer would be taken for the next one's: the pool makes requests only from
    tasks of its own.
    """

    def __init__(self, process: subprocess.Popen[bytes], control: socket.socket) -> None:
        self.alive = True
        self.confinement: Report = {}
        self._process = process
        self._control = control
        self._turn = asyncio.Lock()
        self._loop = asyncio.get_running_loop()
        self._received = bytearray()
        self._reply: asyncio.Future[dict[str, Any]] | None = None

    @classmethod
    async def start(cls, tasks: Mapping[str, str]) -> Self:
        """Starts the process with an empty environment and waits until it is ready.

        Raises ConfigurationError when a task cannot be imported, SandboxUnavailable when the process does not start.
        """
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        command = [sys.executable, "-I", "-B", "-X", "utf8", "-c", _BOOTSTRAP]
        with theirs:
            process = subprocess.Popen(  # noqa: ASYNC220, S603 - fork and exec take milliseconds; the command is ours
                [*command, str(_CODE_ROOT), str(theirs.fileno()), json.dumps(dict(tasks))],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                pass_fds=[theirs.fileno()],
                env={},
                cwd="/",
                start_new_session=True,
            )
        zygote = cls(process, ours)
        zygote._loop.add_reader(ours.fileno(), zygote._on_readable)
        try:
            async with asyncio.timeout(_START_SECONDS):
                ready = await zygote._next_reply()
        except BaseException as error:
            await zygote.stop()
            if isinstance(error, TimeoutError):
                raise SandboxUnavailable("the sandbox's process did not start in time") from None
            raise
        if "error" in ready:
            await zygote.stop()
            raise ConfigurationError(str(ready["error"]))
        zygote.confinement = ready["confinement"]
        return zygote

    async def fork(self, generation: int) -> WorkerProcess:
        """A fresh worker, ready for its request."""
        ours, theirs = socket.socketpair()
        with theirs:
            try:
                reply = await self._request({"op": "fork"}, [theirs.fileno()])
            except BaseException:
                ours.close()
                raise
        ours.setblocking(False)
        reader, writer = await asyncio.open_connection(sock=ours)
        return WorkerProcess(int(reply["pid"]), reader, writer, self, generation)

    async def reap(self, worker: WorkerProcess) -> dict[str, Any]:
        """Collects a worker that has ended: ``status``, ``cpu_seconds``, ``peak_bytes``."""
        return await self._request({"op": "reap", "pid": worker.process_id}, [])

    async def store(self, name: str, kind: str, tables: Sequence[str], descriptors: Sequence[int]) -> None:
        """Raises ValueError when the data cannot be loaded."""
        reply = await self._request({"op": "store", "name": name, "kind": kind, "tables": list(tables)}, descriptors)
        if "error" in reply:
            raise ValueError(f"data set {name!r}: {reply['error']}")

    async def drop(self, name: str) -> None:
        await self._request({"op": "drop", "name": name}, [])

    async def stop(self) -> None:
        """Ends the process; its workers end with it."""
        self._lost()
        try:
            await asyncio.to_thread(self._process.wait, 5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            await asyncio.to_thread(self._process.wait)

    @property
    def process_id(self) -> int:
        return self._process.pid

    async def _request(self, request: Mapping[str, object], descriptors: Sequence[int]) -> dict[str, Any]:
        async with self._turn:
            if not self.alive:
                raise SandboxUnavailable("the sandbox's process is gone")
            try:
                socket.send_fds(self._control, [json.dumps(request).encode()], list(descriptors))
            except OSError as error:
                self._lost()
                raise SandboxUnavailable(f"the sandbox's process is gone: {error}") from error
            return await self._next_reply()

    async def _next_reply(self) -> dict[str, Any]:
        self._reply = self._loop.create_future()
        return await self._reply

    def _on_readable(self) -> None:
        try:
            received = self._control.recv(65_536)
        except BlockingIOError:
            return
        except OSError:
            received = b""
        if not received:
            self._lost()
            return
        self._received += received
        if self._received.endswith(b"\n") and self._reply is not None and not self._reply.done():
            self._reply.set_result(json.loads(self._received))
            self._received.clear()

    def _lost(self) -> None:
        if not self.alive:
            return
        self.alive = False
        self._loop.remove_reader(self._control.fileno())
        self._control.close()
        if self._reply is not None and not self._reply.done():
            self._reply.set_exception(SandboxUnavailable("the sandbox's process ended"))
