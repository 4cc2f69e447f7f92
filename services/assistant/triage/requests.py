"""What a triage job asks for, and its answer. Pure rules, no I/O."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from contracts.jobs import JobRequested
from services.assistant.triage.features import MAX_CHARACTERS
from services.assistant.triage.heads import Guess, Head, Reason
from services.assistant.triage.model import TriageModel
from services.assistant.triage.taxonomy import Label, Taxonomy
from services.kernel.jobs.context import JobFailedError
from services.kernel.jobs.requests import INVALID, json_object, validated


class TriageRequest(BaseModel):
    """``taxonomy``: empty for the deployment's own."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    text: str = Field(max_length=1_000_000)
    taxonomy: str = Field(default="", max_length=80)


def read_request(job: JobRequested, taxonomies: Mapping[str, Taxonomy], default: str) -> tuple[str, Taxonomy]:
    """The text and its taxonomy. The query is the text itself, or JSON {"text", "taxonomy"?}; ``options.taxonomy``
    names one too.

    Raises:
        JobFailedError: names every wrong field, and the taxonomies there are.
    """
    fields = json_object(job.query) if job.query.lstrip().startswith('{"text"') else {"text": job.query}
    stated = json.loads(job.options).get("taxonomy")
    request = validated(TriageRequest, {**({"taxonomy": stated} if stated is not None else {}), **(fields or {})})
    if not request.text.strip():
        raise JobFailedError("text: the request is empty; write what is wrong", code=INVALID)
    taxonomy = taxonomies.get(request.taxonomy or default)
    if taxonomy is None:
        known = ", ".join(sorted(taxonomies))
        raise JobFailedError(f"taxonomy: there is no {request.taxonomy!r}; choose one of: {known}", code=INVALID)
    return request.text, taxonomy


@dataclass(frozen=True)
class Local:
    """The local classifier's answer. ``sure``: no model needs to be asked."""

    category: Guess
    priority: Guess
    sure: bool
    version: str

    @classmethod
    def of(cls, model: TriageModel, text: str) -> Local:
        category, priority = model.answer(text)
        sure = category.confidence >= model.category.unsure_below and priority.confidence >= model.priority.unsure_below
        return cls(category, priority, sure, model.version)


class ModelAnswer(BaseModel):
    """What a model is asked for. Names outside the taxonomy are dropped by ``combined``."""

    categories: list[str] = Field(min_length=1, max_length=10)
    priority: str


def combined(guess: Guess, head: Head, stated: list[str], accuracy: float) -> Guess:
    """The local probabilities after a model's word, by Bayes' rule: a model names the right label with probability
    ``accuracy`` and each wrong one equally often. Names that are no label change nothing.

    Assumes that the two err independently.
    """
    named = [name for name in stated if name in head.labels]
    if not named:
        return guess
    if head.multiple:
        posterior = {
            label: _agreeing(probability, accuracy if label in named else 1 - accuracy)
            for label, probability in guess.probabilities.items()
        }
    else:
        wrong = (1 - accuracy) / max(1, len(head.labels) - 1)
        # A local probability of zero must not make the model's word worthless.
        raw = {
            label: max(probability, 1e-4) * (accuracy if label == named[0] else wrong)
            for label, probability in guess.probabilities.items()
        }
        total = sum(raw.values())
        posterior = {label: value / total for label, value in raw.items()}
    ordered = sorted(posterior, key=lambda label: -posterior[label])
    chosen = [ordered[0], *(label for label in ordered[1:] if head.multiple and posterior[label] >= head.cut)]
    why = guess.why if ordered[0] == guess.labels[0] else ()
    return Guess(tuple(chosen), posterior[ordered[0]], posterior, why)


def _agreeing(prior: float, likelihood: float) -> float:
    prior = min(max(prior, 1e-4), 1 - 1e-4)
    return prior * likelihood / (prior * likelihood + (1 - prior) * (1 - likelihood))


@dataclass(frozen=True)
class Decision:
    """``source``: "model" where a model was heard, else "local". ``fallback``: why no model was heard although the
    local answer is unsure; empty otherwise."""

    category: Guess
    priority: Guess
    source: Literal["local", "model"]
    local: Local
    model: str = ""
    fallback: str = ""


def result_of(decision: Decision, taxonomy: Taxonomy, text: str) -> dict[str, Any]:
    """The job's result, as the client reads it."""
    category, priority = decision.category, decision.priority
    return {
        "taxonomy": taxonomy.name,
        "category": category.labels[0],
        "categories": list(category.labels),
        "priority": priority.labels[0],
        "confidence": {"category": round(category.confidence, 4), "priority": round(priority.confidence, 4)},
        "sure": decision.local.sure or decision.source == "model",
        "source": decision.source,
        "model": decision.model,
        "fallback": decision.fallback,
        "why": {"category": _reasons(category.why), "priority": _reasons(priority.why)},
        "explanation": _explanation(decision, taxonomy),
        "probabilities": {
            "category": {name: round(value, 4) for name, value in category.probabilities.items()},
            "priority": {name: round(value, 4) for name, value in priority.probabilities.items()},
        },
        "local": {
            "category": decision.local.category.labels[0],
            "priority": decision.local.priority.labels[0],
            "sure": decision.local.sure,
            "classifier": decision.local.version,
        },
        "truncated": len(text) > MAX_CHARACTERS,
    }


def _reasons(why: tuple[Reason, ...]) -> list[dict[str, Any]]:
    return [{"term": reason.term, "weight": round(reason.weight, 4), "keyword": reason.keyword} for reason in why]


def _explanation(decision: Decision, taxonomy: Taxonomy) -> dict[str, str]:
    category = _titled(taxonomy.categories, decision.category.labels[0])
    priority = _titled(taxonomy.priorities, decision.priority.labels[0])
    terms = list(dict.fromkeys(reason.term for reason in (*decision.category.why[:2], *decision.priority.why[:2])))
    quoted = ", ".join(f"“{term}”" for term in terms)
    percent = round(100 * min(decision.category.confidence, decision.priority.confidence))
    ko = f"분류: {category.title.ko}, 우선순위: {priority.title.ko} (확신 {percent}%)."
    en = f"Category: {category.title.en}, priority: {priority.title.en} ({percent}% certain)."
    if quoted:
        ko, en = f"{ko} 근거: {quoted}.", f"{en} Because of {quoted}."
    if decision.fallback:
        ko += " 확신이 낮지만 모델에 물을 수 없어 자체 분류 결과를 그대로 둡니다. 사람이 확인해 주세요."
        en += " It is unsure and no model could be asked, so the local answer stands: a person should look."
    return {"ko": ko, "en": en}


def _titled(labels: tuple[Label, ...], name: str) -> Label:
    return next(label for label in labels if label.name == name)
