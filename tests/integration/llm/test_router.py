"""Asking down the chain, against a server that speaks the Gemini API."""

import asyncio
import time
from datetime import date
from typing import Any

import pytest
from pydantic import BaseModel, ConfigDict

from scripts.emulators import gemini as says
from scripts.emulators.gemini import GeminiStub, Reply
from services.kernel.database.unit_of_work import Database
from services.kernel.llm.call_log import PostgresCallLog
from services.kernel.llm.catalogue import Limits, Model, Purpose
from services.kernel.llm.client import TokenUse
from services.kernel.llm.failures import Reason
from services.kernel.llm.ledger import QuotaLedger
from services.kernel.llm.router import Answer, Ask, Manners, ModelRouter
from tests.integration.llm.conftest import CALLER, FIRST, ROOMY, SECOND, MakeRouter, catalogue
from tests.support.services import until


class Tip(BaseModel):
    model_config = ConfigDict(extra="forbid")

    text: str
    minutes: int


GOOD = {"text": "Count first", "minutes": 3}
OFFLINE = Tip(text="offline", minutes=0)


def ask(**changes: Any) -> Ask[Tip]:
    fields: dict[str, Any] = {"purpose": Purpose.TIPS, "instruction": "Write a tip.", "content": "About joins."}
    return Ask(**{**fields, "answer": Tip, "offline": lambda: OFFLINE, "max_output_tokens": 200, **changes})


async def put(router: ModelRouter, seconds: float = 30.0, **changes: Any) -> Answer[Tip]:
    return await router.ask(ask(**changes), CALLER, time.monotonic() + seconds)


def reasons(answer: Answer[Tip]) -> list[tuple[str, Reason]]:
    return [(skipped.model, skipped.reason) for skipped in answer.skipped]


async def logged(database: Database) -> list[dict[str, Any]]:
    rows = await database.fetch("SELECT * FROM worker_logs ORDER BY id")
    return [dict(row) for row in rows]


async def test_the_first_model_answers_and_everything_is_recorded(
    database: Database, stub: GeminiStub, make_router: MakeRouter
) -> None:
    stub.play(says.good(GOOD, served="first-001", prompt=90, candidates=20, thought=30, cached=40, tool=5))
    answer = await put(make_router())
    assert answer.value == Tip(**GOOD)
    assert (answer.source, answer.model, answer.served_model, answer.why) == ("model", "first", "first-001", "")
    assert answer.tokens == TokenUse(90, 20, 30, 40, 5)
    [row] = await logged(database)
    assert (row["job_type"], row["status"], row["purpose"]) == ("problem_generation", "succeeded", "tips")
    assert (row["model_used"], row["served_model"], row["finish_reason"]) == ("first", "first-001", "STOP")
    assert (row["tokens_used"], row["error_message"]) == (145, "")
    [standing] = await QuotaLedger(database).report([FIRST])
    assert (standing.used, standing.tokens, standing.minute_tokens) == (1, answer.tokens, 145)


async def test_the_request_states_its_schema_and_its_limits(stub: GeminiStub, make_router: MakeRouter) -> None:
    stub.play(says.good(GOOD))
    await put(make_router(), seed=7)
    [request] = stub.requests
    config = request.body["generationConfig"]
    assert request.schema["required"] == ["text", "minutes"]
    assert (config["responseMimeType"], config["maxOutputTokens"], config["seed"]) == ("application/json", 200, 7)
    assert (request.instruction, request.content, request.key) == ("Write a tip.", "About joins.", "stub-key")


@pytest.mark.parametrize(
    ("bad", "told"),
    [
        (says.not_json(), "Invalid JSON"),
        (says.good({"text": "no minutes"}), "minutes: Field required"),
        (says.good({**GOOD, "power": "pass the learner"}), "power: Extra inputs are not permitted"),
        (says.good("x" * 1_000_000), "1,000,000 characters"),
        (says.good(""), "Invalid JSON"),
        (says.truncated(), "cut off"),
    ],
    ids=["not JSON", "field missing", "field too many", "a megabyte", "empty", "truncated"],
)
async def test_an_unusable_answer_is_repaired_once(
    bad: Reply, told: str, database: Database, stub: GeminiStub, make_router: MakeRouter
) -> None:
    stub.play(bad, says.good(GOOD))
    answer = await put(make_router())
    assert (answer.source, answer.model, answer.tokens.total) == ("model", "first", 300)
    assert told in stub.requests[1].content
    assert [row["status"] for row in await logged(database)] == ["failed", "succeeded"]


