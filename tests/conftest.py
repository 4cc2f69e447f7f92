"""Fixtures every test may use; importing this starts nothing."""

import logging
from collections.abc import Iterator

import pytest

from services.kernel.telemetry import JsonLogFormatter

pytest_plugins = [
    "tests.support.bigquery_emulator",
    "tests.support.postgres",
    "tests.support.pubsub_emulator",
    "tests.support.services",
]


@pytest.fixture(autouse=True)
def logging_as_python_starts_it() -> Iterator[None]:
    """A service built inside a test process sets up logs for the whole of it, and one that several tests share
    does so before this: every test begins with the same level, whatever was built before."""
    root = logging.getLogger()
    root.setLevel(logging.WARNING)
    yield
    for handler in [each for each in root.handlers if isinstance(each.formatter, JsonLogFormatter)]:
        root.removeHandler(handler)
