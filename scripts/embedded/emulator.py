"""An emulator that runs as a child process and answers HTTP, behind one of Google's own clients."""

import signal
import sys
import threading
import time
from abc import ABC, abstractmethod
from types import TracebackType
from typing import Any, ClassVar, Self

import httpx

from scripts.embedded.ports import free_port
from scripts.embedded.process import SupervisedProcess

HOST = "127.0.0.1"
_START_SECONDS = 60.0
_STOP_SECONDS = 5.0
_POLL_SECONDS = 0.02


class EmulatorUnavailable(RuntimeError):
    """The emulator cannot run here; the message says what to do, or holds what it said last."""


class Emulator(ABC):
    """It listens on the loopback interface only, ends with the process that started it, and is restarted on the same
    port when it dies."""

    NAME: ClassVar[str]
    VARIABLE: ClassVar[str]
    """What Google's client reads to find it; ``url`` is what it wants."""

    def __init__(self, port: int | None = None) -> None:
        self.port = port or free_port()
        self._process: SupervisedProcess | None = None

    @property
    def url(self) -> str:
        return f"http://{HOST}:{self.port}"

    def start(self) -> None:
        """Start it, wait until it answers, and make it ready for use.

        Raises:
            EmulatorUnavailable: it could not be installed, ended, or did not answer in time.
        """
        process = self._child()
        self._process = process
        process.start()
        try:
            with httpx.Client(base_url=self.url, timeout=5.0) as client:
                self._prepare(client, self._first_answer(client, process))
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        if self._process is not None:
            self._process.terminate()
            self._process.join(_STOP_SECONDS)

    @property
    @abstractmethod
    def _probe(self) -> str:
        """The path that is asked until it answers."""

    @abstractmethod
    def _child(self) -> SupervisedProcess:
        """A new process that will listen on ``port``. Raises EmulatorUnavailable: it cannot be installed."""

    def _prepare(self, client: httpx.Client, answer: Any) -> None:  # noqa: B027 - most need nothing
        """Make what must exist in it. ``answer``: the probe's JSON."""

    def _first_answer(self, client: httpx.Client, process: SupervisedProcess) -> Any:
        deadline = time.monotonic() + _START_SECONDS
        while True:
            try:
                return client.get(self._probe).raise_for_status().json()
            except httpx.HTTPError as error:
                if process.failed or time.monotonic() > deadline:
                    raise EmulatorUnavailable(
                        f"the {self.NAME} emulator does not answer at {self.url}: {error}\n{process.last_words()}"
                    ) from error
                time.sleep(_POLL_SECONDS)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


def run_by_hand(emulator: Emulator) -> None:
    """Until Ctrl-C or SIGTERM; the first line says where it listens. Exits with the reason when it cannot run."""
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    try:
        with emulator:
            print(f"{emulator.VARIABLE}={emulator.url}", flush=True)
            stop.wait()
    except EmulatorUnavailable as error:
        sys.exit(str(error))
