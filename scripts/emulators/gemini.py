"""A real HTTP server that speaks the Gemini API's generateContent, scripted per request.

The SDK reaches it through its own setting, GOOGLE_GEMINI_BASE_URL (``GeminiStub.url``). Use as ``with GeminiStub() as
stub``; it runs on a thread with an event loop of its own, so that clients in any process can call it.
"""

from __future__ import annotations

import asyncio
import json
import re
import threading
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self

_PATH = re.compile(r"^/v1(?:beta)?/models/([^/:]+):generateContent$")


@dataclass(frozen=True)
class Request:
    """``content``: the prompt's text; ``instruction``: the system instruction's; ``body``: all of the JSON."""

    model: str
    content: str
    instruction: str
    key: str
    body: dict[str, Any]

    @property
    def schema(self) -> dict[str, Any]:
        found: dict[str, Any] = self.body.get("generationConfig", {}).get("responseJsonSchema", {})
        return found


@dataclass(frozen=True)
class Reply:
    """``status`` 0 hangs up without an answer. ``delay``: seconds before the first byte."""

    status: int = 200
    body: bytes = b""
    delay: float = 0.0
    headers: dict[str, str] = field(default_factory=dict)

    def after(self, seconds: float) -> Reply:
        return Reply(self.status, self.body, seconds, self.headers)


Answerer = Callable[[Request], Reply]


def good(
    answer: Any,
    *,
    served: str = "",
    prompt: int = 100,
    candidates: int = 50,
    thought: int = 0,
    cached: int = 0,
    tool: int = 0,
    finish: str = "STOP",
) -> Reply:
    """``answer``: a str is sent as it is, anything else as JSON. ``served``: the modelVersion to report."""
    text = answer if isinstance(answer, str) else json.dumps(answer, ensure_ascii=False)
    usage = {
        "promptTokenCount": prompt,
        "candidatesTokenCount": candidates,
        "thoughtsTokenCount": thought,
        "cachedContentTokenCount": cached,
        "toolUsePromptTokenCount": tool,
        "totalTokenCount": prompt + candidates + thought + tool,
    }
    content = {"role": "model", "parts": [{"text": text}]}
    body: dict[str, Any] = {
        "candidates": [{"content": content, "finishReason": finish, "index": 0}],
        "usageMetadata": usage,
        "responseId": "stub",
    }
    if served:
        body["modelVersion"] = served
    return Reply(body=json.dumps(body, ensure_ascii=False).encode())


def not_json(text: str = "Sure! Here is a problem about joins:") -> Reply:
    return good(text)


def truncated(text: str = '{"title": "Mem') -> Reply:
    return good(text, finish="MAX_TOKENS")


def blocked_prompt(reason: str = "PROHIBITED_CONTENT") -> Reply:
    body = {"promptFeedback": {"blockReason": reason}, "usageMetadata": {"promptTokenCount": 10}}
    return Reply(body=json.dumps(body).encode())


def stopped(finish: str = "SAFETY") -> Reply:
    return good("", finish=finish)


def garbage() -> Reply:
    """A proxy's page instead of the API's answer."""
    return Reply(body=b"<html>502</html>", headers={"content-type": "text/html"})


def hang_up() -> Reply:
    return Reply(status=0)


def error(status: int, message: str = "", *, code: str = "", details: list[Any] | None = None) -> Reply:
    names = {400: "INVALID_ARGUMENT", 403: "PERMISSION_DENIED", 404: "NOT_FOUND", 429: "RESOURCE_EXHAUSTED"}
    names |= {500: "INTERNAL", 503: "UNAVAILABLE"}
    body = {
        "error": {
            "code": status,
            "message": message or "the stub was told to fail",
            "status": code or names.get(status, "UNKNOWN"),
            "details": details or [],
        }
    }
    return Reply(status, json.dumps(body).encode())


def quota(*ids: str, value: str = "10", retry: str = "", message: str = "You exceeded your current quota.") -> Reply:
    """429 with a QuotaFailure naming ``ids``, and RetryInfo when ``retry`` ("1.5s") is given."""
    violations = [
        {
            "quotaMetric": "generativelanguage.googleapis.com/generate_content_free_tier_requests",
            "quotaId": quota_id,
            "quotaDimensions": {"location": "global", "model": "stub"},
            "quotaValue": value,
        }
        for quota_id in ids
    ]
    details: list[Any] = [{"@type": "type.googleapis.com/google.rpc.QuotaFailure", "violations": violations}]
    if retry:
        details.append({"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": retry})
    return error(429, message, details=details)


