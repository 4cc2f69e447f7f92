"""What the endpoints take and answer. Scores and shares run from 0 to 1."""

from __future__ import annotations

from datetime import date
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

MAX_NAME = 255


def _text(value: str) -> str:
    if "\x00" in value or any("\ud800" <= character <= "\udfff" for character in value):
        raise ValueError("NUL characters and broken Unicode are no part of an id")
    return value


Id = Annotated[str, Field(min_length=1, max_length=MAX_NAME), AfterValidator(_text)]
Basis = Literal["learner", "cold_start"]
"""``cold_start``: nothing is known of this learner; the answer is what suits an average one."""


class Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class ContentsRequest(Strict):
    student_id: Id
    subject_ids: Annotated[list[Id], Field(max_length=100)] | None = None
    limit: int = Field(default=10, ge=1, le=50, strict=True)


class ScoreRequest(Strict):
    student_id: Id
    subject_id: Id
    target_date: date = Field(description="Today or later, at most two years ahead, in the service's time zone.")


class PatternsRequest(Strict):
    student_id: Id


class Texts(BaseModel):
    ko: str
    en: str


class Reason(Texts):
    """``expected_success``: the model's probability; ``terms``: what the item's rank is the sum of."""

    content_id: str
    expected_success: float
    terms: dict[str, float]


class Contents(BaseModel):
    """The lists run in parallel, best first. ``note`` says what kind of answer this is."""

    content_ids: list[str]
    scores: list[float]
    reasoning: list[Reason]
    basis: Basis
    note: Texts
    model_id: int


class Interval(BaseModel):
    level: float
    low: float
    high: float


class FactorView(Texts):
    name: str
    effect: float


class ScoreView(BaseModel):
    """``factors`` add up to ``predicted_score`` (shares of correct answers)."""

    predicted_score: float
    confidence: Interval
    factors: list[FactorView]
    basis: Basis
    note: Texts
    model_id: int


class SlotView(BaseModel):
    slot: Literal["night", "morning", "afternoon", "evening"]
    share: float
    usual: float
    confidence: float


class PeakView(BaseModel):
    hour: int
    share: float
    usual: float
    confidence: float


class SessionView(BaseModel):
    minutes: float
    confidence: float


class StrengthView(BaseModel):
    """``strength``: expected success on the skill minus the usual one."""

    skill: str
    expected: float
    usual: float
    strength: float
    answers: int
    confidence: float


class PatternsView(BaseModel):
    """Null means hidden: there is too little to say, and ``note`` says so. ``subject_strengths``: weakest first."""

    preferred_time_slots: list[SlotView] | None
    avg_session_duration: SessionView | None
    peak_hours: list[PeakView] | None
    subject_strengths: list[StrengthView]
    sessions: int
    basis: Basis
    note: Texts
    model_id: int


class HealthView(BaseModel):
    status: Literal["ok"]
    model_id: int
    items: int
