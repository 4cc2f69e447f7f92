"""A service's own migrated database with the embedded broker, object storage, and messages in and out."""

import asyncio
import gc
import uuid
import warnings
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, closing, contextmanager
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import asyncpg
import psycopg
import pytest

from contracts.jobs import JobRequested
from contracts.message import Message, json_text
from scripts.embedded.postgres import PostgresServer
from scripts.embedded.storage import StorageEmulator
from services.kernel.database.migrations import migrate
from services.kernel.database.unit_of_work import Database
from services.kernel.messaging.broker import Delivery
from services.kernel.messaging.embedded import EmbeddedBroker
from services.kernel.messaging.envelope import seal
from services.kernel.messaging.provision import provision_embedded
from services.kernel.storage import GoogleCloudStorage
from tests.support.postgres import Prepare, cloned, ensure_template

_TESTS = Path(__file__).resolve().parents[1] / "integration"

M = TypeVar("M", bound=Message)

UNCLOSED = "ignore:unclosed <socket:ResourceWarning"
"""google-cloud-storage leaves the connection of a failed download to the garbage collector."""


def let_go_of_sockets() -> None:
    """Collect such connections here and now, not in the middle of a later test."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        gc.collect()


@contextmanager
def service_database(server: PostgresServer, service: str) -> Iterator[str]:
    """URL of a fresh, migrated and provisioned database, as the role of ``service``."""
    with filled_database(server, service, f"template_{service}", partial(fill, service=service)) as url:
        yield url


@contextmanager
def filled_database(server: PostgresServer, service: str, template: str, prepare: Prepare) -> Iterator[str]:
    """URL of a fresh copy of what ``prepare`` made, as the role of ``service``."""
    with cloned(server, ensure_template(server, template, prepare)) as url:
        with closing(psycopg.connect(url, autocommit=True)) as admin:  # role settings are per database, not copied
            admin.execute(f"ALTER ROLE {service} IN DATABASE {admin.info.dbname} SET search_path = {service}, pg_temp")
        yield url.replace("postgres@", f"{service}@")


def fill(url: str, service: str) -> None:
    """Migrate an empty database and create the embedded broker's topics."""
    migrate(url, service)
    asyncio.run(provision(url, service))


async def provision(url: str, service: str) -> None:
    """Create the embedded broker's topics, for the role of ``service``."""
    connection = await asyncpg.connect(url)
    try:
        await provision_embedded(connection, clients=[service])
    finally:
        await connection.close()


@pytest.fixture
def service_name(request: pytest.FixtureRequest) -> str:
    """The service that the test is about: its folder's."""
    return request.path.relative_to(_TESTS).parts[0]


@pytest.fixture
def database_url(postgres_server: PostgresServer, service_name: str) -> Iterator[str]:
    """Of a fresh database, migrated and provisioned, as the role of the test's service."""
    with service_database(postgres_server, service_name) as url:
        yield url


@pytest.fixture
async def database(database_url: str, service_name: str) -> AsyncIterator[Database]:
    """The database alone: nothing dispatches, nothing is published."""
    async with opened(database_url, service_name) as database:
        yield database


@asynccontextmanager
async def opened(url: str, service: str) -> AsyncIterator[Database]:
    pool = await asyncpg.create_pool(url, min_size=1, max_size=8)
    try:
        yield Database(pool, service)
    finally:
        await pool.close()


@asynccontextmanager
async def broker_of(database: Database) -> AsyncIterator[EmbeddedBroker]:
    broker = EmbeddedBroker(database.pool, lease=2.0)
    try:
        yield broker
    finally:
        await broker.close()


@pytest.fixture
async def broker(database: Database) -> AsyncIterator[EmbeddedBroker]:
    """On the service's database."""
    async with broker_of(database) as broker:
        yield broker


@pytest.fixture(scope="session")
def storage_emulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StorageEmulator]:
    directory: Path = tmp_path_factory.mktemp("storage")
    with StorageEmulator(directory) as emulator:
        yield emulator


@pytest.fixture
async def objects(
    storage_emulator: StorageEmulator, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[GoogleCloudStorage]:
    """The real client on the emulator, as a service opens it."""
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", storage_emulator.url)
    store = GoogleCloudStorage("querycraft-datasets", "querycraft-test")
    yield store
    await store.close()
    let_go_of_sockets()


async def until(condition: Callable[[], Awaitable[bool]], seconds: float = 20.0) -> None:
    """Wait for what another task or process brings about. Raises TimeoutError."""
    async with asyncio.timeout(seconds):
        while not await condition():  # noqa: ASYNC110 - it may be another process's doing
            await asyncio.sleep(0.01)


def job_requested(job_type: str, query: str | dict[str, Any], **fields: Any) -> JobRequested:
    """A first release of a new job; ``options`` may be a dict."""
    options = fields.pop("options", {})
    return JobRequested(
        **{
            "job_id": str(uuid.uuid4()),
            "job_type": job_type,
            "query": query if isinstance(query, str) else json_text(query),
            "fence": 1,
            "requested_at": datetime.now(UTC),
            "options": json_text(options),
            **fields,
        }
    )


def delivery_of(message: Message, attempt: int = 1, *, source: str = "intake") -> Delivery:
    return Delivery(seal(message, source), attempt)


async def emitted(database: Database, kind: type[M]) -> list[M]:
    """What is waiting in the outbox, oldest first."""
    rows = await database.fetch("SELECT data FROM outbox WHERE topic = $1 ORDER BY id", kind.topic())
    return [kind.from_bytes(row["data"]) for row in rows]
