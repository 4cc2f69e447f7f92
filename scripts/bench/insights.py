"""The insights endpoints with 10,000 learners and 1,000 items, at 20 clients; and the model's own cost.

    python -m scripts.bench.insights [--learners N] [--requests N]

Every learner is asked about at most once per endpoint, so no answer comes from the service's cache.
"""

import argparse
import asyncio
import json
import math
import random
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import Any

from scripts.bench.load import request, run_load
from scripts.embedded.platform import PROJECT, Options, Platform, running, temporary_directory
from services.insights.adapters.models import Models, record
from services.insights.adapters.projection import PostgresProjection
from services.insights.model.fit import fit
from services.insights.model.history import Answer
from services.insights.model.population import population
from services.insights.ports import Interaction
from services.insights.settings import InsightsSettings
from services.kernel.database.pool import open_pool
from services.kernel.database.unit_of_work import Database
from services.kernel.storage import GoogleCloudStorage

ITEMS, SKILLS, EACH = 1_000, 40, 15
CLIENTS = 20
BATCH = 3_000
TRAINING = 800
ZONE = "Asia/Seoul"
BEGAN = datetime(2026, 3, 2, 9, tzinfo=UTC)


def answers(learners: int) -> Iterator[Interaction]:
    """By learner, in order of time; logit of success = ability + easiness."""
    dice = random.Random(11)
    easiness = [dice.gauss(0.6, 1.1) for _ in range(ITEMS)]
    for learner in range(learners):
        ability = dice.gauss(0, 1)
        for turn in range(EACH):
            number = dice.randrange(ITEMS)
            skills = (f"skill-{number % SKILLS}", f"skill-{number // SKILLS}")
            correct = dice.random() < 1 / (1 + math.exp(-(ability + easiness[number])))
            at = BEGAN + timedelta(hours=turn // 5 * 24 + learner % 24, minutes=3 * (turn % 5))
            subject = "pa" if number % 2 else "stream"
            item = f"item-{number:04d}"
            yield Interaction(f"{learner}-{turn}", f"learner-{learner}", item, subject, "medium", skills, correct, at)


async def fill(platform: Platform, learners: int) -> None:
    """A fitted model in use, and everybody's answers taken in."""
    settings = InsightsSettings.model_validate({"database_url": platform.database_url("insights")})
    database = Database(await open_pool("insights", settings, size=4), "insights")
    objects = GoogleCloudStorage(settings.dataset_bucket, PROJECT)
    try:
        models = Models(database, objects)
        history: dict[str, list[Answer]] = {}
        for entry in islice(answers(learners), TRAINING * EACH):
            history.setdefault(entry.learner, []).append(
                Answer(entry.item, entry.skills, entry.correct, entry.at.timestamp())
            )
        uri = await models.store(fit(history), population(history.values(), ZONE))
        async with database.transaction() as unit:
            await record(unit.connection, uri, accepted=True, trained_until=BEGAN, figures={})
        projection = PostgresProjection(models, ZONE)
        waiting = answers(learners)
        while batch := list(islice(waiting, BATCH)):
            async with database.transaction() as unit:
                await projection.take_in(unit.connection, batch)
        await database.execute("ANALYZE")
    finally:
        await objects.close()
        await database.close()


async def ask(platform: Platform, path: str, learners: int, total: int, **fields: Any) -> dict[str, Any]:
    port = platform.ports["insights"]

    def make(number: int) -> bytes:
        body = {"student_id": f"learner-{number % learners}", **fields}
        return request("POST", path, port, json.dumps(body).encode())

    result = await run_load(port, make, clients=CLIENTS, total=total)
    return dict(result.summary())


def measure(learners: int = 10_000, requests: int = 1_000) -> dict[str, Any]:
    """Latencies per endpoint. Raises PlatformError: the service did not start."""
    import os

    with temporary_directory() as directory, running(Options(directory, services=("insights",))) as platform:
        os.environ["STORAGE_EMULATOR_HOST"] = platform.storage.url
        asyncio.run(fill(platform, learners))
        later = (datetime.now(UTC) + timedelta(days=14)).date().isoformat()
        asked: dict[str, dict[str, Any]] = {
            "/api/recommendations/contents": {"limit": 10},
            "/api/predictions/score": {"subject_id": "pa", "target_date": later},
            "/api/analytics/patterns": {},
        }
        asyncio.run(ask(platform, "/api/analytics/patterns", learners, 200))  # the catalogue and numpy are loaded
        endpoints = {
            path: asyncio.run(ask(platform, path, learners, min(requests, learners), **fields))
            for path, fields in asked.items()
        }
    return {"learners": learners, "items": ITEMS, "clients": CLIENTS, "endpoints": endpoints}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--learners", type=int, default=10_000)
    parser.add_argument("--requests", type=int, default=1_000)
    chosen = parser.parse_args()
    print(json.dumps(measure(chosen.learners, chosen.requests), indent=2))


if __name__ == "__main__":
    main()
