"""Run ``gcp-storage-emulator`` as a child process behind the real google-cloud-storage client.

    python -m scripts.embedded.storage --data-dir build/storage --port 9023

It keeps objects under its data directory.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import httpx

from scripts.embedded.emulator import HOST, Emulator, run_by_hand
from scripts.embedded.process import SupervisedProcess

BUCKETS = ("querycraft-datasets", "nlq-metadata-cache")


class StorageEmulator(Emulator):
    """``buckets`` are created where they do not exist."""

    NAME = "storage"
    VARIABLE = "STORAGE_EMULATOR_HOST"
    _probe = "/storage/v1/b"

    def __init__(self, data_dir: Path, *, buckets: Sequence[str] = BUCKETS, port: int | None = None) -> None:
        super().__init__(port)
        self.data_dir = data_dir
        self._buckets = tuple(buckets)

    def _child(self) -> SupervisedProcess:
        self.data_dir.mkdir(parents=True, exist_ok=True)
        command = [
            *(sys.executable, "-m", "gcp_storage_emulator", "--data-dir", str(self.data_dir / "objects")),
            *("start", "--quiet", "--host", HOST, "--port", str(self.port)),
        ]
        return SupervisedProcess(self.NAME, command, {}, self.data_dir / "emulator.log")

    def _prepare(self, client: httpx.Client, answer: Any) -> None:
        existing = {bucket["name"] for bucket in answer.get("items", [])}
        for bucket in set(self._buckets) - existing:
            client.post(self._probe, json={"name": bucket}).raise_for_status()


def main() -> None:
    parser = argparse.ArgumentParser(description="Run the storage emulator until Ctrl-C.")
    parser.add_argument("--data-dir", type=Path, required=True)
    parser.add_argument("--port", type=int)
    options = parser.parse_args()
    run_by_hand(StorageEmulator(options.data_dir.absolute(), port=options.port))


if __name__ == "__main__":
    main()
