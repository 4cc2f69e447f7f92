"""Run the official Pub/Sub emulator: gcloud's jar, started directly with Java.

python -m scripts.emulators.pubsub --port 8085        (until Ctrl-C)
"""

import argparse
import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from scripts.embedded.emulator import EmulatorUnavailable
from scripts.embedded.ports import free_port

JAR_VARIABLE = "PUBSUB_EMULATOR_JAR"
HOST_VARIABLE = "PUBSUB_EMULATOR_HOST"
"""What Google's clients read to find an emulator."""

_SDK_JARS = "platform/pubsub-emulator/lib/cloud-pubsub-emulator-*-all.jar"
_READY = "Server started, listening on"
_START_SECONDS = 60.0
_POLL_SECONDS = 0.05
_ORPHANED_ENDS = 'exec 3<&0; "$@" </dev/null 3<&- & java=$!; (cat <&3 >/dev/null; kill $java) & wait $java'
"""Shell: run a command that ends with us, however we end, because our end of the pipe closes."""
_INSTALL = (
    "install it with `gcloud components install pubsub-emulator` or `apt-get install "
    f"google-cloud-cli-pubsub-emulator` (and Java 17), or point {JAR_VARIABLE} at the jar"
)


class PubSubEmulator:
    """A running emulator in a process group of its own. It keeps nothing on disk and forgets everything at its end."""

    def __init__(self, process: subprocess.Popen[bytes], port: int) -> None:
        self._process = process
        self.port = port

    @property
    def host(self) -> str:
        """``127.0.0.1:<port>``, the value for ``PUBSUB_EMULATOR_HOST``."""
        return f"127.0.0.1:{self.port}"

    def pause(self) -> None:
        """Freeze it: connections stay open and nothing answers."""
        os.killpg(self._process.pid, signal.SIGSTOP)

    def resume(self) -> None:
        os.killpg(self._process.pid, signal.SIGCONT)

    def stop(self) -> None:
        """End the whole group; idempotent. It has nothing to save."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        if self._process.stdin is not None:
            self._process.stdin.close()


@contextlib.contextmanager
def emulator(port: int = 0) -> Iterator[PubSubEmulator]:
    """Run an emulator on ``port`` (0: a free one) for the length of the context.

    Raises:
        EmulatorUnavailable: the jar or Java is missing, or it did not start.
    """
    command = [_java(), "-Xms64m", "-Xmx1g", "-jar", str(find_jar()), "--host=127.0.0.1"]
    chosen = port or free_port()
    with tempfile.TemporaryFile("w+") as log:
        process = subprocess.Popen(
            ["sh", "-c", _ORPHANED_ENDS, "sh", *command, f"--port={chosen}"],
            stdin=subprocess.PIPE,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        running = PubSubEmulator(process, chosen)
        try:
            _wait_until_ready(process, chosen, log)
            yield running
        finally:
            running.stop()


def find_jar() -> Path:
    """The jar named by ``PUBSUB_EMULATOR_JAR``, else the one of the installed Cloud SDK.

    Raises:
        EmulatorUnavailable: there is none.
    """
    named = os.environ.get(JAR_VARIABLE)
    if named:
        if not Path(named).is_file():
            raise EmulatorUnavailable(f"{JAR_VARIABLE} names {named}, which does not exist")
        return Path(named)
    for root in _sdk_roots():
        jars = sorted(root.glob(_SDK_JARS))
        if jars:
            return jars[-1]
    raise EmulatorUnavailable(f"the Pub/Sub emulator is not installed: {_INSTALL}")


def _sdk_roots() -> Iterator[Path]:
    gcloud = shutil.which("gcloud")
    if gcloud is not None:
        yield Path(gcloud).resolve().parent.parent
    yield Path("/usr/lib/google-cloud-sdk")
    yield Path.home() / "google-cloud-sdk"


def _java() -> str:
    home = os.environ.get("JAVA_HOME")
    java = shutil.which("java", path=f"{home}/bin") if home else shutil.which("java")
    if java is None:
        raise EmulatorUnavailable("the Pub/Sub emulator needs Java 17, and there is no `java` on the path")
    return java


def _wait_until_ready(process: subprocess.Popen[bytes], port: int, log: IO[str]) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while time.monotonic() < deadline:
        said = _contents(log)
        if process.poll() is not None:
            raise EmulatorUnavailable(f"the Pub/Sub emulator ended with {process.returncode}:\n{said}")
        if _READY in said and _accepts(port):
            return
        time.sleep(_POLL_SECONDS)
    raise EmulatorUnavailable(f"the Pub/Sub emulator was not ready within {_START_SECONDS:.0f} s:\n{_contents(log)}")


def _contents(log: IO[str]) -> str:
    # By position, not by seek: the child writes at the offset both share.
    return os.pread(log.fileno(), 1 << 20, 0).decode(errors="replace")


def _accepts(port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
        return True
    return False


def main() -> None:
    parser = argparse.ArgumentParser(description="Run the Pub/Sub emulator until interrupted.")
    parser.add_argument("--port", type=int, default=8085)
    options = parser.parse_args()
    with emulator(options.port) as running:
        print(f"export {HOST_VARIABLE}={running.host}", flush=True)
        with contextlib.suppress(KeyboardInterrupt):
            signal.pause()


if __name__ == "__main__":
    try:
        main()
    except EmulatorUnavailable as error:
        sys.exit(str(error))
