"""What goes wrong during the chaos run: killed services, a restarted database, a broker that stops answering."""

import contextlib
import logging
import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator

import psycopg

from scripts.embedded.platform import Platform
from scripts.emulators.pubsub import PubSubEmulator

_logger = logging.getLogger(__name__)

BREATH_SECONDS = (0.3, 0.9)
PAUSE_SECONDS = 3.0


class Saboteur:
    """Breaks one thing after another until stopped; ``done`` counts what it did."""

    def __init__(self, platform: Platform, emulator: PubSubEmulator | None, seed: int) -> None:
        self._platform = platform
        self._emulator = emulator
        self._random = random.Random(seed)
        self._stopping = threading.Event()
        self.done: Counter[str] = Counter()

    @contextlib.contextmanager
    def at_work(self) -> Iterator["Saboteur"]:
        thread = threading.Thread(target=self._run, daemon=True)
        thread.start()
        try:
            yield self
        finally:
            self._stopping.set()
            thread.join(60)

    def _run(self) -> None:
        slow: list[Callable[[], None]] = [
            lambda: self._restart_database("immediate"),
            self._pause_broker,
            lambda: self._restart_database("fast"),
            self._pause_broker,
        ]
        number = 0
        while not self._stopping.wait(self._random.uniform(*BREATH_SECONDS)):
            number += 1
            if number % 6 == 0 and slow:
                slow.pop(0)()
            else:
                self._kill_service()

    def _kill_service(self) -> None:
        name = self._random.choice(sorted(self._platform.processes))
        self._platform.processes[name].kill()
        self.done[f"killed {name}"] += 1

    def _restart_database(self, mode: str) -> None:
        self._platform.postgres.restart("immediate" if mode == "immediate" else "fast")
        self.done[f"restarted the database ({mode})"] += 1

    def _pause_broker(self) -> None:
        self.done["paused the broker"] += 1
        if self._emulator is not None:
            self._emulator.pause()
            try:
                time.sleep(PAUSE_SECONDS)
            finally:
                self._emulator.resume()
            return
        # The embedded broker is tables: nobody gets at them while somebody else holds them.
        with psycopg.connect(self._platform.database_url()) as connection:
            connection.execute("LOCK TABLE broker.pgqueuer IN ACCESS EXCLUSIVE MODE")
            time.sleep(PAUSE_SECONDS)
