"""Run ``bqemulator`` as a child process behind the real google-cloud-bigquery client.

    python -m scripts.embedded.bigquery --port 9050

It lives in an environment of its own (``deploy/bqemulator``), installed from its lock at first use. It listens on the
loopback interface only, keeps everything in memory, and ends with the process that started it.
"""

import argparse
import fcntl
import hashlib
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from types import TracebackType
from typing import Self

import httpx

from scripts.embedded.ports import free_port
from scripts.embedded.process import SupervisedProcess

ROOT = Path(__file__).resolve().parents[2]
PROJECT = ROOT / "deploy" / "bqemulator"
ENVIRONMENT = ROOT / "build" / "bqemulator"
_HOST = "127.0.0.1"
_START_SECONDS = 60.0
_INSTALL_SECONDS = 600.0


class BigQueryUnavailable(RuntimeError):
    """The emulator did not come up; the message holds what it said last."""


def install() -> Path:
    """Its interpreter, installed first when its lock changed or it is not there. Safe to call from many processes.

    Raises:
        BigQueryUnavailable: there is no uv, or it failed.
    """
    ENVIRONMENT.mkdir(parents=True, exist_ok=True)
    python = ENVIRONMENT / "venv" / "bin" / "python"
    stamp = ENVIRONMENT / "installed"
    wanted = hashlib.sha256((PROJECT / "uv.lock").read_bytes()).hexdigest()
    with (ENVIRONMENT / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if stamp.exists() and stamp.read_text() == wanted and python.exists():
            return python
        sync = [_uv(), "sync", "--frozen", "--quiet", "--compile-bytecode", "--project", str(PROJECT)]
        sync += ["--python", sys.executable]
        _run(sync, {"UV_PROJECT_ENVIRONMENT": str(ENVIRONMENT / "venv")})
        # DuckDB keeps extensions under the home directory; this one comes from the lock, not from the network.
        load = "from duckdb_extensions import import_extension; import_extension('spatial')"
        _run([str(python), "-c", load], {"HOME": str(ENVIRONMENT)})
        stamp.write_text(wanted)
    return python


def _uv() -> str:
    beside = Path(sys.executable).with_name("uv")
    found = str(beside) if beside.exists() else shutil.which("uv")
    if not found:
        raise BigQueryUnavailable("uv is needed to install the BigQuery emulator: run `make setup`")
    return found


def _run(command: list[str], environment: dict[str, str]) -> None:
    inherited = {name: value for name, value in os.environ.items() if name not in ("VIRTUAL_ENV", "PYTHONPATH")}
    done = subprocess.run(
        command, env={**inherited, **environment}, capture_output=True, text=True, timeout=_INSTALL_SECONDS, check=False
    )
    if done.returncode:
        raise BigQueryUnavailable(f"installing the BigQuery emulator failed:\n{done.stderr[-2000:]}")


class BigQueryEmulator:
    """``url`` is what ``BIGQUERY_EMULATOR_HOST`` wants. ``project``: for requests that name none."""

    def __init__(self, log: Path, *, project: str = "querycraft-local", port: int | None = None) -> None:
        self._log = log
        self._project = project
        self._port = port or free_port()
        self._process: SupervisedProcess | None = None

    @property
    def url(self) -> str:
        return f"http://{_HOST}:{self._port}"

    def start(self) -> None:
        """Install it if need be, start it, and wait until it answers.

        Raises:
            BigQueryUnavailable: it could not be installed, ended, or did not answer in time.
        """
        python = install()
        self._process = SupervisedProcess(
            "bigquery",
            [
                *(str(python), "-m", "bqemulator", "start", "--ephemeral", "--no-admin", "--log-level", "warning"),
                *("--rest-host", _HOST, "--rest-port", str(self._port)),
                *("--grpc-host", _HOST, "--grpc-port", str(free_port()), "--project", self._project),
            ],
            {"HOME": str(ENVIRONMENT), "PYTHONPATH": ""},
            self._log,
        )
        self._process.start()
        try:
            self._await_answer(self._process)
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        if self._process is not None:
            self._process.terminate()
            self._process.join(5.0)

    def _await_answer(self, process: SupervisedProcess) -> None:
        deadline = time.monotonic() + _START_SECONDS
        with httpx.Client(base_url=self.url, timeout=2.0) as client:
            while True:
                try:
                    client.get(f"/bigquery/v2/projects/{self._project}/datasets").raise_for_status()
                except httpx.HTTPError as error:
                    if process.failed or time.monotonic() > deadline:
                        raise BigQueryUnavailable(
                            f"the BigQuery emulator does not answer at {self.url}: {error}\n{process.last_words()}"
                        ) from error
                    time.sleep(0.05)
                else:
                    return

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


def main() -> None:
    parser = argparse.ArgumentParser(description="Run the BigQuery emulator until Ctrl-C.")
    parser.add_argument("--port", type=int)
    parser.add_argument("--project", default="querycraft-local")
    parser.add_argument("--log", type=Path, default=ENVIRONMENT / "emulator.log")
    options = parser.parse_args()
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    with BigQueryEmulator(options.log.absolute(), project=options.project, port=options.port) as emulator:
        print(f"BIGQUERY_EMULATOR_HOST={emulator.url}", flush=True)
        stop.wait()


if __name__ == "__main__":
    try:
        main()
    except BigQueryUnavailable as error:
        sys.exit(str(error))
