"""Run ``gcp-storage-emulator`` as a child process behind the real google-cloud-storage client.

    python -m scripts.embedded.storage --data-dir build/storage --port 9023

It listens on the loopback interface only, keeps objects under its data directory, and ends
with the process that started it.
"""

import argparse
import signal
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

import httpx

from scripts.embedded.ports import free_port
from scripts.embedded.process import SupervisedProcess

BUCKETS = ("querycraft-datasets", "nlq-metadata-cache")
_HOST = "127.0.0.1"
_START_SECONDS = 30.0


class StorageUnavailable(RuntimeError):
    """The emulator did not come up; the message holds what it said last."""


class StorageEmulator:
    """``url`` is what ``STORAGE_EMULATOR_HOST`` wants. Restarted on the same port and data when it dies."""

    def __init__(self, data_dir: Path, *, buckets: Sequence[str] = BUCKETS, port: int | None = None) -> None:
        self.data_dir = data_dir
        self._buckets = tuple(buckets)
        self._port = port or free_port()
        self._process = SupervisedProcess(
            "storage",
            [
                *(sys.executable, "-m", "gcp_storage_emulator", "--data-dir", str(data_dir / "objects")),
                *("start", "--quiet", "--host", _HOST, "--port", str(self._port)),
            ],
            {},
            data_dir / "emulator.log",
        )

    @property
    def url(self) -> str:
        return f"http://{_HOST}:{self._port}"

    def start(self) -> None:
        """Start it, wait until it answers, and create the buckets that do not exist.

        Raises:
            StorageUnavailable: it ended or did not answer in time.
        """
        self.data_dir.mkdir(parents=True, exist_ok=True)
        self._process.start()
        try:
            with httpx.Client(base_url=self.url, timeout=5.0) as client:
                existing = self._await_buckets(client)
                for bucket in set(self._buckets) - existing:
                    client.post("/storage/v1/b", json={"name": bucket}).raise_for_status()
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        self._process.terminate()
        self._process.join(5.0)

    def _await_buckets(self, client: httpx.Client) -> set[str]:
        deadline = time.monotonic() + _START_SECONDS
        while True:
            try:
                listing = client.get("/storage/v1/b").raise_for_status().json()
                return {bucket["name"] for bucket in listing.get("items", [])}
            except httpx.HTTPError as error:
                if self._process.failed or time.monotonic() > deadline:
                    raise StorageUnavailable(
                        f"the storage emulator does not answer at {self.url}: {error}\n{self._process.last_words()}"
                    ) from error
                time.sleep(0.02)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


def main() -> None:
    parser = argparse.ArgumentParser(description="Run the storage emulator until Ctrl-C.")
    parser.add_argument("--data-dir", type=Path, required=True)
    parser.add_argument("--port", type=int)
    options = parser.parse_args()
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    with StorageEmulator(options.data_dir.absolute(), port=options.port) as emulator:
        print(f"STORAGE_EMULATOR_HOST={emulator.url}", flush=True)
        stop.wait()


if __name__ == "__main__":
    try:
        main()
    except StorageUnavailable as error:
        sys.exit(str(error))
