"""Hints and explanations in a model's words: real requests to a stand-in for Gemini, checked before a learner reads."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

from scripts.emulators import gemini as says
from scripts.emulators.gemini import GeminiStub, Reply, Request
from services.grader.adapters.model_wording import ModelWording
from services.kernel.database.unit_of_work import Database
from services.kernel.jobs.worker import Worker
from services.kernel.llm.call_log import PostgresCallLog
from services.kernel.llm.calling import AccountedCalls
from services.kernel.llm.catalogue import Catalogue, Limits, Model, Purpose
from services.kernel.llm.ledger import QuotaLedger
from services.kernel.llm.router import Manners, ModelRouter
from tests.integration.grader.conftest import RIGHT, SECRETS, WRONG, Publish, submit

ROOMY = Limits(1_000, 10_000_000, 1_000)
CATALOGUE = Catalogue(
    {name: Model(name, ROOMY) for name in ("hinter", "explainer")},
    {purpose: ("explainer",) if purpose is Purpose.ERROR else ("hinter",) for purpose in Purpose},
)
GOOD = {"ko": "짝이 없는 회원도 나와야 하는지 살펴보세요.", "en": "Ask whether members without a partner belong here."}


@pytest.fixture
def stub(monkeypatch: pytest.MonkeyPatch) -> Iterator[GeminiStub]:
    with GeminiStub() as stub:
        monkeypatch.setenv("GOOGLE_GEMINI_BASE_URL", stub.url)
        stub.answer_with(worded)
        yield stub


@pytest.fixture
async def wording(database: Database, stub: GeminiStub) -> AsyncIterator[ModelWording]:
    from services.kernel.llm.gemini import GeminiClient

    client, log = GeminiClient("stub-key"), PostgresCallLog(database)
    router = ModelRouter(
        CATALOGUE, AccountedCalls(client, QuotaLedger(database), log), log, Manners(backoff=0.001, patience=0.1)
    )
    wording = ModelWording(router, patience=20.0)
    yield wording
    await wording.close()
    await client.close()


def worded(request: Request) -> Reply:
    """A model that words every item alike."""
    if "answers" not in request.schema["properties"]:
        return says.good(GOOD)
    items = request.content.count("Item ")
    return says.good({"answers": [{"number": n, "answer": GOOD} for n in range(1, items + 1)]})


async def wrong(worker: Worker, database: Database, publish: Publish, sql: str = WRONG) -> dict[str, Any]:
    problem = await publish()
    return await submit(worker, database, problem.problem_id, sql)


async def test_a_hint_comes_in_the_models_words_and_the_verdict_is_the_judges(
    worker: Worker, database: Database, publish: Publish, stub: GeminiStub
) -> None:
    result = await wrong(worker, database, publish)
    assert (result["verdict"], result["hint"]) == ("wrong", GOOD)
    assert result["wording"]["source"] == "model"
    [request] = stub.requests
    assert request.model == "hinter"
    assert WRONG in request.content
    assert not [secret for secret in SECRETS if secret in request.content + request.instruction]


async def test_an_error_is_explained_by_the_model_for_errors(
    worker: Worker, database: Database, publish: Publish, stub: GeminiStub
) -> None:
    result = await wrong(worker, database, publish, "SELECT countri FROM members")
    assert (result["explanation"], result["wording"]["source"]) == (GOOD, "model")
    assert result["error"]["code"] == "unknown_column"
    assert [request.model for request in stub.requests] == ["explainer"]


async def test_a_right_answer_asks_nobody(
    worker: Worker, database: Database, publish: Publish, stub: GeminiStub
) -> None:
    assert (await wrong(worker, database, publish, RIGHT))["verdict"] == "correct"
    assert stub.requests == []


@pytest.mark.parametrize(
    ("english", "why"),
    [
        ("You need LEFT JOIN orders there.", "a part of the reference"),
        ("Compare with 17.25 instead.", "a part of the reference"),
        ("Try SELECT country FROM members.", "SQL"),
        ("Your answer is correct.", "a right answer"),
    ],
)
async def test_words_that_give_away_or_pass_are_dropped_for_the_offline_ones(
    worker: Worker, database: Database, publish: Publish, stub: GeminiStub, english: str, why: str
) -> None:
    stub.answer_with(lambda _: says.good({**GOOD, "en": english}))
    result = await wrong(worker, database, publish)
    assert result["verdict"] == "wrong"
    assert english not in str(result)
    assert (result["wording"]["source"], why in result["wording"]["why"]) == ("offline", True)
    assert result["hint"]["en"]


async def test_a_model_that_fails_costs_the_words_and_not_the_verdict(
    worker: Worker, database: Database, publish: Publish, stub: GeminiStub
) -> None:
    stub.answer_with(lambda _: Reply(403, b"{}"))
    result = await wrong(worker, database, publish)
    assert (result["verdict"], result["wording"]["source"]) == ("wrong", "offline")
    assert result["wording"]["why"]
    assert result["hint"]["ko"]


async def test_learners_who_wait_at_once_share_calls(
    worker: Worker, database: Database, publish: Publish, stub: GeminiStub
) -> None:
    problem = await publish()
    arrived = asyncio.Event()
    loop = asyncio.get_running_loop()

    def slow_at_first(request: Request) -> Reply:
        loop.call_soon_threadsafe(arrived.set)
        return worded(request).after(1.0 if len(stub.requests) == 1 else 0.0)

    stub.answer_with(slow_at_first)
    answers = [f"SELECT countr{n} FROM members" for n in range(6)]
    first = asyncio.create_task(submit(worker, database, problem.problem_id, answers[0]))
    await arrived.wait()
    results = [*await asyncio.gather(*(submit(worker, database, problem.problem_id, sql) for sql in answers[1:]))]
    results.append(await first)
    assert [result["wording"]["source"] for result in results] == ["model"] * 6
    assert len(stub.requests) < 6
