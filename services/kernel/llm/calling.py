"""One accounted call: reserved in the ledger, sent, settled, traced, counted and logged, whatever happens to it."""

from __future__ import annotations

import asyncio
import logging
import random
import time
from dataclasses import dataclass, field
from typing import TypeVar

from opentelemetry.trace import Span, SpanKind, Status, StatusCode
from pydantic import BaseModel

from services.kernel import metrics, telemetry
from services.kernel.llm import structured
from services.kernel.llm.breaker import CircuitBreaker
from services.kernel.llm.call_log import Caller, CallLog, CallRecord
from services.kernel.llm.catalogue import Model, Purpose
from services.kernel.llm.client import ModelClient, ModelReply, ModelRequest, TokenUse
from services.kernel.llm.failures import HURTS_CIRCUIT, ModelFailure, Reason, UnusableAnswer
from services.kernel.llm.ledger import DROPPED_FOR, THROTTLED, QuotaLedger, Reservation
from services.kernel.llm.quota import Spent, TooLarge

T = TypeVar("T", bound=BaseModel)

_logger = logging.getLogger(__name__)

_DEFAULT_THROTTLE_SECONDS = 5.0
_PROVIDER = "gcp.gemini"
_OPERATION = "generate_content"
_CANCELLED = "cancelled"
_USE_UNKNOWN = frozenset({_CANCELLED, Reason.TIMED_OUT, Reason.DEADLINE})
"""Calls whose tokens nobody told us: the estimate stands in the ledger."""


@dataclass(frozen=True, slots=True)
class CallTerms:
    """For whom and until when: ``deadline`` in monotonic seconds; ``patience``: seconds to wait for a quota."""

    purpose: Purpose
    caller: Caller
    deadline: float
    timeout: float
    patience: float

    @property
    def remaining(self) -> float:
        return max(0.0, self.deadline - time.monotonic())


@dataclass(slots=True)
class _Outcome:
    """What the record of a call will say."""

    served_model: str = ""
    finish_reason: str = ""
    tokens: TokenUse = field(default_factory=TokenUse)
    failure: str = ""
    reason: str = ""