def per_minute(retry: str = "0.05s") -> Reply:
    return quota("GenerateRequestsPerMinutePerProjectPerModel-FreeTier", retry=retry)


def tokens_per_minute(retry: str = "0.05s") -> Reply:
    return quota("GenerateContentInputTokensPerModelPerMinute-FreeTier", retry=retry)


def per_day() -> Reply:
    return quota(
        "GenerateRequestsPerMinutePerProjectPerModel-FreeTier",
        "GenerateRequestsPerDayPerProjectPerModel-FreeTier",
        retry="33s",
    )


def limit_zero() -> Reply:
    told = (
        "You exceeded your current quota, please check your plan and billing details.\n"
        "* Quota exceeded for metric: generativelanguage.googleapis.com/generate_content_free_tier_requests, "
        "limit: 0, model: stub\nPlease retry in 11.6s."
    )
    return quota("GenerateRequestsPerDayPerProjectPerModel-FreeTier", value="0", retry="11s", message=told)


class GeminiStub:
    """``answer``: called for each request that the script does not cover; ``script``: replies, used up in order.
    ``by_model``: scripts of single models, looked at first."""

    def __init__(self, answer: Answerer | None = None) -> None:
        self._answer = answer or (lambda _: error(500, "the script is used up"))
        self._script: list[Reply] = []
        self._by_model: dict[str, list[Reply]] = {}
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="gemini-stub", daemon=True)
        self._lock = threading.Lock()
        self.requests: list[Request] = []
        self.port = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def calls(self) -> Counter[str]:
        """Requests so far by model."""
        with self._lock:
            return Counter(request.model for request in self.requests)

    def play(self, *replies: Reply, model: str = "") -> None:
        """Add to the script, of one model when it is named."""
        with self._lock:
            (self._by_model.setdefault(model, []) if model else self._script).extend(replies)

    def answer_with(self, answer: Answerer) -> None:
        self._answer = answer

    def __enter__(self) -> Self:
        self._thread.start()
        started = asyncio.run_coroutine_threadsafe(asyncio.start_server(self._serve, "127.0.0.1", 0), self._loop)
        self._server = started.result(10)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    def __exit__(
        self, kind: type[BaseException] | None, problem: BaseException | None, trace: TracebackType | None
    ) -> None:
        asyncio.run_coroutine_threadsafe(self._stop(), self._loop).result(10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()

    async def _stop(self) -> None:
        self._server.close()
        open_connections = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        for task in open_connections:
            task.cancel()
        await asyncio.gather(*open_connections, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
                headers = {k.lower(): v.strip() for k, _, v in (line.partition(":") for line in head[1:])}
                content = await reader.readexactly(int(headers.get("content-length", "0")))
                reply = self._reply(head[0].split(" ")[1], headers, content)
                await asyncio.sleep(reply.delay)
                if not reply.status:
                    return
                writer.write(_bytes_of(reply))
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            return  # the client is done, or the test is
        finally:
            writer.close()

    def _reply(self, target: str, headers: dict[str, str], content: bytes) -> Reply:
        match = _PATH.match(target.partition("?")[0])
        if match is None:
            return error(404, f"no such method: {target}")
        body = json.loads(content)
        request = Request(
            match[1],
            _text(body.get("contents", [])),
            _text([body.get("systemInstruction", {})]),
            headers.get("x-goog-api-key", ""),
            body,
        )
        with self._lock:
            self.requests.append(request)
            for script in (self._by_model.get(request.model, []), self._script):
                if script:
                    return script.pop(0)
        return self._answer(request)


def _text(contents: Iterable[dict[str, Any]]) -> str:
    return "\n".join(part.get("text", "") for content in contents for part in content.get("parts", []))


def _bytes_of(reply: Reply) -> bytes:
    headers = {"content-type": "application/json", **reply.headers, "content-length": str(len(reply.body))}
    lines = [f"HTTP/1.1 {reply.status} Stub", *(f"{name}: {value}" for name, value in headers.items())]
    return ("\r\n".join(lines) + "\r\n\r\n").encode() + reply.body
