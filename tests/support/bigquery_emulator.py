"""One BigQuery emulator per test session; a project of its own per test."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

from scripts.embedded.bigquery import BigQueryEmulator

if TYPE_CHECKING:
    from google.cloud.bigquery import Client


@pytest.fixture(scope="session")
def bigquery_emulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[BigQueryEmulator]:
    with BigQueryEmulator(tmp_path_factory.mktemp("bigquery") / "emulator.log") as emulator:
        yield emulator


@pytest.fixture
def bigquery_project() -> str:
    return f"test-{uuid.uuid4().hex[:12]}"


@pytest.fixture
def bigquery(
    bigquery_emulator: BigQueryEmulator, bigquery_project: str, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Client]:
    """The real client on the emulator, as an owner of tables would use it."""
    from google.auth.credentials import AnonymousCredentials
    from google.cloud.bigquery import Client

    monkeypatch.setenv("BIGQUERY_EMULATOR_HOST", bigquery_emulator.url)
    client = Client(project=bigquery_project, credentials=AnonymousCredentials())
    yield client
    client.close()
