"""The Gemini API as google-genai speaks it: what goes over the wire, and what each answer means to us."""

from collections.abc import AsyncIterator, Iterator

import pytest

from scripts.emulators import gemini as says
from scripts.emulators.gemini import GeminiStub, Reply
from services.kernel.llm.client import ModelReply, ModelRequest, TokenUse
from services.kernel.llm.failures import ModelFailure, Reason, UnusableAnswer
from services.kernel.llm.gemini import GeminiClient

SCHEMA = {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]}
REQUEST = ModelRequest("gemini-2.5-flash", "Be brief.", "말해 주세요", SCHEMA, 100, temperature=0.2, seed=3)


@pytest.fixture
def stub(monkeypatch: pytest.MonkeyPatch) -> Iterator[GeminiStub]:
    with GeminiStub() as stub:
        monkeypatch.setenv("GOOGLE_GEMINI_BASE_URL", stub.url)
        yield stub


@pytest.fixture
async def client(stub: GeminiStub) -> AsyncIterator[GeminiClient]:
    client = GeminiClient("the-key")
    yield client
    await client.close()


async def test_the_request_as_the_api_documents_it(stub: GeminiStub, client: GeminiClient) -> None:
    stub.play(says.good({"a": 1}))
    await client.generate(REQUEST, 5.0)
    [request] = stub.requests
    assert request.model == "gemini-2.5-flash"
    assert request.key == "the-key"
    assert request.body["contents"] == [{"role": "user", "parts": [{"text": "말해 주세요"}]}]
    assert request.body["systemInstruction"]["parts"] == [{"text": "Be brief."}]
    assert request.body["generationConfig"] == {
        "temperature": 0.2,
        "seed": 3,
        "maxOutputTokens": 100,
        "responseMimeType": "application/json",
        "responseJsonSchema": SCHEMA,
    }


async def test_the_answer_with_its_tokens_and_who_served_it(stub: GeminiStub, client: GeminiClient) -> None:
    stub.play(says.good({"a": 1}, served="gemini-3.6-flash-002", prompt=9, candidates=2, thought=5, cached=4, tool=1))
    assert await client.generate(REQUEST, 5.0) == ModelReply(
        '{"a": 1}', "STOP", "gemini-3.6-flash-002", TokenUse(prompt=9, candidates=2, thought=5, cached=4, tool=1)
    )


async def test_one_call_is_one_request(stub: GeminiStub, client: GeminiClient) -> None:
    stub.play(says.error(503), says.error(503))
    with pytest.raises(ModelFailure):
        await client.generate(REQUEST, 5.0)
    assert stub.calls.total() == 1, "the SDK repeats nothing by itself: the ledger counts requests"


@pytest.mark.parametrize(
    ("reply", "reason"),
    [
        (says.error(400), Reason.REQUEST_REFUSED),
        (
            says.error(400, "API key not valid", details=[{"@type": "ErrorInfo", "reason": "API_KEY_INVALID"}]),
            Reason.ACCESS_DENIED,
        ),
        (says.error(401), Reason.ACCESS_DENIED),
        (says.error(403), Reason.ACCESS_DENIED),
        (says.error(404), Reason.MODEL_GONE),
        (says.error(408), Reason.UNAVAILABLE),
        (says.per_minute(), Reason.THROTTLED),
        (says.tokens_per_minute(), Reason.THROTTLED),
        (says.per_day(), Reason.QUOTA_SPENT),
        (says.limit_zero(), Reason.NO_QUOTA),
        (Reply(429, b"not JSON"), Reason.THROTTLED),
        (Reply(429, b"[]"), Reason.THROTTLED),
        (says.error(500), Reason.UNAVAILABLE),
        (says.error(503), Reason.UNAVAILABLE),
        (Reply(502, b"<html>"), Reason.UNAVAILABLE),
        (says.hang_up(), Reason.UNAVAILABLE),
        (says.garbage(), Reason.UNAVAILABLE),
        (Reply(body=b'{"candidates": 5}'), Reason.UNAVAILABLE),
        (Reply(body=b"\xff\xfe\x00"), Reason.UNAVAILABLE),
        (Reply(302, headers={"location": "http://127.0.0.1:1/elsewhere"}), Reason.REQUEST_REFUSED),
        (says.good({"a": 1}).after(10.0), Reason.TIMED_OUT),
    ],
)
async def test_what_a_failure_means(reply: Reply, reason: Reason, stub: GeminiStub, client: GeminiClient) -> None:
    stub.play(reply)
    with pytest.raises(ModelFailure) as caught:
        await client.generate(REQUEST, 0.5 if reply.delay else 10.0)
    assert caught.value.reason is reason
    assert "the-key" not in str(caught.value)


async def test_a_503_may_say_when_to_come_back(stub: GeminiStub, client: GeminiClient) -> None:
    refused = says.error(503)
    stub.play(Reply(503, refused.body, headers={"retry-after": "7"}))
    with pytest.raises(ModelFailure) as caught:
        await client.generate(REQUEST, 5.0)
    assert caught.value.retry_after == 7.0


@pytest.mark.parametrize(
    ("reply", "reason"),
    [
        (says.blocked_prompt(), Reason.BLOCKED),
        (says.stopped("SAFETY"), Reason.BLOCKED),
        (says.stopped("RECITATION"), Reason.BLOCKED),
        (Reply(body=b"{}"), Reason.INVALID_OUTPUT),
        (says.good("x" * 1_000_000), Reason.INVALID_OUTPUT),
    ],
)
async def test_answers_of_no_use_still_tell_what_they_cost(
    reply: Reply, reason: Reason, stub: GeminiStub, client: GeminiClient
) -> None:
    stub.play(reply)
    with pytest.raises(UnusableAnswer) as caught:
        await client.generate(REQUEST, 5.0)
    assert caught.value.reason is reason
    assert (caught.value.tokens.total > 0) is (reply.body != b"{}")
    assert len(str(caught.value)) < 300


async def test_half_a_surrogate_pair_becomes_text(stub: GeminiStub, client: GeminiClient) -> None:
    stub.play(Reply(body=b'{"candidates": [{"content": {"parts": [{"text": "\\ud800!"}]}, "finishReason": "STOP"}]}'))
    assert (await client.generate(REQUEST, 5.0)).text == "?!"


async def test_thoughts_are_no_part_of_the_answer(stub: GeminiStub, client: GeminiClient) -> None:
    parts = b'[{"text": "hmm", "thought": true}, {"text": "{\\"a\\": "}, {"text": "1}"}]'
    stub.play(Reply(body=b'{"candidates": [{"content": {"parts": ' + parts + b'}, "finishReason": "STOP"}]}'))
    assert (await client.generate(REQUEST, 5.0)).text == '{"a": 1}'
