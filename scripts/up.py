"""Keep the platform running for use by hand. Ctrl-C drains and stops everything.

python -m scripts.up [--broker pubsub] [--directory build/platform]
"""

import argparse
import signal
import sys
import threading
from pathlib import Path

from scripts.embedded.emulator import EmulatorUnavailable
from scripts.embedded.platform import Options, PlatformError, broker_emulator, running
from scripts.embedded.postgres import PostgresUnavailable
from scripts.services import SERVICES

FIRST_PORT = 8080


def main() -> int:
    parser = argparse.ArgumentParser(description="Run the whole platform on this machine.")
    parser.add_argument("--directory", type=Path, default=Path("build/platform"), help="state and logs; kept")
    parser.add_argument("--broker", choices=("embedded", "pubsub"), default="embedded")
    arguments = parser.parse_args()
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    options = Options(
        directory=arguments.directory.absolute(),
        broker=arguments.broker,
        ports={name: FIRST_PORT + index for index, name in enumerate(SERVICES)},
        environment={"QC_TELEMETRY_EXPORTER": "file"},
    )
    try:
        with broker_emulator(arguments.broker) as options.pubsub_emulator_host, running(options) as platform:
            print(f"ready in {platform.seconds['ready']:.1f} s")
            print(f"  API and its docs page   {platform.url('intake')}/docs")
            print(f"  notifications           {platform.url('notifier')}/docs")
            print(f"  logs                    {options.directory}/logs")
            print("Ctrl-C stops everything.", flush=True)
            stop.wait()
            print("draining ...", flush=True)
    except (PlatformError, EmulatorUnavailable, PostgresUnavailable) as error:
        print(error, file=sys.stderr)
        return 1
    print("stopped")
    return 0


if __name__ == "__main__":
    sys.exit(main())
