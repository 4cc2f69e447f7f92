"""An emulator that cannot run says why, and leaves nothing behind."""

from pathlib import Path

import httpx
import pytest

from scripts.embedded import emulator
from scripts.embedded.emulator import EmulatorUnavailable
from scripts.embedded.process import SupervisedProcess
from scripts.embedded.storage import StorageEmulator


class Deaf(StorageEmulator):
    """Lives, says one thing, and never answers."""

    def _child(self) -> SupervisedProcess:
        self.process = SupervisedProcess(self.NAME, ["sh", "-c", "echo wrong model; exec sleep 60"], {}, self.log)
        return self.process

    @property
    def log(self) -> Path:
        return self.data_dir / "emulator.log"


def test_one_that_does_not_answer_is_named_with_its_last_words_and_stopped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(emulator, "_START_SECONDS", 0.3)
    deaf = Deaf(tmp_path)
    with pytest.raises(EmulatorUnavailable, match=rf"(?s)storage emulator.*{deaf.url}.*wrong model"):
        deaf.start()
    assert deaf.process.pid is None


def test_one_that_was_stopped_starts_again_with_what_it_kept(tmp_path: Path) -> None:
    emulator = StorageEmulator(tmp_path, buckets=["first"])
    with emulator:
        httpx.post(f"{emulator.url}/storage/v1/b", json={"name": "second"}).raise_for_status()
    with pytest.raises(httpx.ConnectError):
        httpx.get(emulator.url)
    with emulator:
        listed = httpx.get(f"{emulator.url}/storage/v1/b").json()["items"]
    assert {bucket["name"] for bucket in listed} == {"first", "second"}
