"""The process that workers are forked from: it has imported what they need and holds the stored data sets.

It runs one thread and never touches learners' SQL. It speaks with the pool over one Unix socket: a JSON line each way,
one request at a time, descriptors passed beside the line.

    {"op": "fork"} + socket          -> {"pid": n}
    {"op": "reap", "pid": n}         -> {"status": exit code or minus the signal, "cpu_seconds": s, "peak_bytes": n}
    {"op": "store", "name", "kind", "tables"} + files -> {} or {"error": message}
    {"op": "drop", "name"}           -> {}

A worker stays a zombie until the pool asks to reap it, so its process id cannot come to mean another process while the
pool may still send it a signal. When the pool goes away the socket ends, the zygote ends, and the kernel ends the
workers.
"""

from __future__ import annotations

import contextlib
import gc
import json
import os
import resource
import signal
import socket
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from services.kernel.sql.guard import check
from services.kernel.sql.sandbox import confinement, engine, wire
from services.kernel.sql.sandbox.stored import StoredDataset, load
from services.kernel.sql.sandbox.tasks import Json, Task, rehearsals, resolve
from services.kernel.sql.sandbox.worker import Worker

MAX_REQUEST_BYTES: Final = 64 * 1024
MAX_DESCRIPTORS: Final = 64
# sqlglot descends about 25 frames per nesting level the guard allows; the default of 1,000 would refuse honest queries.
_RECURSION_LIMIT: Final = 6_000


class Zygote:
    def __init__(self, control: socket.socket, tasks: Mapping[str, Task], statm: int) -> None:
        self._control = control
        self._tasks = tasks
        self._statm = statm
        self._stored: dict[str, StoredDataset] = {}
        self._workers: set[int] = set()

    def serve(self) -> None:
        """Answers requests until the pool closes its end."""
        # A pool that was killed resets the socket instead of closing it.
        with contextlib.suppress(ConnectionError):
            while self._serve_one():
                continue
        for process_id in self._workers:
            os.kill(process_id, signal.SIGKILL)

    def _serve_one(self) -> bool:
        line, descriptors, _, _ = socket.recv_fds(self._control, MAX_REQUEST_BYTES, MAX_DESCRIPTORS)
        if not line:
            return False
        try:
            answer = self._handle(json.loads(line), descriptors)
        finally:
            for descriptor in descriptors:
                os.close(descriptor)
        self._control.sendall(json.dumps(answer).encode() + b"\n")
        return True

    def probe(self) -> confinement.Report:
        """The report of a worker forked to try every measure."""
        ours, theirs = socket.socketpair()
        with ours, theirs:
            process_id = self._fork(theirs.fileno(), probing=True)
            theirs.close()
            body = wire.receive_frame(ours)
            os.waitpid(process_id, 0)
        report: confinement.Report = json.loads(body) if body is not None else {"probe": "the probing worker died"}
        return report

    def _handle(self, request: Json, descriptors: list[int]) -> Json:
        match request["op"]:
            case "fork":
                process_id = self._fork(descriptors[0])
                self._workers.add(process_id)
                return {"pid": process_id}
            case "reap":
                return self._reap(int(request["pid"]))
            case "store":
                return self._store(request, descriptors)
            case "drop":
                self._stored.pop(request["name"], None)
                return {}
        raise ValueError(f"unknown request {request['op']!r}")

    def _fork(self, descriptor: int, *, probing: bool = False) -> int:
        address_space = int(os.pread(self._statm, 128, 0).split()[0]) * resource.getpagesize()
        parent = os.getpid()
        process_id = os.fork()
        if process_id:
            return process_id
        try:
            worker = Worker(socket.socket(fileno=descriptor), self._tasks, self._stored, address_space)
            if probing:
                worker.probe(parent)
            worker.run(parent)
        finally:
            os._exit(1)  # whatever went wrong, a worker never falls back into this loop

    def _reap(self, process_id: int) -> Json:
        _, status, usage = os.wait4(process_id, 0)
        self._workers.discard(process_id)
        return {
            "status": os.waitstatus_to_exitcode(status),
            "cpu_seconds": usage.ru_utime + usage.ru_stime,
            "peak_bytes": usage.ru_maxrss * 1024,
        }

    def _store(self, request: Json, descriptors: list[int]) -> Json:
        try:
            self._stored[request["name"]] = load(request["name"], request["kind"], request["tables"], descriptors)
        except Exception as error:  # the pool raises it where the data came from
            return {"error": f"{type(error).__name__}: {error}"}
        # What is loaded now is moved out of the collector's sight, or its visits would copy every shared page.
        gc.collect()
        gc.freeze()
        return {}


def _preload(tasks: Mapping[str, Task]) -> None:
    """Imports what every task uses, and has the engine and the parser build their tables, once for all workers."""
    for rehearse in rehearsals(tasks):
        rehearse()
    check("SELECT 1", "duckdb")
    check("SELECT 1", "bigquery")
    connection = engine.connect_locked()
    connection.execute("SELECT 1").fetchall()
    connection.close()
    engine.prepare()


def main() -> None:
    """``python -c ... <code root> <control descriptor> <tasks as JSON>``; see ``process.py``."""
    code_root, control = Path(sys.argv[1]), socket.socket(fileno=int(sys.argv[2]))
    statm = os.open("/proc/self/statm", os.O_RDONLY)
    sys.setrecursionlimit(_RECURSION_LIMIT)
    try:
        tasks = resolve(json.loads(sys.argv[3]))
    except Exception as error:  # reported to the pool, which raises it
        control.sendall(json.dumps({"error": str(error)}).encode() + b"\n")
        os._exit(1)
    os.environ.clear()
    _preload(tasks)
    report = confinement.confine_zygote(code_root)
    zygote = Zygote(control, tasks, statm)
    gc.collect()
    gc.freeze()
    control.sendall(json.dumps({"confinement": {**report, **zygote.probe()}}).encode() + b"\n")
    zygote.serve()
    os._exit(0)
