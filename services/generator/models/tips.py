"""The tip of the day by a model, about the concept whose turn it is; without one, the offline tip about it."""

from __future__ import annotations

from datetime import date
from typing import Annotated, Final
from uuid import UUID

from pydantic import AfterValidator, BaseModel, ConfigDict, StringConstraints

from services.generator.offline.concepts import CONCEPTS
from services.generator.offline.tips import tip_of_the_day
from services.generator.ports import WrittenTip
from services.kernel.llm.call_log import Caller
from services.kernel.llm.catalogue import Purpose
from services.kernel.llm.prompts import clean
from services.kernel.llm.router import Ask, ModelRouter

JOB_TYPE: Final = "daily_tip"

_INSTRUCTION: Final = """You write one SQL tip a day for analysts: two or three sentences they can use today.
Be exact and concrete; a short piece of SQL is welcome. Korean in ko, English in en, saying the same. No greeting."""


def _clean(text: str) -> str:
    return clean(text, len(text) + 1).strip()


_TipText = Annotated[str, AfterValidator(_clean), StringConstraints(min_length=20, max_length=800)]


class TipDraft(BaseModel):
    model_config = ConfigDict(extra="forbid")

    ko: Annotated[_TipText, StringConstraints(pattern="[가-힣]")]
    en: Annotated[_TipText, StringConstraints(pattern="[A-Za-z]")]


class ModelTips:
    """See ``ports.TipWriter``."""

    def __init__(self, router: ModelRouter) -> None:
        self._router = router

    async def __call__(self, day: date, job_id: UUID, deadline: float) -> WrittenTip:
        fixed = tip_of_the_day(day)
        concept = CONCEPTS[fixed.tag]
        answer = await self._router.ask(
            Ask(
                Purpose.TIPS,
                _INSTRUCTION,
                f"Concept: {concept.name.en} ({concept.name.ko}). Said before, say something else: {concept.tip.en}",
                TipDraft,
                lambda: TipDraft.model_construct(ko=fixed.content.ko, en=fixed.content.en),
                temperature=0.8,
            ),
            Caller(JOB_TYPE, job_id),
            deadline,
        )
        content = {"ko": answer.value.ko, "en": answer.value.en}
        return WrittenTip(content, fixed.category, answer.source, answer.why)
