"""One real Postgres per test session, shared by xdist workers; a cloned database per test."""

import fcntl
import os
import shutil
import tempfile
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest
from psycopg import sql

from scripts.embedded.postgres import UNSAFE_TEST_SETTINGS, PostgresServer

Prepare = Callable[[str], None]
"""Fills a new, empty template database; takes its URL."""

_MEMORY = Path("/dev/shm")
_NEEDED_BYTES = 2 * 2**30


def _base() -> Path:
    """In memory where there is room: a database is a thousand files, which a disk takes up to a second to make."""
    if os.access(_MEMORY, os.W_OK) and shutil.disk_usage(_MEMORY).free >= _NEEDED_BYTES:
        return _MEMORY
    return Path(tempfile.gettempdir())


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[PostgresServer]:
    """The session's shared server. Never stop it in a test: others are using it (see ``own_postgres``)."""
    session = os.environ.get("PYTEST_XDIST_TESTRUNUID", uuid.uuid4().hex)[:12]
    data_dir = _base() / f"querycraft-test-{session}"
    with PostgresServer(data_dir, UNSAFE_TEST_SETTINGS).lease(destroy=True) as server:
        yield server


@pytest.fixture(scope="session")
def postgres(postgres_server: PostgresServer) -> str:
    """URL of the session's server (its maintenance database, as superuser)."""
    return postgres_server.url()


@pytest.fixture
def own_postgres() -> Iterator[PostgresServer]:
    """A server of the test's own, to stop, restart and kill."""
    data_dir = _base() / f"querycraft-own-{uuid.uuid4().hex[:12]}"
    server = PostgresServer(data_dir, UNSAFE_TEST_SETTINGS)
    with server.lease(destroy=True):
        try:
            yield server
        finally:
            server.stop("immediate")


@pytest.fixture
def empty_database_url(postgres_server: PostgresServer) -> Iterator[str]:
    """URL of a fresh, empty database, dropped after the test."""
    with cloned(postgres_server, "template0") as url:
        yield url


@contextmanager
def cloned(server: PostgresServer, template: str) -> Iterator[str]:
    """A new database copied from ``template`` (15 ms in memory); dropped with whatever is still connected."""
    name = f"test_{uuid.uuid4().hex[:16]}"
    with psycopg.connect(server.url(), autocommit=True) as admin:
        admin.execute(sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(sql.Identifier(name), sql.Identifier(template)))
    try:
        yield server.url(name)
    finally:
        with psycopg.connect(server.url(), autocommit=True) as admin:
            admin.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


def ensure_template(server: PostgresServer, name: str, prepare: Prepare) -> str:
    """Create the template database ``name`` once per session, filled by ``prepare``; returns its name."""
    with (server.data_dir / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with psycopg.connect(server.url(), autocommit=True) as admin:
            if admin.execute("SELECT 1 FROM pg_database WHERE datname = %s AND datistemplate", (name,)).fetchone():
                return name
            admin.execute(sql.SQL("DROP DATABASE IF EXISTS {}").format(sql.Identifier(name)))
            admin.execute(sql.SQL("CREATE DATABASE {} TEMPLATE template0").format(sql.Identifier(name)))
            prepare(server.url(name))
            # Postgres copies no database that somebody is connected to.
            admin.execute(
                sql.SQL("ALTER DATABASE {} WITH IS_TEMPLATE true ALLOW_CONNECTIONS false").format(sql.Identifier(name))
            )
    return name