class AccountedCalls:
    """Every HTTP request to a model goes through ``make``; there is no other way."""

    def __init__(self, client: ModelClient, ledger: QuotaLedger, log: CallLog) -> None:
        self._client = client
        self._ledger = ledger
        self._log = log
        self._breakers: dict[str, CircuitBreaker] = {}

    def breaker(self, model: str) -> CircuitBreaker:
        return self._breakers.setdefault(model, CircuitBreaker())

    async def make(
        self, model: Model, request: ModelRequest, answer: type[T], terms: CallTerms
    ) -> tuple[T, ModelReply]:
        """Ask ``model`` once.

        Raises:
            ModelFailure: by what to do next; the ledger and the breaker know of it already.
        """
        breaker = self.breaker(model.name)
        if not breaker.may_pass():
            raise ModelFailure(Reason.CIRCUIT_OPEN, f"{model.name} failed repeatedly and is left alone for a while")
        try:
            reservation = await self._reserved(model, request, terms)
            try:
                result = await self._recorded(model, request, answer, terms, reservation)
            except ModelFailure as failure:
                if failure.reason in HURTS_CIRCUIT:
                    breaker.failed()
                elif isinstance(failure, UnusableAnswer):
                    breaker.succeeded()  # it answers; what it says is another matter
                await self._heed(model, failure)
                raise
            breaker.succeeded()
            return result
        finally:
            breaker.release()

    async def _reserved(self, model: Model, request: ModelRequest, terms: CallTerms) -> Reservation:
        """Wait for the per-minute quota while patience and the deadline allow."""
        patience = time.monotonic() + terms.patience
        while True:
            if terms.remaining <= 0:
                raise ModelFailure(Reason.DEADLINE, "the time for this answer is used up")
            found = await self._ledger.reserve(model, terms.purpose, request.estimated_tokens, terms.timeout)
            if isinstance(found, Reservation):
                if await self._ledger.sent(found):
                    return found
                continue  # this process was held up for so long that the reservation expired
            if isinstance(found, Spent):
                raise ModelFailure(Reason.QUOTA_SPENT, f"{model.name}: {found.reason}, until {found.until.isoformat()}")
            if isinstance(found, TooLarge):
                needs = f"the call needs {request.estimated_tokens:,} tokens, a minute has {found.limit:,}"
                raise ModelFailure(Reason.TOO_LARGE, f"{model.name}: {needs}")
            wake_at = time.monotonic() + found.seconds
            if wake_at > min(patience, terms.deadline):
                told = f"{model.name}: its quota per minute is used for another {found.seconds:.1f} s"
                raise ModelFailure(Reason.CROWDED, told)
            # Those who wait for the same moment should not all arrive in it.
            await asyncio.sleep(found.seconds + random.uniform(0, 0.05))

    async def _recorded(
        self, model: Model, request: ModelRequest, answer: type[T], terms: CallTerms, reservation: Reservation
    ) -> tuple[T, ModelReply]:
        outcome = _Outcome(failure=_CANCELLED, reason=_CANCELLED)
        began = time.monotonic()
        attributes = {
            "gen_ai.operation.name": _OPERATION,
            "gen_ai.provider.name": _PROVIDER,
            "gen_ai.request.model": model.name,
            "gen_ai.request.max_tokens": request.max_output_tokens,
            "gen_ai.request.temperature": request.temperature,
            "gen_ai.output.type": "json",
            "querycraft.model.purpose": terms.purpose.value,
        }
        with telemetry.span(f"{_OPERATION} {model.name}", kind=SpanKind.CLIENT, attributes=attributes) as span:
            try:
                reply = await self._ask(request, terms)
                outcome.served_model, outcome.finish_reason = reply.served_model, reply.finish_reason
                outcome.tokens = reply.tokens
                value = structured.read(reply, answer)
            except UnusableAnswer as unusable:
                outcome.served_model, outcome.finish_reason = unusable.served_model, unusable.finish_reason
                outcome.tokens, outcome.failure, outcome.reason = unusable.tokens, str(unusable), unusable.reason.value
                raise
            except ModelFailure as failure:
                outcome.failure, outcome.reason = str(failure), failure.reason.value
                raise
            else:
                outcome.failure = outcome.reason = ""
                return value, reply
            finally:
                elapsed = time.monotonic() - began
                _trace(span, outcome)
                _count(model, terms, outcome, elapsed)
                # Also when the job is cancelled: the provider has counted the call.
                await asyncio.shield(self._finish(model, terms, reservation, outcome, elapsed))

    async def _finish(
        self, model: Model, terms: CallTerms, reservation: Reservation, outcome: _Outcome, elapsed: float
    ) -> None:
        await self._ledger.settle(reservation, None if outcome.reason in _USE_UNKNOWN else outcome.tokens)
        await self._log.write(
            CallRecord(
                terms.caller,
                "failed" if outcome.failure else "succeeded",
                terms.purpose.value,
                model.name,
                served_model=outcome.served_model,
                tokens_used=outcome.tokens.total,
                duration_ms=int(elapsed * 1_000),
                finish_reason=outcome.finish_reason,
                error_message=f"{outcome.reason}: {outcome.failure}" if outcome.failure else "",
            )
        )

    async def _ask(self, request: ModelRequest, terms: CallTerms) -> ModelReply:
        limit = min(terms.timeout, terms.remaining)
        try:
            return await self._client.generate(request, limit)
        except ModelFailure as failure:
            if failure.reason is Reason.TIMED_OUT and limit < terms.timeout:  # our hurry, not the model's slowness
                raise ModelFailure(Reason.DEADLINE, f"the time left for this answer was {limit:.1f} s") from failure
            raise

    async def _heed(self, model: Model, failure: ModelFailure) -> None:
        """Tell every replica what the provider said about its quota."""
        if failure.reason is Reason.THROTTLED:
            await self._ledger.park(model.name, failure.retry_after or _DEFAULT_THROTTLE_SECONDS, THROTTLED)
        elif failure.reason is Reason.QUOTA_SPENT:
            await self._ledger.park_until_reset(model.name, f"the provider says: {failure}")
            _logger.warning("%s is parked until its reset: %s", model.name, failure, extra={"action": "model.parked"})
        elif failure.reason in (Reason.NO_QUOTA, Reason.MODEL_GONE):
            await self._ledger.park(model.name, DROPPED_FOR.total_seconds(), f"dropped, {failure.reason}: {failure}")
            _logger.error("%s is dropped: %s", model.name, failure, extra={"action": "model.dropped"})


def _trace(span: Span, outcome: _Outcome) -> None:
    span.set_attribute("gen_ai.response.model", outcome.served_model)
    span.set_attribute("gen_ai.response.finish_reasons", [outcome.finish_reason] if outcome.finish_reason else [])
    span.set_attribute("gen_ai.usage.input_tokens", outcome.tokens.prompt + outcome.tokens.tool)
    span.set_attribute("gen_ai.usage.output_tokens", outcome.tokens.candidates + outcome.tokens.thought)
    span.set_attribute("gen_ai.usage.cache_read.input_tokens", outcome.tokens.cached)
    if outcome.failure:
        span.set_attribute("error.type", outcome.reason)
        span.set_status(Status(StatusCode.ERROR, outcome.failure[:300]))


def _count(model: Model, terms: CallTerms, outcome: _Outcome, elapsed: float) -> None:
    labels = {
        "gen_ai.operation.name": _OPERATION,
        "gen_ai.provider.name": _PROVIDER,
        "gen_ai.request.model": model.name,
        "querycraft.model.purpose": terms.purpose.value,
    }
    metrics.MODEL_CALLS.add(1, {**labels, "outcome": outcome.reason or "succeeded"})
    metrics.MODEL_SECONDS.record(elapsed, {**labels, "error.type": outcome.reason} if outcome.reason else labels)
    spent = outcome.tokens
    metrics.MODEL_TOKENS.record(spent.prompt + spent.tool, {**labels, "gen_ai.token.type": "input"})
    metrics.MODEL_TOKENS.record(spent.candidates + spent.thought, {**labels, "gen_ai.token.type": "output"})
