"""The client always answers, says where from, and asks no more often than it promises."""

import asyncio
from datetime import date

import httpx
import pytest

from services.kernel import insights_client
from services.kernel.insights_client import InsightsClient, InsightsRefused

BODY = {"content_ids": ["a"], "scores": [0.9], "reasoning": []}


class Service:
    """Answers from a script; ``None`` never answers."""

    def __init__(self, *answers: int | None) -> None:
        self.answers = list(answers)
        self.asked = 0
        self.tokens: list[str | None] = []

    async def __call__(self, request: httpx.Request) -> httpx.Response:
        self.asked += 1
        self.tokens.append(request.headers.get("authorization"))
        status = self.answers.pop(0)
        if status is None:
            await asyncio.Event().wait()
        return httpx.Response(status or 0, json=BODY)


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture(autouse=True)
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(insights_client, "delay", lambda *_: 0.0)


def client(service: Service, clock: Clock | None = None, timeout: float = 10.0) -> InsightsClient:
    http = httpx.AsyncClient(transport=httpx.MockTransport(service))
    return InsightsClient(http, "http://insights/", timeout=timeout, clock=clock or Clock())


async def test_an_answer_is_kept_for_300_seconds() -> None:
    service, clock = Service(200, 200), Clock()
    asking = client(service, clock)
    assert (await asking.contents("mina")).source == "service"
    clock.now = 299.0
    kept = await asking.contents("mina")
    assert (kept.source, kept.body, service.asked) == ("cache", BODY, 1)
    clock.now = 300.0
    assert (await asking.contents("mina")).source == "service"


async def test_two_retries_then_a_fallback_that_says_so() -> None:
    service = Service(503, 500, 429)
    answer = await client(service).contents("mina", limit=2, basics=("x", "y", "z"))
    assert service.asked == 3
    assert answer.source == "fallback"
    assert answer.body["content_ids"] == ["x", "y"]
    assert answer.body["basis"] == "fallback"
    assert set(answer.body["note"]) == {"ko", "en"}


async def test_a_retry_may_succeed_and_a_fallback_is_never_kept() -> None:
    service = Service(503, 503, 503, 503, 200)
    asking = client(service)
    assert (await asking.patterns("mina")).source == "fallback"
    assert (await asking.patterns("mina")).source == "service"
    assert service.asked == 5


async def test_a_silent_service_is_not_waited_for() -> None:
    service = Service(None, None, None)
    answer = await client(service, timeout=0.01).score("mina", "pa", date(2026, 12, 1))
    assert answer.source == "fallback"
    assert (answer.body["confidence"]["low"], answer.body["confidence"]["high"]) == (0.0, 1.0)


async def test_a_refusal_is_the_callers_to_hear() -> None:
    service = Service(422)
    with pytest.raises(InsightsRefused, match="422"):
        await client(service).patterns("")
    assert service.asked == 1


async def test_what_one_may_know_is_not_kept_for_another() -> None:
    service = Service(200, 200, 403)
    asking = client(service)
    for token in ("of-mina", "", "of-mina"):
        await asking.patterns("mina", token=token)
    assert service.tokens == ["Bearer of-mina", None]
    with pytest.raises(InsightsRefused, match="403"):
        await asking.patterns("mina", token="of-juno")
