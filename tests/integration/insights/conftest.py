"""The insights service's database and parts, a running service, and learners who answer by a known rule."""

import json
import math
import random
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from contracts.jobs import JobRequested
from contracts.message import Message
from contracts.problems import LocaleHints, LocaleText, ProblemPublished, Provenance
from contracts.submissions import SubmissionGraded
from scripts.embedded.ports import free_port
from scripts.embedded.storage import StorageEmulator
from services.insights.adapters.models import Models
from services.insights.adapters.projection import PostgresProjection
from services.insights.bootstrap import build
from services.insights.handlers import interaction_of
from services.insights.settings import InsightsSettings
from services.kernel.database.unit_of_work import Database
from services.kernel.jobs.requests import CALLER_ROLES
from services.kernel.messaging.envelope import seal
from services.kernel.runtime import Service
from services.kernel.storage import GoogleCloudStorage
from tests.support.running import TOKEN_KEY, bearer, up
from tests.support.services import delivery_of, job_requested, let_go_of_sockets, until

ZONE = "Asia/Seoul"
BEGAN = datetime(2026, 3, 2, 9, tzinfo=UTC)
SKILLS = ("select", "join", "group-by", "window", "subquery", "date")


@pytest.fixture
def models(database: Database, objects: GoogleCloudStorage) -> Models:
    return Models(database, objects)


@pytest.fixture
def projection(models: Models) -> PostgresProjection:
    return PostgresProjection(models, ZONE)


def item_id(number: int) -> str:
    return f"item-{number:03d}"


def skill_of(number: int) -> str:
    return SKILLS[number % len(SKILLS)]


def published(number: int, **changes: Any) -> ProblemPublished:
    return ProblemPublished(
        **{
            "problem_id": item_id(number),
            "problem_date": "2026-03-01",
            "data_type": "pa" if number % 2 else "stream",
            "set_index": 0,
            "difficulty": "medium",
            "title": LocaleText(ko=f"문제 {number}", en=f"Problem {number}"),
            "description": LocaleText(ko="", en=""),
            "initial_sql": "",
            "expected_answer": "{}",
            "hints": LocaleHints(ko=[], en=[]),
            "tags": [skill_of(number)],
            "ddl": [],
            "reference_sql": "SELECT 1",
            "ordered": False,
            "datasets": [],
            "provenance": Provenance(source="offline", seed=1),
            "published_at": BEGAN,
            **changes,
        }
    )


def graded(learner: str, number: int, correct: bool, minutes: float, **changes: Any) -> SubmissionGraded:
    return SubmissionGraded(
        **{
            "submission_id": str(uuid.uuid4()),
            "job_id": str(uuid.uuid4()),
            "problem_id": item_id(number),
            "user_id": learner,
            "data_type": "pa" if number % 2 else "stream",
            "difficulty": "medium",
            "tags": [skill_of(number)],
            "verdict": "correct" if correct else "wrong",
            "score": float(correct),
            "attempt": 1,
            "duration_ms": 5,
            "graded_at": BEGAN + timedelta(minutes=minutes),
            **changes,
        }
    )


def answers_of(learners: int, each: int, seed: int = 1, items: int = 60) -> list[SubmissionGraded]:
    """Learners of different ability on items of different easiness: logit = ability + easiness, in time order."""
    dice = random.Random(seed)
    abilities = [dice.gauss(0, 1) for _ in range(learners)]
    easiness = [dice.gauss(0.5, 1.2) for _ in range(items)]
    found = []
    for turn in range(each):
        for learner, ability in enumerate(abilities):
            number = dice.randrange(items)
            chance = 1 / (1 + math.exp(-(ability + easiness[number])))
            at = 3 * turn + 0.01 * learner
            found.append(graded(f"learner-{learner:03d}", number, dice.random() < chance, at))
    return found


async def take_in(database: Database, projection: PostgresProjection, messages: list[SubmissionGraded]) -> None:
    async with database.transaction() as unit:
        await projection.take_in(unit.connection, [interaction_of(message) for message in messages])


async def picture(database: Database) -> tuple[list[Any], list[Any]]:
    """All that the projection says, but for versions, rounded against the order of additions."""
    learners = await database.fetch(
        "SELECT id, state::text, activity::text, last_at, last_id FROM learners ORDER BY id"
    )
    items = await database.fetch(
        "SELECT id, subject, skills, round(gap::numeric, 9), round(information::numeric, 9) FROM items ORDER BY id"
    )
    return [tuple(row) for row in learners], [tuple(row) for row in items]


@dataclass
class Running:
    service: Service
    url: str

    @property
    def database(self) -> Database:
        return self.service.database

    async def publish(self, *messages: Message, source: str = "grader") -> None:
        envelopes = [seal(message, source) for message in messages]
        assert await self.service.broker.publish(envelopes) == [None] * len(envelopes)

    async def followed(self, answers: int) -> None:
        async def there() -> bool:
            found = await self.database.pool.fetchval("SELECT count(*) FROM interactions WHERE residual IS NOT NULL")
            return bool(found >= answers)

        await until(there)

    async def job(self, job_type: str, query: Any, **fields: Any) -> dict[str, Any]:
        """``roles``: of the sender ``user_id``, an administrator unless said otherwise."""
        roles = fields.pop("roles", ["admin"])
        options = {**fields.pop("options", {}), "metadata": {CALLER_ROLES: roles} if roles else {}}
        return await self.end_of(job_requested(job_type, query, **{"user_id": "root", **fields}, options=options))

    async def end_of(self, request: JobRequested) -> dict[str, Any]:
        """The end of a job: its result, or {"failed": code, "message": text}."""
        [worker] = self.service.workers
        assert await worker.dispatch(delivery_of(request)) == "ack"
        rows = await self.database.fetch("SELECT outcome FROM job_runs WHERE job_id = $1::text::uuid", request.job_id)
        outcome = json.loads(rows[0]["outcome"])
        if outcome["status"] == "succeeded":
            result: dict[str, Any] = outcome["result"]
            return result
        return {"failed": outcome["code"], "message": outcome["message"]}


@asynccontextmanager
async def running(url: str, **changes: Any) -> AsyncIterator[Running]:
    settings = InsightsSettings(
        **{"database_url": url, "http_port": free_port(), "log_level": "ERROR", "lease_seconds": 5.0, **changes}
    )
    service = await build(settings)
    try:
        async with up(service) as (address, _):
            yield Running(service, address)
    finally:
        let_go_of_sockets()


@pytest.fixture
async def insights(
    database_url: str, storage_emulator: StorageEmulator, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Running]:
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", storage_emulator.url)
    async with running(database_url, cors_origins=("https://learn.example",), identity_key=TOKEN_KEY) as service:
        yield service


@pytest.fixture
async def http(insights: Running) -> AsyncIterator[httpx.AsyncClient]:
    """A member of staff's."""
    async with httpx.AsyncClient(base_url=insights.url, timeout=30, headers=bearer("kim", "staff")) as client:
        yield client
