"""The whole platform, started once per broker, reached only through its HTTP doors."""

from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack
from typing import Literal

import httpx
import pytest

from scripts.embedded.platform import Options, Platform, running, temporary_directory


class Platforms:
    """One platform per broker, started when first asked for and kept to the end, in whatever order tests come."""

    def __init__(self) -> None:
        self._stack = ExitStack()
        self._running: dict[str, Platform] = {}

    def on(self, broker: Literal["embedded", "pubsub"], emulator_host: str) -> Platform:
        if broker not in self._running:
            directory = self._stack.enter_context(temporary_directory())
            options = Options(
                directory,
                broker=broker,
                pubsub_emulator_host=emulator_host,
                environment={"ENABLE_COMPLEXITY_ROUTING": "false"},
            )
            self._running[broker] = self._stack.enter_context(running(options))
        return self._running[broker]

    def stop(self) -> None:
        self._stack.close()


@pytest.fixture(scope="session")
def platforms() -> Iterator[Platforms]:
    started = Platforms()
    yield started
    started.stop()


@pytest.fixture(params=["embedded", pytest.param("pubsub", marks=pytest.mark.pubsub)])
def platform(request: pytest.FixtureRequest, platforms: Platforms) -> Platform:
    host = request.getfixturevalue("pubsub_emulator").host if request.param == "pubsub" else ""
    return platforms.on(request.param, host)


@pytest.fixture
async def http(platform: Platform) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=platform.url(), timeout=90) as client:
        yield client
