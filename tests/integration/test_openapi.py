"""The services whose HTTP is for operators, each against its own document, asked by an administrator.

Intake, notifier and insights have theirs beside their other tests.
"""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from importlib import import_module
from typing import Any

import pytest

from scripts.embedded.bigquery import BigQueryEmulator
from scripts.embedded.ports import free_port
from scripts.embedded.postgres import PostgresServer
from scripts.embedded.storage import StorageEmulator
from tests.support.openapi import answers_to_generated, document, operations
from tests.support.running import TOKEN_KEY, bearer, on_own_thread, up
from tests.support.services import UNCLOSED, let_go_of_sockets, service_database

SETTINGS = {
    "generator": "GeneratorSettings",
    "grader": "GraderSettings",
    "metadata": "MetadataSettings",
    "assistant": "AssistantSettings",
}

pytestmark = pytest.mark.filterwarnings(UNCLOSED)


@pytest.fixture
def served(
    request: pytest.FixtureRequest,
    postgres_server: PostgresServer,
    storage_emulator: StorageEmulator,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[str]:
    name: str = request.param
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", storage_emulator.url)
    more: dict[str, Any] = {}
    if name == "metadata":
        emulator: BigQueryEmulator = request.getfixturevalue("bigquery_emulator")
        monkeypatch.setenv("BIGQUERY_EMULATOR_HOST", emulator.url)
    bootstrap = import_module(f"services.{name}.bootstrap")
    settings = getattr(import_module(f"services.{name}.settings"), SETTINGS[name])
    with service_database(postgres_server, name) as database_url:
        chosen = settings(
            database_url=database_url, http_port=free_port(), identity_key=TOKEN_KEY, log_level="ERROR", **more
        )

        @asynccontextmanager
        async def serve() -> AsyncIterator[str]:
            async with up(await bootstrap.build(chosen)) as (url, _):
                yield url

        with on_own_thread(serve) as url:
            yield url
    let_go_of_sockets()


@pytest.mark.parametrize("served", SETTINGS, indirect=True)
def test_generated_requests(served: str) -> None:
    schema = document(served)
    found = operations(schema)
    assert ("GET", "/readyz") in found
    for method, path in sorted(found):
        answers = answers_to_generated(schema, method, path, bearer("root", "admin"), examples=15)
        assert answers.objections == [], (method, path)
        assert max(answers.statuses) < 500, (method, path)
