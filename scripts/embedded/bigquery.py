"""Run ``bqemulator`` as a child process behind the real google-cloud-bigquery client.

    python -m scripts.embedded.bigquery --port 9050

It lives in an environment of its own (``deploy/bqemulator``), installed from its lock at first use, and keeps
everything in memory.
"""

import argparse
import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

from scripts.embedded.emulator import HOST, Emulator, EmulatorUnavailable, run_by_hand
from scripts.embedded.ports import free_port
from scripts.embedded.process import SupervisedProcess

ROOT = Path(__file__).resolve().parents[2]
PROJECT = ROOT / "deploy" / "bqemulator"
ENVIRONMENT = ROOT / "build" / "bqemulator"
_INSTALL_SECONDS = 600.0


def install() -> Path:
    """Its interpreter, installed first when its lock changed or it is not there. Safe to call from many processes.

    Raises:
        EmulatorUnavailable: there is no uv, or it failed.
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
        raise EmulatorUnavailable("uv is needed to install the BigQuery emulator: run `make setup`")
    return found


def _run(command: list[str], environment: dict[str, str]) -> None:
    inherited = {name: value for name, value in os.environ.items() if name not in ("VIRTUAL_ENV", "PYTHONPATH")}
    done = subprocess.run(
        command, env={**inherited, **environment}, capture_output=True, text=True, timeout=_INSTALL_SECONDS, check=False
    )
    if done.returncode:
        raise EmulatorUnavailable(f"installing the BigQuery emulator failed:\n{done.stderr[-2000:]}")


class BigQueryEmulator(Emulator):
    """``project``: for requests that name none."""

    NAME = "BigQuery"
    VARIABLE = "BIGQUERY_EMULATOR_HOST"

    def __init__(self, log: Path, *, project: str = "querycraft-local", port: int | None = None) -> None:
        super().__init__(port)
        self._log = log
        self._project = project

    @property
    def _probe(self) -> str:
        return f"/bigquery/v2/projects/{self._project}/datasets"

    def _child(self) -> SupervisedProcess:
        command = [
            *(str(install()), "-m", "bqemulator", "start", "--ephemeral", "--no-admin", "--log-level", "warning"),
            *("--rest-host", HOST, "--rest-port", str(self.port)),
            *("--grpc-host", HOST, "--grpc-port", str(free_port()), "--project", self._project),
        ]
        return SupervisedProcess(self.NAME, command, {"HOME": str(ENVIRONMENT), "PYTHONPATH": ""}, self._log)


def main() -> None:
    parser = argparse.ArgumentParser(description="Run the BigQuery emulator until Ctrl-C.")
    parser.add_argument("--port", type=int)
    parser.add_argument("--project", default="querycraft-local")
    parser.add_argument("--log", type=Path, default=ENVIRONMENT / "emulator.log")
    options = parser.parse_args()
    run_by_hand(BigQueryEmulator(options.log.absolute(), project=options.project, port=options.port))


if __name__ == "__main__":
    main()
