"""A model's second opinion: requests that wait at the same time share a call, per taxonomy."""

from __future__ import annotations

from uuid import UUID

from contracts.jobs import JobType
from services.assistant.ports import ModelWord
from services.assistant.triage.requests import ModelAnswer
from services.assistant.triage.taxonomy import Taxonomy
from services.kernel.llm.batching import Batcher, BatchKind
from services.kernel.llm.call_log import OFFLINE, Caller
from services.kernel.llm.catalogue import Purpose
from services.kernel.llm.prompts import DATA_RULE, data_block
from services.kernel.llm.router import ModelRouter

SHOWN_CHARACTERS = 2_000
"""Of a text in a prompt."""
_NOBODY = ModelAnswer(categories=[""], priority="")


class BatchedOpinions:
    def __init__(self, router: ModelRouter) -> None:
        self._router = router
        self._batchers: dict[str, Batcher[str, ModelAnswer]] = {}

    @property
    def available(self) -> bool:
        """See ``ports.SecondOpinion``."""
        return self._router.available

    async def ask(self, taxonomy: Taxonomy, text: str, job_id: str, deadline: float) -> ModelWord:
        """See ``ports.SecondOpinion``."""
        batcher = self._batchers.get(taxonomy.name)
        if batcher is None:
            batcher = self._batchers[taxonomy.name] = Batcher(self._router, _kind(taxonomy))
        answer = await batcher.ask(text, Caller(JobType.TRIAGE, UUID(job_id)), deadline)
        if answer.source == OFFLINE:
            return ModelWord(missing=answer.why or "no model answered")
        return ModelWord(tuple(answer.value.categories), answer.value.priority, answer.served_model or answer.model)

    async def close(self) -> None:
        for batcher in self._batchers.values():
            await batcher.close()


def _kind(taxonomy: Taxonomy) -> BatchKind[str, ModelAnswer]:
    several = "Name every category that applies." if taxonomy.multiple else "Name exactly one category."
    categories = "; ".join(f"{label.name} ({label.title.en})" for label in taxonomy.categories)
    instruction = (
        f"Sort a short request by these categories: {categories}. {several} "
        f"Priorities: {', '.join(taxonomy.priority_names)}. {taxonomy.instruction} {DATA_RULE}"
    )
    return BatchKind(
        Purpose.TRIAGE,
        instruction,
        lambda text: data_block("request", text, SHOWN_CHARACTERS),
        ModelAnswer,
        lambda _: _NOBODY,
        tokens_each=128,
    )
