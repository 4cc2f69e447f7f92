"""Tasks that misbehave on purpose, for the sandbox's tests. Each runs inside a worker."""

from __future__ import annotations

import ctypes
import os
import resource
import socket
import sys
import threading
import time
from typing import Any

from services.kernel.sql.sandbox.errors import TaskFailed
from services.kernel.sql.sandbox.tasks import TaskContext

TASKS = {
    name: f"tests.integration.sql.sandbox_tasks:{name}"
    for name in (
        "echo",
        "spin",
        "sleep",
        "allocate",
        "crash",
        "fail",
        "leave",
        "flood",
        "attempt",
        "pid",
        "remember",
        "rehearsals",
    )
} | {"query": "services.kernel.sql.sandbox.query:run_query"}

_remembered: list[Any] = []
_rehearsed: list[bytearray] = []


def rehearse() -> None:
    """Takes four megabytes."""
    _rehearsed.append(bytearray(b"x") * 2**22)


def rehearsals(payload: Any, context: TaskContext) -> int:
    """Those of the process that this worker was forked from included."""
    return len(_rehearsed)


def echo(payload: Any, context: TaskContext) -> Any:
    return payload


def spin(payload: Any, context: TaskContext) -> None:
    while True:
        pass


def sleep(payload: float, context: TaskContext) -> None:
    time.sleep(payload)


def allocate(payload: int, context: TaskContext) -> int:
    return len(bytearray(payload))


def crash(payload: Any, context: TaskContext) -> int:
    return int(ctypes.string_at(0)[0])


def fail(payload: str, context: TaskContext) -> None:
    raise TaskFailed("no_luck", payload, {"seven": 7})


def leave(payload: int, context: TaskContext) -> None:
    os._exit(payload)


def flood(payload: int, context: TaskContext) -> str:
    return "x" * payload


def pid(payload: Any, context: TaskContext) -> int:
    return os.getpid()


def remember(payload: Any, context: TaskContext) -> list[Any]:
    _remembered.append(payload)
    return _remembered


def attempt(payload: str, context: TaskContext) -> str:
    """Tries something that confinement must stop; "done" when it was not."""
    try:
        if payload.startswith("/"):
            return _read(payload)
        return _ATTEMPTS[payload]()
    except (OSError, RuntimeError, MemoryError) as error:
        return type(error).__name__


def _open_socket() -> str:
    socket.socket(socket.AF_INET, socket.SOCK_STREAM).close()
    return "done"


def _fork() -> str:
    if os.fork() == 0:
        os._exit(0)
    return "done"


def _execute() -> str:
    os.execv(sys.executable, [sys.executable, "-c", ""])


def _start_thread() -> str:
    thread = threading.Thread(target=os.getpid)
    thread.start()
    thread.join()
    return "done"


def _read(path: str) -> str:
    with open(path, "rb") as file:
        file.read(1)
    return "done"


def _write() -> str:
    with open("/tmp/querycraft-sandbox-probe", "w") as file:
        file.write("x")
    return "done"


def _kill_parent() -> str:
    os.kill(os.getppid(), 0)
    return "done"


def _raise_limit() -> str:
    _, hard = resource.getrlimit(resource.RLIMIT_AS)
    try:
        resource.setrlimit(resource.RLIMIT_AS, (hard * 2, hard * 2))
    except ValueError:  # what Python makes of EPERM here
        return "PermissionError"
    return "done"


_ATTEMPTS = {
    "socket": _open_socket,
    "fork": _fork,
    "execute": _execute,
    "thread": _start_thread,
    "write": _write,
    "kill_parent": _kill_parent,
    "raise_limit": _raise_limit,
    "environment": lambda: ",".join(sorted(set(os.environ) - {"LC_CTYPE"})) or "empty",
    "descriptors": lambda: ",".join(str(fd) for fd in range(256) if _is_open(fd)),
}


def _is_open(descriptor: int) -> bool:
    try:
        os.fstat(descriptor)
    except OSError:
        return False
    return True
