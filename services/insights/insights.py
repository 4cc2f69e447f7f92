"""The three answers, for endpoints and jobs alike: read the learner, ask the model, say what it rests on."""

from __future__ import annotations

import time
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from datetime import time as clock_time
from zoneinfo import ZoneInfo

from services.insights.api.models import (
    Basis,
    Contents,
    FactorView,
    Interval,
    PatternsView,
    PeakView,
    Reason,
    ScoreView,
    SessionView,
    SlotView,
    StrengthView,
    Texts,
)
from services.insights.catalogue import Catalogue, Catalogues
from services.insights.learners import Learner, Learners
from services.insights.patterns import LEAST_SESSIONS, patterns
from services.insights.predicting import predict
from services.insights.recommending import recommend
from services.kernel.errors import PermanentError

LONGEST_FORECAST = timedelta(days=730)

_KNOWN = Texts(ko="이 학습자의 풀이 기록에 근거합니다.", en="This rests on the learner's own answers.")
_UNKNOWN = Texts(
    ko="이 학습자의 기록이 없어 평균적인 학습자를 기준으로 답합니다.",
    en="Nothing is known of this learner yet; this is what suits an average one.",
)


class UnknownSubject(PermanentError):
    code = "unknown_subject"


class BadTargetDate(PermanentError):
    code = "bad_target_date"


class Insights:
    """``zone``: in which a date begins and ends."""

    def __init__(self, catalogues: Catalogues, learners: Learners, zone: str) -> None:
        self._catalogues = catalogues
        self._learners = learners
        self._zone = ZoneInfo(zone)

    async def version(self, student_id: str) -> tuple[int, int, date]:
        """Equal while every answer about the learner would be the same on the same day."""
        learner = await self._learners.version(student_id)
        return (await self._catalogues.current()).version, learner, self.today()

    async def contents(self, student_id: str, subject_ids: Sequence[str] | None, limit: int) -> Contents:
        """An unknown subject holds no items: the lists are then shorter, or empty."""
        catalogue, learner = await self._both(student_id)
        found = recommend(catalogue, learner, subject_ids, limit, time.time())
        basis, note = _basis(learner)
        return Contents(
            content_ids=[entry.content_id for entry in found],
            scores=[round(entry.score, 4) for entry in found],
            reasoning=[
                Reason(
                    content_id=entry.content_id,
                    expected_success=round(entry.chance, 4),
                    terms={name: round(value, 4) for name, value in entry.terms.items()},
                    ko=entry.ko,
                    en=entry.en,
                )
                for entry in found
            ],
            basis=basis,
            note=note,
            model_id=catalogue.model.id,
        )

    async def score(self, student_id: str, subject_id: str, target: date) -> ScoreView:
        """Raises UnknownSubject: no item of it was published. BadTargetDate: past, or over two years ahead."""
        today = self.today()
        if not today <= target <= today + LONGEST_FORECAST:
            raise BadTargetDate(f"target_date: {target} is not between today ({today}) and two years from now")
        catalogue, learner = await self._both(student_id)
        if subject_id not in catalogue.subjects:  # it may have been published or imported a moment ago
            await self._catalogues.refresh()
            catalogue = await self._catalogues.current()
        # A target of today means now: the day's start lies before the learner's latest answers.
        begins = datetime.combine(target, clock_time(), self._zone).timestamp()
        found = predict(catalogue, learner, subject_id, max(begins, time.time()))
        if found is None:
            raise UnknownSubject(f"subject_id: nothing of {subject_id!r} was ever published")
        basis, note = _basis(learner)
        return ScoreView(
            predicted_score=found.score.mean,
            confidence=Interval(level=0.8, low=found.score.low, high=found.score.high),
            factors=[
                FactorView(name=factor.name, effect=factor.effect, ko=factor.ko, en=factor.en)
                for factor in found.factors
            ],
            basis=basis,
            note=note,
            model_id=catalogue.model.id,
        )

    async def patterns(self, student_id: str) -> PatternsView:
        catalogue, learner = await self._both(student_id)
        found = patterns(catalogue, learner)
        basis, note = _basis(learner)
        if learner.version and found.slots is None:
            note = Texts(
                ko=f"학습 세션이 {found.sessions}번뿐이라 시간대 정보는 숨깁니다. {LEAST_SESSIONS}번부터 보여 줍니다.",
                en=f"Times of day are hidden: {found.sessions} sessions, shown from {LEAST_SESSIONS} on.",
            )
        return PatternsView(
            preferred_time_slots=None
            if found.slots is None
            else [SlotView.model_validate(slot, from_attributes=True) for slot in found.slots],
            avg_session_duration=None
            if found.minutes is None
            else SessionView(minutes=found.minutes, confidence=found.minutes_confidence),
            peak_hours=None
            if found.peaks is None
            else [PeakView.model_validate(peak, from_attributes=True) for peak in found.peaks],
            subject_strengths=[
                StrengthView(
                    skill=entry.skill,
                    expected=entry.expected,
                    usual=entry.usual,
                    strength=entry.expected - entry.usual,
                    answers=entry.answers,
                    confidence=entry.confidence,
                )
                for entry in found.strengths
            ],
            sessions=found.sessions,
            basis=basis,
            note=note,
            model_id=catalogue.model.id,
        )

    async def catalogue(self) -> Catalogue:
        return await self._catalogues.current()

    async def _both(self, student_id: str) -> tuple[Catalogue, Learner]:
        return await self._catalogues.current(), await self._learners.read(student_id)

    def today(self) -> date:
        return datetime.now(UTC).astimezone(self._zone).date()


def _basis(learner: Learner) -> tuple[Basis, Texts]:
    return ("learner", _KNOWN) if learner.version else ("cold_start", _UNKNOWN)
