"""The assistant's own door: people correct what triage got wrong, and see which taxonomies there are."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from fastapi import FastAPI, Request
from pydantic import BaseModel, ConfigDict, Field, field_validator

from contracts.problems import LocaleText
from services.assistant.ports import Corrections
from services.assistant.triage.taxonomy import SEPARATOR, Example, Label, Taxonomy
from services.kernel.access import administrator
from services.kernel.http import Problem
from services.kernel.identity import TokenVerifier
from services.kernel.problems import problems

MAX_TEXT = 20_000


class Correction(BaseModel):
    """The right labels of a text. ``category``: several joined by "|" where the taxonomy allows it."""

    model_config = ConfigDict(extra="forbid")

    taxonomy: str = Field(max_length=80)
    text: str = Field(min_length=1, max_length=MAX_TEXT)
    category: str = Field(max_length=1_000)
    priority: str = Field(max_length=80)

    @field_validator("text")
    @classmethod
    def _can_be_kept(cls, value: str) -> str:
        if not value.strip():
            raise ValueError("the text is empty")
        if "\x00" in value or any("\ud800" <= character <= "\udfff" for character in value):
            raise ValueError("the text holds a NUL character or broken Unicode")
        return value


class Accepted(BaseModel):
    """``changed``: false when these very labels were known already."""

    changed: bool


class LabelView(BaseModel):
    name: str
    title: LocaleText


class TaxonomyView(BaseModel):
    name: str
    title: LocaleText
    multiple: bool
    categories: list[LabelView]
    priorities: list[LabelView]


def add_triage(
    app: FastAPI,
    taxonomies: Mapping[str, Taxonomy],
    corrections: Corrections,
    verifier: TokenVerifier,
    corrected: Callable[[], None],
) -> None:
    """Adds the routes. ``corrected`` is called after a correction that changed something; only administrators
    correct: what they say is what the next training believes."""

    @app.post("/triage/corrections", status_code=202, tags=["triage"], responses=problems(400, 401, 403, 413, 422))
    async def correct(correction: Correction, request: Request) -> Accepted:
        identity = await administrator(request, verifier)
        taxonomy = taxonomies.get(correction.taxonomy)
        if taxonomy is None:
            raise _wrong("taxonomy", f"there is none of this name; choose one of: {', '.join(sorted(taxonomies))}")
        labels = SEPARATOR.join(part.strip() for part in correction.category.split(SEPARATOR))
        example = Example(text=correction.text, category=labels, priority=correction.priority)
        try:
            taxonomy.check(example)
        except ValueError as error:
            field, _, message = str(error).partition(": ")
            raise _wrong(field, message) from error
        changed = await corrections.add(taxonomy, example, identity.user_id)
        if changed:
            corrected()
        return Accepted(changed=changed)

    @app.get("/triage/taxonomies", tags=["triage"])
    async def known() -> list[TaxonomyView]:
        return [
            TaxonomyView(
                name=taxonomy.name,
                title=taxonomy.title,
                multiple=taxonomy.multiple,
                categories=_views(taxonomy.categories),
                priorities=_views(taxonomy.priorities),
            )
            for taxonomy in taxonomies.values()
        ]


def _views(labels: tuple[Label, ...]) -> list[LabelView]:
    return [LabelView(name=label.name, title=label.title) for label in labels]


def _wrong(field: str, message: str) -> Problem:
    errors = [{"field": field, "message": message}]
    return Problem(422, "invalid-request", "The request is not valid", errors=errors)
