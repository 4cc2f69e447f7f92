"""The whole platform, started once per broker, reached only through its HTTP doors."""

from collections.abc import AsyncIterator, Iterator

import httpx
import pytest

from scripts.embedded.platform import Options, Platform, running, temporary_directory


@pytest.fixture(scope="session", params=["embedded", pytest.param("pubsub", marks=pytest.mark.pubsub)])
def platform(request: pytest.FixtureRequest) -> Iterator[Platform]:
    broker = request.param
    host = request.getfixturevalue("pubsub_emulator").host if broker == "pubsub" else ""
    with temporary_directory() as directory:
        options = Options(
            directory, broker=broker, pubsub_emulator_host=host, environment={"ENABLE_COMPLEXITY_ROUTING": "false"}
        )
        with running(options) as started:
            yield started


@pytest.fixture
async def http(platform: Platform) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=platform.url(), timeout=90) as client:
        yield client
