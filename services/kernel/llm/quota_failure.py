"""What a 429 of the Gemini API means.

Source: google.rpc.QuotaFailure and google.rpc.RetryInfo in the error's details. ``quotaId`` names the period, as in
GenerateRequestsPerDayPerProjectPerModel-FreeTier; a limit of 0 appears as ``quotaValue`` or in the message.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from typing import Any

from services.kernel.llm.failures import ModelFailure, Reason

_MAX_DELAY = 3_600.0
_LIMIT_ZERO = re.compile(r"\blimit:\s*0\b(?!\.)")
_RETRY_IN = re.compile(r"retry in ([0-9.]+)s")
_DURATION = re.compile(r"^([0-9]+(?:\.[0-9]+)?)s$")


def read_quota_failure(body: object) -> ModelFailure:
    """``body``: the error's JSON, with or without its ``error`` envelope. What is not understood is a throttle."""
    error = _error_of(body)
    message = str(error.get("message") or "the quota is spent")
    violations = list(_violations(error))
    named = ", ".join(str(v.get("quotaId") or v.get("quotaMetric")) for v in violations)
    told = f"{message.splitlines()[0][:300]} ({named[:300] or 'no quota named'})"
    if _LIMIT_ZERO.search(message) or any(str(v.get("quotaValue", "")) == "0" for v in violations):
        return ModelFailure(Reason.NO_QUOTA, told)
    if any("perday" in period for period in map(_period, violations)):
        return ModelFailure(Reason.QUOTA_SPENT, told)
    return ModelFailure(Reason.THROTTLED, told, retry_after=_delay(error, message))


def _error_of(body: object) -> Mapping[str, Any]:
    if isinstance(body, Mapping):
        inner = body.get("error", body)
        if isinstance(inner, Mapping):
            return inner
    return {}


def _details(error: Mapping[str, Any], kind: str) -> Iterator[Mapping[str, Any]]:
    details = error.get("details")
    for detail in details if isinstance(details, list) else ():
        if isinstance(detail, Mapping) and str(detail.get("@type", "")).endswith(kind):
            yield detail


def _violations(error: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    for failure in _details(error, "google.rpc.QuotaFailure"):
        found = failure.get("violations")
        yield from (v for v in (found if isinstance(found, list) else ()) if isinstance(v, Mapping))


def _period(violation: Mapping[str, Any]) -> str:
    # Older answers name the period in quotaMetric only, as in generate_requests_per_model_per_day.
    return f"{violation.get('quotaId', '')} {violation.get('quotaMetric', '')}".lower().replace("_", "")


def _delay(error: Mapping[str, Any], message: str) -> float | None:
    for info in _details(error, "google.rpc.RetryInfo"):
        match = _DURATION.match(str(info.get("retryDelay", "")))
        if match:
            return _bounded(match[1])
    match = _RETRY_IN.search(message)
    return _bounded(match[1].rstrip(".")) if match else None


def _bounded(text: str) -> float | None:
    try:
        seconds = float(text)
    except ValueError:
        return None
    return min(seconds, _MAX_DELAY) if math.isfinite(seconds) else None
