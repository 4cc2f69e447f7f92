"""Fixtures every test may use; importing this starts nothing."""

pytest_plugins = ["tests.support.postgres", "tests.support.pubsub_emulator", "tests.support.services"]
