"""The task "judge": verdicts from inside a worker, on stored data sets and on those sent along."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from services.kernel.sql.judge import JudgeRequest
from services.kernel.sql.sandbox import DatasetFiles, Limits, SandboxPool, TaskFailed
from services.kernel.sql.schema import Schema

DDL = ["CREATE TABLE orders (id INTEGER PRIMARY KEY, amount INTEGER NOT NULL)"]
ROWS = {"orders": [{"id": 1, "amount": 49}, {"id": 2, "amount": 50}, {"id": 3, "amount": 51}]}
REFERENCE = "SELECT id FROM orders WHERE amount >= 50"
LIMITS = Limits(wall_seconds=20, cpu_seconds=10)


@pytest.fixture
async def pool() -> AsyncIterator[SandboxPool]:
    async with SandboxPool(1) as pool:
        yield pool


async def judged(pool: SandboxPool, answer: str, **extra: Any) -> dict[str, Any]:
    request = JudgeRequest(Schema.from_ddl(DDL), REFERENCE, answer, search=False, budget_ms=5_000)
    verdict: dict[str, Any] = await pool.call("judge", {**request.to_json(), **extra}, LIMITS)
    return verdict


@pytest.mark.parametrize(
    ("answer", "outcome"),
    [
        ("SELECT id FROM orders WHERE NOT amount < 50", "equivalent"),
        ("SELECT id FROM orders WHERE amount > 50", "different"),
    ],
)
async def test_an_answer_is_judged_on_a_stored_data_set(pool: SandboxPool, answer: str, outcome: str) -> None:
    await pool.store("small", DatasetFiles.rows(DDL, ROWS))
    verdict = await judged(pool, answer, stored=["small"])
    assert verdict["outcome"] == outcome
    assert [score["name"] for score in verdict["datasets"]] == ["small"]


async def test_an_answer_is_judged_on_data_sent_along(pool: SandboxPool) -> None:
    verdict = await judged(pool, "SELECT id FROM orders WHERE amount > 50", datasets=[{"name": "sent", "tables": ROWS}])
    assert verdict["outcome"] == "different"
    assert verdict["counterexample"]["tables"]["orders"]


async def test_an_answer_the_guard_refuses_is_not_run(pool: SandboxPool) -> None:
    with pytest.raises(TaskFailed) as caught:
        await judged(pool, "SELECT id FROM orders; DROP TABLE orders")
    assert (caught.value.code, caught.value.details["code"]) == ("refused", "multiple_statements")


async def test_a_data_set_that_is_not_stored_is_named(pool: SandboxPool) -> None:
    with pytest.raises(TaskFailed, match="'lost'") as caught:
        await judged(pool, REFERENCE, stored=["lost"])
    assert caught.value.code == "unknown_dataset"
