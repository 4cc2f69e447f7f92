"""The official Pub/Sub emulator for tests marked ``pubsub``; one per test process, started when first needed."""

import os
import uuid
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import pytest

from scripts.embedded.emulator import EmulatorUnavailable
from scripts.emulators.pubsub import HOST_VARIABLE, PubSubEmulator, emulator


@pytest.fixture(scope="session")
def pubsub_emulator() -> Iterator[PubSubEmulator]:
    """A running emulator with ``PUBSUB_EMULATOR_HOST`` pointing at it.

    Without the jar or Java the test is skipped with the reason; with ``CI=true`` it fails.
    """
    with _started() as running:
        previous = os.environ.get(HOST_VARIABLE)
        os.environ[HOST_VARIABLE] = running.host
        try:
            yield running
        finally:
            if previous is None:
                del os.environ[HOST_VARIABLE]
            else:
                os.environ[HOST_VARIABLE] = previous


@pytest.fixture
def pubsub_project(pubsub_emulator: PubSubEmulator) -> str:
    """Id of a project nobody else uses: topics of different tests never meet."""
    return f"test-{uuid.uuid4().hex[:20]}"


@contextmanager
def _started() -> Iterator[PubSubEmulator]:
    with ExitStack() as stack:
        try:
            running = stack.enter_context(emulator())
        except EmulatorUnavailable as error:
            if os.environ.get("CI") == "true":
                pytest.fail(str(error), pytrace=False)
            pytest.skip(str(error))
        yield running
