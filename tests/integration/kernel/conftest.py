"""A service called ``probe`` with the kernel's tables, the embedded broker and one table of effects."""

import asyncio
from collections.abc import Iterator

import psycopg
import pytest

from scripts.embedded.postgres import PostgresServer
from services.kernel.database.migrations import prepare
from services.kernel.database.tables import JOB_RUNS, MESSAGING
from tests.support.services import filled_database, provision

EFFECTS = "CREATE TABLE effects (id bigint GENERATED ALWAYS AS IDENTITY, what text NOT NULL)"


def _fill(url: str) -> None:
    prepare(url, "probe")
    with psycopg.connect(url) as admin:
        admin.execute("SET search_path = probe")
        for ddl in (MESSAGING, JOB_RUNS, EFFECTS):
            admin.execute(ddl)
    asyncio.run(provision(url, "probe"))


@pytest.fixture
def service_name() -> str:
    return "probe"


@pytest.fixture
def database_url(postgres_server: PostgresServer, service_name: str) -> Iterator[str]:
    with filled_database(postgres_server, service_name, "template_probe", _fill) as url:
        yield url