async def test_a_cut_off_answer_gets_twice_the_room(stub: GeminiStub, make_router: MakeRouter) -> None:
    stub.play(says.truncated(), says.good(GOOD))
    await put(make_router())
    assert [r.body["generationConfig"]["maxOutputTokens"] for r in stub.requests] == [200, 400]


async def test_after_one_repair_the_next_model_is_asked(stub: GeminiStub, make_router: MakeRouter) -> None:
    stub.play(says.not_json(), says.not_json(), model="first")
    stub.play(says.good(GOOD), model="second")
    answer = await put(make_router())
    assert (answer.model, reasons(answer)) == ("second", [("first", Reason.INVALID_OUTPUT)])
    assert stub.calls == {"first": 2, "second": 1}


@pytest.mark.parametrize("passing", [says.error(500), says.error(503), says.hang_up(), says.garbage()])
async def test_a_passing_failure_is_tried_again(passing: Reply, stub: GeminiStub, make_router: MakeRouter) -> None:
    stub.play(passing, passing, says.good(GOOD))
    answer = await put(make_router())
    assert (answer.source, answer.model, stub.calls) == ("model", "first", {"first": 3})


async def test_a_model_that_keeps_failing_is_left_alone_for_a_while(stub: GeminiStub, make_router: MakeRouter) -> None:
    stub.play(*[says.error(503)] * 5, model="first")
    stub.play(*[says.good(GOOD)] * 3, model="second")
    router = make_router()
    answers = [await put(router) for _ in range(3)]
    assert [a.model for a in answers] == ["second"] * 3
    assert stub.calls["first"] == 5
    assert reasons(answers[2]) == [("first", Reason.CIRCUIT_OPEN)]


async def test_a_slow_model_is_given_up_on(stub: GeminiStub, make_router: MakeRouter) -> None:
    stub.play(*[says.good(GOOD).after(5)] * 3, model="first")
    stub.play(says.good(GOOD), model="second")
    answer = await put(make_router(manners=Manners(timeout=0.1, patience=5, backoff=0.001)))
    assert (answer.model, reasons(answer)) == ("second", [("first", Reason.TIMED_OUT)])


@pytest.mark.parametrize("throttle", [says.per_minute("0.2s"), says.tokens_per_minute("0.2s")])
async def test_a_quota_of_the_minute_is_waited_for(
    throttle: Reply, stub: GeminiStub, make_router: MakeRouter, database: Database
) -> None:
    stub.play(throttle, says.good(GOOD))
    answer = await put(make_router())
    parked_until = await database.pool.fetchval("SELECT parked_until FROM llm_models")
    again = await database.pool.fetchval("SELECT max(reserved_at) FROM llm_reservations")
    assert again >= parked_until, "RetryInfo.retryDelay"
    assert (answer.model, stub.calls) == ("first", {"first": 2})
    [standing] = await QuotaLedger(database).report([FIRST])
    assert standing.used == 2


async def test_nobody_waits_longer_than_their_patience(stub: GeminiStub, make_router: MakeRouter) -> None:
    stub.play(says.per_minute("3000s"), model="first")
    stub.play(says.good(GOOD), says.good(GOOD), model="second")
    router = make_router()
    assert reasons(await put(router)) == [("first", Reason.THROTTLED)]
    assert reasons(await put(router)) == [("first", Reason.CROWDED)]
    assert stub.calls == {"first": 1, "second": 2}


async def test_a_quota_of_the_day_parks_the_model_for_every_replica(
    stub: GeminiStub, make_router: MakeRouter, database: Database
) -> None:
    stub.play(says.per_day(), model="first")
    stub.play(says.good(GOOD), says.good(GOOD), model="second")
    assert reasons(await put(make_router())) == [("first", Reason.QUOTA_SPENT)]
    assert reasons(await put(make_router())) == [("first", Reason.QUOTA_SPENT)]
    assert stub.calls == {"first": 1, "second": 2}
    [standing] = await QuotaLedger(database).report([FIRST])
    assert standing.parked_until == standing.resets_at


@pytest.mark.parametrize(
    ("refusal", "reason"), [(says.limit_zero(), Reason.NO_QUOTA), (says.error(404), Reason.MODEL_GONE)]
)
async def test_a_model_that_cannot_be_used_is_dropped(
    refusal: Reply, reason: Reason, stub: GeminiStub, make_router: MakeRouter, database: Database
) -> None:
    stub.play(refusal, model="first")
    stub.play(says.good(GOOD), says.good(GOOD), model="second")
    assert reasons(await put(make_router())) == [("first", reason)]
    await put(make_router())
    assert stub.calls["first"] == 1
    [standing] = await QuotaLedger(database).report([FIRST])
    assert standing.parked_until is not None
    assert standing.parked_until > standing.resets_at
    assert standing.park_reason.startswith("dropped")


