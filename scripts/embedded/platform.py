"""The whole platform on one machine: Postgres, the storage emulator, a broker and every service.

The same services and handlers as in the cloud; only their settings differ. Used by ``make up``,
``make demo``, the end-to-end tests, the benchmarks and the chaos run.
"""

import concurrent.futures
import contextlib
import importlib
import os
import secrets
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import httpx
import psycopg

from scripts.embedded.bigquery import BigQueryEmulator
from scripts.embedded.ports import free_port
from scripts.embedded.postgres import PostgresServer
from scripts.embedded.process import SupervisedProcess
from scripts.embedded.storage import StorageEmulator
from scripts.services import SERVICES

DATABASE = "querycraft"
PROJECT = "querycraft-local"
READY_TIMEOUT_SECONDS = 60.0


class PlatformError(RuntimeError):
    """The platform did not come up; the message holds the last words of what failed."""


@dataclass
class Options:
    """``directory``: where state and logs are kept. ``ports``: fixed ports per service, else free ones.
    ``delivery``: how messages come from Pub/Sub, as in ``ServiceSettings``.
    ``environment``: more settings for every service; ``overrides``: per service. ``modules``: what
    runs in a service's place, instead of ``services.<name>.main``. ``bigquery``: run the BigQuery emulator too."""

    directory: Path
    broker: Literal["embedded", "pubsub"] = "embedded"
    pubsub_emulator_host: str = ""
    delivery: Literal["pull", "poll", "push"] = "pull"
    services: tuple[str, ...] = SERVICES
    ports: Mapping[str, int] = field(default_factory=dict)
    environment: Mapping[str, str] = field(default_factory=dict)
    overrides: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    modules: Mapping[str, str] = field(default_factory=dict)
    bigquery: bool = False


