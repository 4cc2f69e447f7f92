"""A client of the insights service that always answers: from the service, from its cache, or from a basic fallback.

The ``source`` of an answer says which. A fallback knows nothing of the learner and claims nothing.
"""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections import OrderedDict
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING, Any, Literal

from services.kernel.errors import PermanentError
from services.kernel.messaging.backoff import delay

if TYPE_CHECKING:
    import httpx

_logger = logging.getLogger(__name__)

TIMEOUT_SECONDS = 10.0
RETRIES = 2
CACHE_SECONDS = 300.0
CACHED = 10_000
UNKNOWN_SCORE = 0.5
_RETRIED = frozenset({429, 500, 502, 503, 504})
_NOTE = {
    "ko": "학습 분석 서비스에 연결할 수 없어 기본값으로 답합니다.",
    "en": "The insights service cannot be reached; this is a basic answer, not a personal one.",
}


class InsightsRefused(PermanentError):
    """The service refuses the request itself; asking again cannot help."""

    code = "insights_refused"


@dataclass(frozen=True, slots=True)
class InsightsAnswer:
    """``body`` has the endpoint's fields. ``source``: ``service``, ``cache`` (at most 300 s old) or ``fallback``."""

    body: dict[str, Any]
    source: Literal["service", "cache", "fallback"]


class InsightsClient:
    """``http``: an httpx client of the caller's, which closes it. ``base_url``: of the insights service.

    ``token`` of each call: the bearer token of whoever asks, a learner for own data, staff or an administrator for
    others'. What is kept in the cache is kept per token: nobody is answered what another was allowed to know.
    """

    def __init__(
        self,
        http: httpx.AsyncClient,
        base_url: str,
        *,
        timeout: float = TIMEOUT_SECONDS,
        cache_seconds: float = CACHE_SECONDS,
        clock: Any = time.monotonic,
    ) -> None:
        self._http = http
        self._base = base_url.rstrip("/")
        self._timeout = timeout
        self._cache_seconds = cache_seconds
        self._clock = clock
        self._cache: OrderedDict[tuple[str, str, str], tuple[float, dict[str, Any]]] = OrderedDict()

    async def contents(
        self,
        student_id: str,
        subject_ids: list[str] | None = None,
        limit: int = 10,
        *,
        basics: tuple[str, ...] = (),
        token: str = "",
    ) -> InsightsAnswer:
        """``basics``: ids to fall back on, in the caller's own order. Raises InsightsRefused."""
        chosen = list(basics[:limit])
        fallback = {"content_ids": chosen, "scores": [0.0] * len(chosen), "reasoning": []}
        fields = {"student_id": student_id, "subject_ids": subject_ids, "limit": limit}
        return await self._ask("/api/recommendations/contents", fields, fallback, token)

    async def score(self, student_id: str, subject_id: str, target_date: date, *, token: str = "") -> InsightsAnswer:
        """Raises InsightsRefused."""
        fallback = {
            "predicted_score": UNKNOWN_SCORE,
            "confidence": {"level": 0.8, "low": 0.0, "high": 1.0},
            "factors": [],
        }
        fields = {"student_id": student_id, "subject_id": subject_id, "target_date": target_date.isoformat()}
        return await self._ask("/api/predictions/score", fields, fallback, token)

    async def patterns(self, student_id: str, *, token: str = "") -> InsightsAnswer:
        """Raises InsightsRefused."""
        fallback: dict[str, Any] = {
            "preferred_time_slots": None,
            "avg_session_duration": None,
            "peak_hours": None,
            "subject_strengths": [],
        }
        return await self._ask("/api/analytics/patterns", {"student_id": student_id}, fallback, token)

    async def _ask(self, path: str, fields: dict[str, Any], fallback: dict[str, Any], token: str) -> InsightsAnswer:
        key = (path, json.dumps(fields, sort_keys=True), token)
        kept = self._cache.get(key)
        if kept is not None and self._clock() - kept[0] < self._cache_seconds:
            return InsightsAnswer(kept[1], "cache")
        body = await self._fetch(path, fields, token)
        if body is None:
            return InsightsAnswer({**fallback, "basis": "fallback", "note": _NOTE}, "fallback")
        self._cache[key] = (self._clock(), body)
        self._cache.move_to_end(key)
        if len(self._cache) > CACHED:
            self._cache.popitem(last=False)
        return InsightsAnswer(body, "service")

    async def _fetch(self, path: str, fields: dict[str, Any], token: str) -> dict[str, Any] | None:
        """The answer, or None when the service could not give one in any attempt."""
        import httpx

        why = ""
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        for attempt in range(1 + RETRIES):
            if attempt:
                await asyncio.sleep(delay(attempt, 0.1, 1.0))
            try:
                async with asyncio.timeout(self._timeout):
                    answer = await self._http.post(
                        f"{self._base}{path}", json=fields, headers=headers, timeout=self._timeout
                    )
            except (httpx.TransportError, TimeoutError) as error:
                why = type(error).__name__
                continue
            if answer.is_success:
                try:
                    body = answer.json()
                except ValueError:
                    why = "the answer is no JSON"
                    continue
                if isinstance(body, dict):
                    return body
                why = "the answer is no object"
            elif answer.status_code in _RETRIED:
                why = f"status {answer.status_code}"
            else:
                raise InsightsRefused(f"{path}: {answer.status_code}: {answer.text[:500]}")
        _logger.warning("insights did not answer: %s", why, extra={"action": "insights.fallback", "path": path})
        return None
