"""What a new revision may change, and what it may not."""

from enum import StrEnum
from typing import Annotated, Any, Literal

import pytest
from pydantic import AwareDatetime, Field

from contracts.checks.compatibility import incompatibilities
from contracts.exports.json_schema import json_schema
from contracts.jobs import JobProgressed
from contracts.message import Message, Record
from contracts.problems import LocaleText, ProblemPublished
from tests.support.contracts import variant


class _Step(StrEnum):
    COLLECTING = "collecting"
    ANALYSING = "analysing"


class _ShorterText(Record):
    ko: str


class _LongerText(LocaleText):
    ja: str


def _found(old: type[Message], new: type[Message]) -> list[str]:
    return incompatibilities(json_schema(old), json_schema(new))


ALLOWED: dict[str, dict[str, Any]] = {
    "a new field with a default": {"fields": {"note": (str, "")}},
    "a new list field with a default": {"fields": {"notes": (list[str], Field(default=[]))}},
    "a wider bound": {"fields": {"progress": (Annotated[int, Field(ge=0, le=200)], ...)}},
    "a bound dropped": {"fields": {"progress": (int, ...)}},
    "a default given": {"fields": {"step": (str, "")}},
    "another description": {"fields": {"step": (str, Field(description="Where the worker is."))}},
}


@pytest.mark.parametrize("change", ALLOWED.values(), ids=ALLOWED)
def test_compatible(change: dict[str, Any]) -> None:
    assert _found(JobProgressed, variant(JobProgressed, **change)) == []


REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "a new field without default": ({"fields": {"note": (str, ...)}}, "new field note has no default"),
    "a field removed": ({"without": ("step",)}, "field step was removed"),
    "a field renamed": ({"without": ("step",), "fields": {"stage": (str, "")}}, "field step was removed"),
    "a field retyped": ({"fields": {"progress": (str, ...)}}, "progress changed its type from 'integer' to 'string'"),
    "text made a time": ({"fields": {"step": (AwareDatetime, ...)}}, "step changed its format"),
    "text made a fixed set": ({"fields": {"step": (_Step, ...)}}, "step now accepts only"),
    "a field made optional": ({"fields": {"step": (str | None, None)}}, "step changed its type"),
    "a lower bound raised": ({"fields": {"fence": (Annotated[int, Field(ge=5)], ...)}}, "fence tightened its minimum"),
    "an upper bound lowered": (
        {"fields": {"progress": (Annotated[int, Field(ge=0, le=99)], ...)}},
        "progress tightened its maximum from 100 to 99",
    ),
    "a bound added": (
        {"fields": {"step": (Annotated[str, Field(max_length=20)], ...)}},
        "step tightened its maxLength",
    ),
    "items retyped": ({"fields": {"step": (list[str], ...)}}, "step changed its type from 'string' to 'array'"),
}


@pytest.mark.parametrize(("change", "what"), REFUSED.values(), ids=REFUSED)
def test_incompatible(change: dict[str, Any], what: str) -> None:
    assert any(what in found for found in _found(JobProgressed, variant(JobProgressed, **change)))


def test_a_default_may_not_be_taken_back() -> None:
    with_default = variant(JobProgressed, fields={"note": (str, "")})
    without = variant(JobProgressed, fields={"note": (str, ...)})
    assert _found(with_default, without) == ["field note lost its default"]


@pytest.mark.parametrize(
    ("old", "new", "found"),
    [
        (Literal["a", "b"], Literal["a"], ["step no longer accepts ['b']"]),
        (Literal["a", "b"], Literal["a", "b", "c"], []),
        (Literal["a"], Literal["b"], ["step no longer accepts ['a']"]),
        (_Step, Literal["collecting", "analysing"], []),
        (_Step, Literal["collecting"], ["step no longer accepts ['analysing']"]),
    ],
)
def test_a_set_of_values_may_grow_but_not_shrink(old: Any, new: Any, found: list[str]) -> None:
    before, after = (variant(JobProgressed, fields={"step": (values, ...)}) for values in (old, new))
    assert _found(before, after) == found


@pytest.mark.parametrize(
    ("nested", "found"),
    [
        (_ShorterText, ["field title.en was removed"]),
        (_LongerText, ["new field title.ja has no default"]),
        (list[LocaleText], ["title changed its type from 'object' to 'array'"]),
    ],
)
def test_nested_values_are_compared_too(nested: Any, found: list[str]) -> None:
    changed = _found(ProblemPublished, variant(ProblemPublished, fields={"title": (nested, ...)}))
    assert set(found) <= set(changed)


def test_items_of_lists_are_compared_too() -> None:
    changed = variant(ProblemPublished, fields={"tags": (list[int], ...)})
    assert _found(ProblemPublished, changed) == ["tags[] changed its type from 'string' to 'integer'"]