class Platform:
    """Start with ``running(options)``; ``url`` and ``processes`` say where things are."""

    def __init__(self, options: Options) -> None:
        self.options = options
        self.postgres = PostgresServer(options.directory / "postgres")
        self.storage = StorageEmulator(options.directory / "storage")
        self.bigquery = BigQueryEmulator(options.directory / "logs" / "bigquery.log", project=PROJECT)
        self.ports = {name: options.ports.get(name) or free_port() for name in options.services}
        self.identity_key = secrets.token_urlsafe(32)
        self.processes: dict[str, SupervisedProcess] = {}
        self._stack = contextlib.ExitStack()
        self.seconds: dict[str, float] = {}

    def url(self, service: str = "intake") -> str:
        return f"http://127.0.0.1:{self.ports[service]}"

    def database_url(self, role: str = "postgres") -> str:
        return self.postgres.url(DATABASE, role)

    def start(self) -> None:
        """Bring everything up and wait until every service is ready.

        Raises:
            PlatformError, EmulatorUnavailable, PostgresUnavailable: something did not become ready; its log's end is in
                the message.
        """
        began = time.monotonic()
        with concurrent.futures.ThreadPoolExecutor() as pool:
            parts: list[concurrent.futures.Future[Any]] = [
                pool.submit(self.storage.start),
                pool.submit(importlib.import_module, "scripts.provision"),
            ]
            if self.options.bigquery:
                parts.append(pool.submit(self.bigquery.start))
            self._start_postgres()
            self._provision()
            for part in parts:
                part.result()
        self._await_ready()
        self.seconds["ready"] = time.monotonic() - began

    def stop(self, drain_seconds: float = 20.0) -> list[str]:
        """Drain the services, then stop what they stood on; names of services that had to be killed."""
        for process in self.processes.values():
            process.terminate()
        killed = [name for name, process in self.processes.items() if not process.join(drain_seconds)]
        self.storage.stop()
        self.bigquery.stop()
        self._stack.close()
        return killed

    def _start_postgres(self) -> None:
        # A lease, so that Postgres ends with this process however this process ends.
        self._stack.enter_context(self.postgres.lease())
        with psycopg.connect(self.postgres.url(), autocommit=True) as admin:
            if not admin.execute("SELECT 1 FROM pg_database WHERE datname = %s", [DATABASE]).fetchone():
                admin.execute(f"CREATE DATABASE {DATABASE}")

    def _provision(self) -> None:
        """Make what the services stand on; each starts as soon as its own part is there."""
        from scripts.provision import provision  # imported beside the start of Postgres: it takes as long

        if self.options.broker == "pubsub":
            os.environ["PUBSUB_EMULATOR_HOST"] = self.options.pubsub_emulator_host  # read by the client library
            # The supervisor forks only to execute: gRPC has nothing to hand over, and complains at each fork.
            os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "false")
        provision(
            self.database_url(),
            self.options.services,
            broker=self.options.broker,
            project=PROJECT,
            push={name: self.url(name) for name in self.options.services} if self.options.delivery == "push" else {},
            when_migrated=self._start_service,
        )

    def _start_service(self, name: str) -> None:
        self.processes[name] = SupervisedProcess(
            name,
            [sys.executable, "-m", self.options.modules.get(name, f"services.{name}.main")],
            self._environment(name),
            self.options.directory / "logs" / f"{name}.log",
        )
        self.processes[name].start()

    def _environment(self, service: str) -> dict[str, str]:
        directory = self.options.directory
        return {
            "QC_DATABASE_URL": self.database_url(service),
            "QC_BROKER": self.options.broker,
            "QC_HTTP_PORT": str(self.ports[service]),
            "QC_DELIVERY": self.options.delivery,
            "QC_PUSH_EMULATOR": str(self.options.delivery == "push").lower(),
            "QC_IDENTITY_KEY": self.identity_key,
            "QC_OPEN_TO_ANONYMOUS": "true",
            "QC_TELEMETRY_DIRECTORY": str(directory / "telemetry"),
            "GOOGLE_CLOUD_PROJECT": PROJECT,
            "STORAGE_EMULATOR_HOST": self.storage.url,
            **self._bigquery(),
            **({"PUBSUB_EMULATOR_HOST": self.options.pubsub_emulator_host} if self.options.broker == "pubsub" else {}),
            **self.options.environment,
            **self.options.overrides.get(service, {}),
        }

    def _bigquery(self) -> dict[str, str]:
        """Leads metadata's reading and the grader's GoogleSQL to the emulator, if there is one."""
        if not self.options.bigquery:
            return {}
        return {"BIGQUERY_EMULATOR_HOST": self.bigquery.url, "QC_GOOGLESQL_ENGINE": "bigquery"}

    def _await_ready(self) -> None:
        deadline = time.monotonic() + READY_TIMEOUT_SECONDS
        waiting = set(self.options.services)
        with httpx.Client(timeout=2.0) as client:
            while waiting:
                for name in sorted(waiting):
                    if self._is_ready(client, name):
                        waiting.discard(name)
                    process = self.processes[name]
                    if process.failed or time.monotonic() > deadline:
                        raise PlatformError(f"{name} did not become ready; it said last:\n{process.last_words()}")
                time.sleep(0.02)

    def _is_ready(self, client: httpx.Client, service: str) -> bool:
        try:
            return client.get(f"{self.url(service)}/readyz").status_code == httpx.codes.OK
        except httpx.TransportError:
            return False


@contextlib.contextmanager
def running(options: Options) -> Iterator[Platform]:
    """The platform, up and ready, for the body; stopped in order afterwards, also on an error."""
    platform = Platform(options)
    try:
        platform.start()
        yield platform
    finally:
        platform.stop()


@contextlib.contextmanager
def broker_emulator(broker: str) -> Iterator[str]:
    """Run the Pub/Sub emulator for the body when ``broker`` needs it; its host, or an empty string.

    Raises:
        EmulatorUnavailable: it cannot run here; the message says what to install.
    """
    if broker != "pubsub":
        yield ""
        return
    from scripts.emulators.pubsub import emulator

    with emulator() as started:
        yield started.host


@contextlib.contextmanager
def temporary_directory() -> Iterator[Path]:
    """A directory short enough for Unix sockets, gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="querycraft-", ignore_cleanup_errors=True) as directory:
        yield Path(directory)
