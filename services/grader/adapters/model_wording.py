"""Hints and explanations of errors in a model's words; learners who wait at the same time share a call."""

from __future__ import annotations

import logging
import time
from dataclasses import replace
from uuid import UUID

from contracts.jobs import JobType
from contracts.problems import LocaleText
from services.grader import wording
from services.grader.domain import Judgement, Problem
from services.grader.wording import Wordable, Words
from services.kernel.llm.batching import Batcher, BatchKind
from services.kernel.llm.call_log import OFFLINE, Caller
from services.kernel.llm.catalogue import Purpose
from services.kernel.llm.router import ModelRouter

_logger = logging.getLogger(__name__)

_TOKENS_EACH = 400


class ModelWording:
    """``patience``: seconds that a learner waits for better words than the offline ones."""

    def __init__(self, router: ModelRouter, patience: float) -> None:
        self._router = router
        self._patience = patience
        self._hints = Batcher(router, _kind(Purpose.HINTS, wording.HINT_INSTRUCTION))
        self._errors = Batcher(router, _kind(Purpose.ERROR, wording.ERROR_INSTRUCTION))

    async def word(self, problem: Problem, sql: str, judgement: Judgement, job_id: UUID) -> Judgement:
        """See ``ports.Wording``."""
        if judgement.verdict == "correct":
            return judgement
        if not self._router.available:
            return offline(judgement, "no model is configured")
        failed = wording.is_error(judgement)
        batcher = self._errors if failed else self._hints
        item = wording.wordable(problem, sql, judgement)
        answer = await batcher.ask(item, Caller(JobType.GRADING, job_id), time.monotonic() + self._patience)
        if answer.source == OFFLINE:
            return offline(judgement, answer.why or "no model answered in time")
        unfit = wording.fit_for_learners(answer.value, problem, sql)
        if unfit:
            _logger.warning("a model's words were dropped: %s", unfit, extra={"action": "wording.dropped"})
            return offline(judgement, unfit)
        text = LocaleText(ko=answer.value.ko, en=answer.value.en).model_dump()
        said = {"source": "model", "model": answer.served_model or answer.model, "why": ""}
        return _with(judgement, {"explanation" if failed else "hint": text, "wording": said})

    async def close(self) -> None:
        await self._hints.close()
        await self._errors.close()


def offline(judgement: Judgement, why: str) -> Judgement:
    """The judgement in its own words, marked so."""
    return _with(judgement, {"wording": {"source": OFFLINE, "model": "", "why": why}})


def _with(judgement: Judgement, parts: dict[str, object]) -> Judgement:
    return replace(judgement, feedback={**judgement.feedback, **parts})


def _kind(purpose: Purpose, instruction: str) -> BatchKind[Wordable, Words]:
    return BatchKind(
        purpose,
        instruction,
        lambda item: item.prompt,
        Words,
        lambda item: Words.model_construct(ko=item.offline.ko, en=item.offline.en),
        tokens_each=_TOKENS_EACH,
    )