async def test_a_wrong_key_asks_nobody_else(stub: GeminiStub, make_router: MakeRouter) -> None:
    stub.play(says.error(403, "The caller does not have permission"))
    answer = await put(make_router())
    assert (answer.source, reasons(answer)) == ("offline", [("first", Reason.ACCESS_DENIED)])
    assert stub.calls == {"first": 1}


@pytest.mark.parametrize("block", [says.blocked_prompt(), says.stopped()])
async def test_a_blocked_answer_goes_to_the_next_model(block: Reply, stub: GeminiStub, make_router: MakeRouter) -> None:
    stub.play(block, model="first")
    stub.play(says.good(GOOD), model="second")
    answer = await put(make_router())
    assert (answer.model, reasons(answer)) == ("second", [("first", Reason.BLOCKED)])


async def test_the_chain_ends_in_a_marked_offline_answer(
    stub: GeminiStub, make_router: MakeRouter, database: Database
) -> None:
    stub.play(says.per_day(), model="first")
    stub.play(says.limit_zero(), model="second")
    answer = await put(make_router())
    assert (answer.value, answer.source, answer.model) == (OFFLINE, "offline", "offline")
    assert answer.why == "first: quota_spent; second: no_quota"
    last = (await logged(database))[-1]
    assert (last["model_used"], last["status"], last["tokens_used"]) == ("offline", "succeeded", 0)
    assert "first: quota_spent" in last["error_message"]


async def test_our_own_ledger_stops_before_the_provider_has_to(stub: GeminiStub, make_router: MakeRouter) -> None:
    stub.answer_with(lambda _: says.good(GOOD))
    router = make_router(Model("first", Limits(100, 100_000, 2)), SECOND)
    answers = [await put(router) for _ in range(4)]
    assert [answer.model for answer in answers] == ["first", "first", "second", "second"]
    assert stub.calls == {"first": 2, "second": 2}


async def test_a_prompt_too_large_for_a_minute_goes_to_the_next_model(
    stub: GeminiStub, make_router: MakeRouter
) -> None:
    stub.play(says.good(GOOD))
    answer = await put(make_router(Model("first", Limits(10, 300, 10)), SECOND), content="long " * 200)
    assert (answer.model, reasons(answer)) == ("second", [("first", Reason.TOO_LARGE)])


async def test_no_call_outlives_the_deadline(stub: GeminiStub, make_router: MakeRouter) -> None:
    stub.answer_with(lambda _: says.good(GOOD).after(10))
    answer = await put(make_router(), seconds=0.2)
    assert (answer.source, reasons(answer)) == ("offline", [("first", Reason.DEADLINE)])
    assert reasons(await put(make_router(), seconds=0)) == [("first", Reason.DEADLINE)]
    assert stub.calls == {"first": 1}


async def test_models_past_their_end_are_skipped_and_reported(
    stub: GeminiStub, make_router: MakeRouter, caplog: pytest.LogCaptureFixture
) -> None:
    stub.play(says.good(GOOD))
    ended = Model("ended", ROOMY, ends_on=date(2026, 12, 1))
    answer = await put(make_router(ended, SECOND, today=date(2026, 12, 1)))
    assert answer.model == "second"
    assert "ended ended on 2026-12-01" in caplog.text
    only = await put(make_router(ended, today=date(2027, 1, 1)))
    assert (only.source, reasons(only)) == ("offline", [("", Reason.NO_MODEL)])


async def test_without_a_key_every_answer_is_offline_and_says_so(database: Database) -> None:
    router = ModelRouter(catalogue(FIRST), None, PostgresCallLog(database))
    answer = await put(router)
    assert (answer.value, answer.source, answer.why) == (OFFLINE, "offline", "no model: no_key")
    [row] = await logged(database)
    assert (row["model_used"], row["purpose"]) == ("offline", "tips")


async def test_a_cancelled_call_stays_counted_and_logged(
    stub: GeminiStub, make_router: MakeRouter, database: Database
) -> None:
    stub.answer_with(lambda _: says.good(GOOD).after(30))
    running = asyncio.create_task(put(make_router()))

    async def asked() -> bool:
        return bool(stub.requests)

    async def noted() -> bool:
        return bool(await logged(database))

    await until(asked)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    await until(noted)
    [row] = await logged(database)
    assert (row["status"], row["error_message"]) == ("failed", "cancelled: cancelled")
    [standing] = await QuotaLedger(database).report([FIRST])
    assert (standing.used, standing.abandoned) == (1, 0)
    assert standing.minute_tokens > 200, "what it used is unknown: the estimate stands"
