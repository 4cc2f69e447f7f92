"""Gemini through google-genai. Only ``assembly`` imports this, and only when there is a key.

The SDK reads ``GOOGLE_GEMINI_BASE_URL``. It is told to repeat nothing: it ignores RetryInfo (googleapis/python-genai
issue 1875), and every HTTP request must be one reservation in the ledger.
"""

from __future__ import annotations

import asyncio
from typing import Any

import httpx
from google import genai
from google.genai import errors, types

from services.kernel.llm.client import ModelReply, ModelRequest, TokenUse
from services.kernel.llm.failures import ModelFailure, Reason, UnusableAnswer
from services.kernel.llm.quota_failure import read_quota_failure

MAX_ANSWER_CHARS = 200_000
"""No answer this platform asks for is longer; parsing more would only cost memory."""
_MAX_CONNECTIONS = 32
_DENIED = (401, 403)
_BLOCKED = frozenset({"SAFETY", "RECITATION", "BLOCKLIST", "PROHIBITED_CONTENT", "SPII", "LANGUAGE", "MODEL_ARMOR"})


class GeminiClient:
    """See ``client.ModelClient``."""

    def __init__(self, api_key: str) -> None:
        limits = httpx.Limits(max_connections=_MAX_CONNECTIONS, max_keepalive_connections=_MAX_CONNECTIONS)
        self._http = httpx.AsyncClient(limits=limits, follow_redirects=False)
        self._client = genai.Client(api_key=api_key, http_options=types.HttpOptions(httpx_async_client=self._http))

    async def generate(self, request: ModelRequest, timeout_seconds: float) -> ModelReply:
        try:
            # The SDK's time-out is per read; this one is for the whole call.
            async with asyncio.timeout(timeout_seconds):
                response = await self._client.aio.models.generate_content(
                    model=request.model, contents=request.content, config=_config(request, timeout_seconds)
                )
        except errors.APIError as error:
            raise _failure(error) from error
        except (TimeoutError, httpx.TimeoutException) as error:
            raise ModelFailure(Reason.TIMED_OUT, f"no answer within {timeout_seconds:.1f} s") from error
        except httpx.HTTPError as error:
            raise ModelFailure(Reason.UNAVAILABLE, f"{type(error).__name__}: {error}") from error
        except (ValueError, TypeError, AttributeError) as error:  # a body that the SDK cannot read as an answer
            raise ModelFailure(Reason.UNAVAILABLE, f"unreadable response: {str(error)[:300]}") from error
        return _reply(response, request.model)

    async def close(self) -> None:
        await self._client.aio.aclose()
        await self._http.aclose()
        self._client.close()


def _config(request: ModelRequest, timeout_seconds: float) -> types.GenerateContentConfig:
    return types.GenerateContentConfig(
        system_instruction=request.instruction,
        temperature=request.temperature,
        seed=request.seed,
        max_output_tokens=request.max_output_tokens,
        response_mime_type="application/json",
        response_json_schema=request.schema,
        http_options=types.HttpOptions(timeout=max(1, int(timeout_seconds * 1_000))),
    )


def _failure(error: errors.APIError) -> ModelFailure:
    text = f"{error.code} {error.status}: {str(error.message)[:300]}"
    if error.code == 429:
        return read_quota_failure(error.details)
    if error.code in _DENIED or (error.code == 400 and "API_KEY_INVALID" in str(error.details)):
        return ModelFailure(Reason.ACCESS_DENIED, text)
    if error.code == 404:
        return ModelFailure(Reason.MODEL_GONE, text)
    if error.code >= 500 or error.code == 408:
        return ModelFailure(Reason.UNAVAILABLE, text, retry_after=_retry_after(error))
    return ModelFailure(Reason.REQUEST_REFUSED, text)


def _retry_after(error: errors.APIError) -> float | None:
    headers: Any = getattr(error.response, "headers", None) or {}
    stated = str(headers.get("retry-after", ""))
    return float(min(int(stated), 3_600)) if stated.isdigit() else None


def _reply(response: types.GenerateContentResponse, asked: str) -> ModelReply:
    """Raises ModelFailure when there is nothing to read."""
    tokens = _tokens(response.usage_metadata)
    served = response.model_version or asked
    if not response.candidates:
        blocked = response.prompt_feedback.block_reason if response.prompt_feedback else None
        told = f"the prompt was blocked: {blocked}" if blocked else "the answer has no candidate"
        raise UnusableAnswer(Reason.BLOCKED if blocked else Reason.INVALID_OUTPUT, told, served, tokens)
    candidate = response.candidates[0]
    finish = candidate.finish_reason.value if candidate.finish_reason else ""
    if finish in _BLOCKED:
        raise UnusableAnswer(Reason.BLOCKED, f"the answer was stopped: {finish}", served, tokens, finish)
    parts = (candidate.content.parts if candidate.content else None) or []
    text = "".join(part.text for part in parts if part.text and not part.thought)
    if len(text) > MAX_ANSWER_CHARS:
        told = f"the answer has {len(text):,} characters, more than {MAX_ANSWER_CHARS:,}"
        raise UnusableAnswer(Reason.INVALID_OUTPUT, told, served, tokens, finish)
    # JSON can name half of a surrogate pair, which no text in the platform may hold.
    return ModelReply(text.encode("utf-8", "replace").decode(), finish, served, tokens)


def _tokens(usage: types.GenerateContentResponseUsageMetadata | None) -> TokenUse:
    if usage is None:
        return TokenUse()
    return TokenUse(
        prompt=usage.prompt_token_count or 0,
        candidates=usage.candidates_token_count or 0,
        thought=usage.thoughts_token_count or 0,
        cached=usage.cached_content_token_count or 0,
        tool=usage.tool_use_prompt_token_count or 0,
    )
