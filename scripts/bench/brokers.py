"""Each broker's client library as it comes, beside the same work through our port.

    python -m scripts.bench.brokers [--messages 10000] [--rounds 3] [--only embedded]

Prints one JSON object: per broker the median messages per second and the ratios ours / bare.
"""

import argparse
import asyncio
import json
import os
import statistics
import tempfile
from datetime import UTC, datetime
from pathlib import Path

from contracts.jobs import JobProgressed, JobType
from contracts.manifest import Subscription
from scripts.embedded.emulator import EmulatorUnavailable
from scripts.embedded.postgres import PostgresServer
from scripts.emulators.pubsub import HOST_VARIABLE, emulator
from services.kernel.messaging.envelope import Envelope, seal

SUBSCRIPTION = Subscription(JobProgressed, "bench")
DEFAULT_MESSAGES = 10_000
DEFAULT_ROUNDS = 3


def measure_embedded(messages: int, rounds: int) -> dict[str, float]:
    """Against a Postgres of its own, with the settings and the durability of the embedded default."""
    from scripts.bench import embedded_broker

    with tempfile.TemporaryDirectory() as directory:
        server = PostgresServer(Path(directory) / "pg")
        with server.lease(destroy=True):
            return _summary(asyncio.run(embedded_broker.measure(server, SUBSCRIPTION, _envelopes(messages), rounds)))


def measure_pubsub(messages: int, rounds: int) -> dict[str, float]:
    """Against an emulator of its own. Raises EmulatorUnavailable."""
    from scripts.bench import pubsub_broker

    with tempfile.TemporaryDirectory() as directory, emulator() as running:
        os.environ[HOST_VARIABLE] = running.host
        server = PostgresServer(Path(directory) / "pg")
        try:
            with server.lease(destroy=True):
                measured = pubsub_broker.measure(server, "bench", SUBSCRIPTION, _envelopes(messages), rounds)
                return _summary(asyncio.run(measured))
        finally:
            del os.environ[HOST_VARIABLE]


def _envelopes(count: int) -> list[Envelope]:
    return [
        seal(
            JobProgressed(
                job_id=f"00000000-0000-4000-8000-{number:012d}",
                job_type=JobType.GRADING,
                fence=1,
                sequence=1,
                progress=number % 101,
                step="comparing answers",
                reported_at=datetime.now(UTC),
            ),
            "grader",
        )
        for number in range(count)
    ]


def _summary(rates: dict[str, list[float]]) -> dict[str, float]:
    medians = {name: round(statistics.median(values)) for name, values in rates.items()}
    return {
        **{f"{name}_per_second": value for name, value in medians.items()},
        "publish_ratio": round(medians["publish"] / medians["bare_publish"], 2),
        "consume_ratio": round(medians["consume"] / medians["bare_consume"], 2),
        "whole_path_ratio": round(medians["path"] / medians["bare_consume"], 2),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure both brokers against their bare client libraries.")
    parser.add_argument("--messages", type=int, default=DEFAULT_MESSAGES)
    parser.add_argument("--rounds", type=int, default=DEFAULT_ROUNDS)
    parser.add_argument("--only", choices=("embedded", "pubsub"))
    options = parser.parse_args()
    results: dict[str, object] = {}
    if options.only != "pubsub":
        results["embedded"] = measure_embedded(options.messages, options.rounds)
    if options.only != "embedded":
        try:
            results["pubsub"] = measure_pubsub(options.messages, options.rounds)
        except EmulatorUnavailable as error:
            results["pubsub"] = {"not_measured": str(error)}
    print(json.dumps(results, indent=2))


if __name__ == "__main__":
    main()
