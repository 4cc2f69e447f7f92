"""Fixtures every test may use; importing this starts nothing."""

import logging
from collections.abc import Iterator

import pytest

from services.kernel.telemetry import JsonLogFormatter

pytest_plugins = ["tests.support.postgres", "tests.support.pubsub_emulator", "tests.support.services"]


@pytest.fixture(autouse=True)
def logging_as_it_was() -> Iterator[None]:
    """A service built inside a test sets up logs for its whole process: later tests must not find them changed."""
    root = logging.getLogger()
    level = root.level
    yield
    root.setLevel(level)
    for handler in [each for each in root.handlers if isinstance(each.formatter, JsonLogFormatter)]:
        root.removeHandler(handler)
