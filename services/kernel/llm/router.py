"""Asks the models of a purpose in order until one gives a usable answer; the last answer is the offline one."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Generic, Literal, TypeVar

from pydantic import BaseModel

from services.kernel import metrics
from services.kernel.llm import structured
from services.kernel.llm.call_log import OFFLINE, Caller, CallLog, CallRecord
from services.kernel.llm.calling import AccountedCalls, CallTerms
from services.kernel.llm.catalogue import Catalogue, Model, Purpose
from services.kernel.llm.client import ModelReply, ModelRequest, TokenUse
from services.kernel.llm.failures import REPAIRABLE, RETRYABLE, ModelFailure, Reason, UnusableAnswer

if TYPE_CHECKING:
    from tenacity import RetryCallState

T = TypeVar("T", bound=BaseModel)

_logger = logging.getLogger(__name__)

ATTEMPTS = 3
"""Requests to one model for one prompt while its failures are of the passing kind."""


@dataclass(frozen=True)
class Ask(Generic[T]):
    """``content`` carries foreign text only in data blocks (see ``prompts``). ``offline`` answers when no model does.

    ``max_output_tokens`` must leave room for thinking, which the provider counts as output.
    """

    purpose: Purpose
    instruction: str
    content: str
    answer: type[T]
    offline: Callable[[], T]
    max_output_tokens: int = 4_096
    temperature: float = 0.4
    seed: int | None = None


@dataclass(frozen=True, slots=True)
class Skipped:
    """Why ``model`` did not give the answer; empty name: no model could be asked at all."""

    model: str
    reason: Reason
    detail: str


@dataclass(frozen=True)
class Answer(Generic[T]):
    """``model``: the one asked, "offline" without. ``served_model``: the version that answered. ``tokens``: of every
    call made on the way, failed ones included."""

    value: T
    source: Literal["model", "offline"]
    model: str
    served_model: str = ""
    tokens: TokenUse = field(default_factory=TokenUse)
    skipped: tuple[Skipped, ...] = ()

    @property
    def why(self) -> str:
        """One line on why better models, or any, did not answer; empty when the first one did."""
        return "; ".join(f"{s.model or 'no model'}: {s.reason}" for s in self.skipped)


@dataclass(frozen=True)
class Manners:
    """Seconds: ``timeout`` of one call, ``patience`` for a per-minute quota, ``backoff`` before a first repetition."""

    timeout: float = 60.0
    patience: float = 65.0
    backoff: float = 0.5


class ModelRouter:
    """``calls`` is None without a key: every answer is the offline one. Only database errors are raised."""

    def __init__(
        self,
        catalogue: Catalogue,
        calls: AccountedCalls | None,
        log: CallLog,
        manners: Manners = Manners(),
        today: Callable[[], date] = lambda: datetime.now(UTC).date(),
    ) -> None:
        self._catalogue = catalogue
        self._calls = calls
        self._log = log
        self._manners = manners
        self._today = today
        for model in catalogue.ended(Purpose, today()):
            _logger.warning(
                "%s ended on %s and is skipped: change GEMINI_MODEL_* for %s",
                model.name,
                model.ends_on,
                ", ".join(catalogue.purposes_of(model.name)),
                extra={"action": "model.ended"},
            )

    @property
    def available(self) -> bool:
        """Whether any model can be asked at all, quota aside."""
        return self._calls is not None

    async def ask(self, ask: Ask[T], caller: Caller, deadline: float) -> Answer[T]:
        """``deadline``: monotonic seconds; no call goes out or goes on after it.

        Raises:
            asyncpg.PostgresError, OSError: the ledger cannot be reached; nothing is asked without it.
        """
        trip = _Trip()
        for model in self._chain(ask.purpose, trip):
            terms = CallTerms(ask.purpose, caller, deadline, self._manners.timeout, self._manners.patience)
            try:
                value, reply = await self._usable(model, ask, terms, trip)
            except ModelFailure as failure:
                trip.skip(model.name, failure)
                if failure.reason in (Reason.ACCESS_DENIED, Reason.DEADLINE):
                    break  # no other model would fare better
                continue
            return Answer(value, "model", model.name, reply.served_model, trip.tokens, tuple(trip.skipped))
        return await self._offline(ask, caller, trip)

    def _chain(self, purpose: Purpose, trip: _Trip) -> tuple[Model, ...]:
        if self._calls is None:
            trip.skip("", ModelFailure(Reason.NO_KEY, "GEMINI_API_KEY is not set"))
            return ()
        chain = self._catalogue.chain(purpose, self._today())
        if not chain:
            trip.skip("", ModelFailure(Reason.NO_MODEL, f"every model for {purpose} is past its end date"))
        return chain

    async def _usable(self, model: Model, ask: Ask[T], terms: CallTerms, trip: _Trip) -> tuple[T, ModelReply]:
        """One answer, and one repair when it cannot be used."""
        request = ModelRequest(
            model.name,
            ask.instruction,
            ask.content,
            structured.schema_of(ask.answer),
            ask.max_output_tokens,
            ask.temperature,
            ask.seed,
        )
        try:
            return await self._persistent(model, request, ask.answer, terms, trip)
        except UnusableAnswer as unusable:
            if unusable.reason not in REPAIRABLE:
                raise
            room = request.max_output_tokens * (2 if unusable.reason is Reason.TRUNCATED else 1)
            repaired = f"{request.content}\n\n{structured.repair_note(unusable)}"
            second = replace(request, content=repaired, max_output_tokens=room)
            return await self._persistent(model, second, ask.answer, terms, trip)

    async def _persistent(
        self, model: Model, request: ModelRequest, answer: type[T], terms: CallTerms, trip: _Trip
    ) -> tuple[T, ModelReply]:
        """The call, repeated after passing failures as the provider asks to wait, within patience and deadline."""
        from tenacity import AsyncRetrying, retry_if_exception, stop_after_attempt

        if self._calls is None:
            raise AssertionError("without a key the chain is empty")

        def worth_repeating(error: BaseException) -> bool:
            if not isinstance(error, ModelFailure) or error.reason not in RETRYABLE:
                return False
            return (error.retry_after or 0.0) <= terms.patience and (error.retry_after or 0.0) < terms.remaining

        retrying = AsyncRetrying(
            stop=stop_after_attempt(ATTEMPTS),
            wait=lambda state: min(self._pause(state), terms.remaining),
            retry=retry_if_exception(worth_repeating),
            reraise=True,
        )
        async for attempt in retrying:
            with attempt:
                try:
                    value, reply = await self._calls.make(model, request, answer, terms)
                except UnusableAnswer as unusable:
                    trip.tokens += unusable.tokens
                    raise
                trip.tokens += reply.tokens
                return value, reply
        raise AssertionError("tenacity returns a result or raises")

    def _pause(self, state: RetryCallState) -> float:
        from tenacity import wait_random_exponential

        error = state.outcome.exception() if state.outcome is not None else None
        if isinstance(error, ModelFailure) and error.retry_after is not None:
            return error.retry_after
        return wait_random_exponential(multiplier=self._manners.backoff, max=10.0)(state)

    async def _offline(self, ask: Ask[T], caller: Caller, trip: _Trip) -> Answer[T]:
        answer = Answer(ask.offline(), OFFLINE, OFFLINE, tokens=trip.tokens, skipped=tuple(trip.skipped))
        last = trip.skipped[-1].reason
        metrics.MODEL_OFFLINE.add(1, {"querycraft.model.purpose": ask.purpose.value, "reason": last.value})
        details = "; ".join(f"{s.model or 'no model'}: {s.reason}: {s.detail}" for s in trip.skipped)
        await self._log.write(CallRecord(caller, "succeeded", ask.purpose.value, OFFLINE, error_message=details))
        if last is not Reason.NO_KEY:
            _logger.warning("answered offline: %s", answer.why, extra={"action": "model.offline"})
        return answer


class _Trip:
    """What happened on the way to one answer."""

    def __init__(self) -> None:
        self.tokens = TokenUse()
        self.skipped: list[Skipped] = []

    def skip(self, model: str, failure: ModelFailure) -> None:
        self.skipped.append(Skipped(model, failure.reason, str(failure)))
