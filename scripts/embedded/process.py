"""A child process that is restarted when it dies, and dies when its parent does."""

import ctypes
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

_PR_SET_PDEATHSIG = 1
_RESTART_DELAY_SECONDS = 0.2
_MOST_FAILURES = 20
_WINDOW_SECONDS = 30.0


def _die_with_parent() -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


@dataclass
class SupervisedProcess:
    """``log``: the file that receives what the process prints; None keeps the terminal."""

    name: str
    command: Sequence[str]
    environment: Mapping[str, str]
    log: Path | None = None
    restarts: int = 0
    _process: "subprocess.Popen[bytes] | None" = None
    _stopping: threading.Event = field(default_factory=threading.Event)
    _started: threading.Event = field(default_factory=threading.Event)
    _watcher: threading.Thread | None = None
    _failures: list[float] = field(default_factory=list)
    failed: bool = False
    """True when it died by itself again and again within half a minute and was given up."""

    def start(self) -> None:
        # The kernel ends the child with the thread that started it, so the watcher starts it, which outlives it.
        self._watcher = threading.Thread(target=self._watch, name=f"watch-{self.name}", daemon=True)
        self._watcher.start()
        self._started.wait()

    @property
    def pid(self) -> int | None:
        return self._process.pid if self._process and self._process.poll() is None else None

    def kill(self) -> None:
        """SIGKILL, as a crash would; the watcher starts it again."""
        if self._process is not None:
            self._process.kill()

    def terminate(self) -> None:
        """Ask it to drain and end; it is not started again."""
        self._stopping.set()
        if self._process is not None and self._process.poll() is None:
            self._process.terminate()

    def join(self, timeout: float) -> bool:
        """Wait for the end; after ``timeout`` seconds kill it. Whether it ended by itself."""
        if self._process is None:
            return True
        try:
            self._process.wait(timeout)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
            return False
        finally:
            if self._watcher is not None:
                self._watcher.join(5)
        return True

    def last_words(self, lines: int = 20) -> str:
        if self.log is None or not self.log.exists():
            return ""
        return "\n".join(self.log.read_text(encoding="utf-8", errors="replace").splitlines()[-lines:])

    def _spawn(self) -> None:
        output = None
        if self.log is not None:
            self.log.parent.mkdir(parents=True, exist_ok=True)
            output = self.log.open("ab")
        try:
            self._process = subprocess.Popen(
                list(self.command),
                env={**os.environ, **self.environment},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,  # Ctrl-C reaches the supervisor alone, which drains the rest in order
                preexec_fn=_die_with_parent,
            )
        finally:
            if output is not None:
                output.close()

    def _watch(self) -> None:
        try:
            self._spawn()
        finally:
            self._started.set()
        while not self._stopping.is_set():
            process = self._process
            if process is None:
                return
            process.wait()
            if self._stopping.wait(_RESTART_DELAY_SECONDS):
                return
            if process.returncode != -signal.SIGKILL:
                # Not those that were killed on purpose; and a database that restarts may take some seconds.
                self._failures.append(time.monotonic())
            recent = [moment for moment in self._failures if time.monotonic() - moment < _WINDOW_SECONDS]
            if len(recent) >= _MOST_FAILURES:
                self.failed = True
                return
            self.restarts += 1
            self._spawn()
