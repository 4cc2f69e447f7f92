"""How asking a model can fail, by what to do next."""

from __future__ import annotations

from enum import StrEnum
from typing import Final

from services.kernel.errors import TransientError
from services.kernel.llm.client import TokenUse


class Reason(StrEnum):
    THROTTLED = "throttled"  # a per-minute quota: wait
    CROWDED = "crowded"  # our own share of the minute stays used for longer than the caller waits
    UNAVAILABLE = "unavailable"  # 5xx, hang-up, no connection: try again
    TIMED_OUT = "timed_out"
    QUOTA_SPENT = "quota_spent"  # a per-day quota: not before the reset
    NO_QUOTA = "no_quota"  # the project may not use this model at all
    MODEL_GONE = "model_gone"
    REQUEST_REFUSED = "request_refused"  # 400: this model does not take this request
    ACCESS_DENIED = "access_denied"  # the key is wrong or lacks a right: no model will answer
    TOO_LARGE = "too_large"  # more tokens than the model's minute
    INVALID_OUTPUT = "invalid_output"
    TRUNCATED = "truncated"
    BLOCKED = "blocked"  # the provider's filters stopped the prompt or the answer
    CIRCUIT_OPEN = "circuit_open"
    DEADLINE = "deadline"  # the job's time is used up
    NO_KEY = "no_key"
    NO_MODEL = "no_model"  # every model of the purpose is past its end date


RETRYABLE: Final = frozenset({Reason.THROTTLED, Reason.UNAVAILABLE, Reason.TIMED_OUT})
REPAIRABLE: Final = frozenset({Reason.INVALID_OUTPUT, Reason.TRUNCATED})
HURTS_CIRCUIT: Final = frozenset({Reason.UNAVAILABLE, Reason.TIMED_OUT})
"""What counts against a model's health; a spent quota or a wrong request says nothing about it."""


class ModelFailure(TransientError):
    """One call did not give an answer. ``retry_after``: seconds the provider asked to wait, if it did."""

    code = "model_failure"

    def __init__(self, reason: Reason, message: str, *, retry_after: float | None = None) -> None:
        super().__init__(message, code=reason.value, retry_after=retry_after)
        self.reason = reason


class UnusableAnswer(ModelFailure):
    """The model answered, and was paid for it, but the answer is of no use. ``text``: what it said, untrusted."""

    def __init__(
        self, reason: Reason, message: str, served_model: str, tokens: TokenUse, finish_reason: str = "", text: str = ""
    ) -> None:
        super().__init__(reason, message)
        self.served_model = served_model
        self.tokens = tokens
        self.finish_reason = finish_reason
        self.text = text
