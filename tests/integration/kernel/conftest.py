"""A service called ``probe`` with the kernel's tables, the embedded broker and one table of effects."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

import asyncpg
import psycopg
import pytest

from scripts.embedded.postgres import PostgresServer
from services.kernel.database.migrations import prepare
from services.kernel.database.tables import JOB_RUNS, MESSAGING
from services.kernel.database.unit_of_work import Database
from services.kernel.messaging.provision import provision_embedded
from tests.support.postgres import cloned, ensure_template

EFFECTS = "CREATE TABLE effects (id bigint GENERATED ALWAYS AS IDENTITY, what text NOT NULL)"


def _fill(url: str) -> None:
    prepare(url, "probe")
    with psycopg.connect(url) as admin:
        admin.execute("SET search_path = probe")
        for ddl in (MESSAGING, JOB_RUNS, EFFECTS):
            admin.execute(ddl)

    async def provision() -> None:
        connection = await asyncpg.connect(url)
        await provision_embedded(connection, clients=["probe"])
        await connection.close()

    asyncio.run(provision())


@pytest.fixture
def probe_url(postgres_server: PostgresServer) -> Iterator[str]:
    """URL of a fresh database, as the role ``probe``."""
    template = ensure_template(postgres_server, "template_probe", _fill)
    with cloned(postgres_server, template) as url:
        with psycopg.connect(url, autocommit=True) as admin:  # role settings are per database, not copied
            admin.execute(f"ALTER ROLE probe IN DATABASE {admin.info.dbname} SET search_path = probe, pg_temp")
        yield url.replace("postgres@", "probe@")


@asynccontextmanager
async def open_database(url: str, source: str = "probe") -> AsyncIterator[Database]:
    pool = await asyncpg.create_pool(url, min_size=1, max_size=8)
    try:
        yield Database(pool, source)
    finally:
        await pool.close()


@pytest.fixture
async def database(probe_url: str) -> AsyncIterator[Database]:
    async with open_database(probe_url) as opened:
        yield opened
