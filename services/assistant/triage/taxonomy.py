"""A taxonomy: the categories and priorities of one kind of request, and the words and examples that tell them apart."""

from __future__ import annotations

import csv
import hashlib
from functools import cached_property
from io import StringIO
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from contracts.problems import LocaleText
from services.kernel.errors import ConfigurationError

SHIPPED = Path(__file__).resolve().parent.parent / "taxonomies"
SEPARATOR = "|"
"""Between the categories of one text, in files and corrections of taxonomies that allow several."""

Split = Literal["train", "test", "development", "fresh"]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Label(_Part):
    """``keywords``: lower case; a Latin one matches the beginning of a word, any other one anywhere."""

    name: str = Field(min_length=1, max_length=80, pattern=r"^[^|\s][^|]*$")
    title: LocaleText
    keywords: tuple[str, ...] = ()
    default: bool = False


class Example(_Part):
    """A text and what it is. ``category`` holds several, joined by ``SEPARATOR``, where the taxonomy allows it."""

    text: str = Field(min_length=1)
    category: str
    priority: str

    @property
    def categories(self) -> tuple[str, ...]:
        return tuple(part.strip() for part in self.category.split(SEPARATOR) if part.strip())


class Taxonomy(_Part):
    """``multiple``: a text may belong to several categories. ``requests``: a CSV file of labelled requests beside the
    YAML, of which the rows of split ``train`` are examples too and those of ``test`` are never trained on."""

    name: str = Field(pattern=r"^[a-z0-9_]{1,80}$")
    title: LocaleText
    instruction: str = ""
    multiple: bool = False
    requests: str = ""
    categories: tuple[Label, ...] = Field(min_length=1)
    priorities: tuple[Label, ...] = Field(min_length=1)
    examples: tuple[Example, ...] = ()

    @model_validator(mode="after")
    def _is_consistent(self) -> Self:
        for what, labels in (("category", self.categories), ("priority", self.priorities)):
            names = [label.name for label in labels]
            if len(set(names)) < len(names):
                raise ValueError(f"a {what} is named twice: {', '.join(sorted(names))}")
        for example in self.examples:
            self.check(example)
        return self

    def check(self, example: Example) -> None:
        """Raises ValueError: the example names a label that the taxonomy does not have."""
        unknown = sorted(set(example.categories) - set(self.category_names))
        if unknown or not example.categories:
            known = ", ".join(self.category_names)
            raise ValueError(f"category: {', '.join(unknown) or 'nothing'} is none of {known}")
        if len(example.categories) > 1 and not self.multiple:
            raise ValueError("category: this taxonomy gives every text one category")
        if example.priority not in self.priority_names:
            raise ValueError(f"priority: {example.priority!r} is none of {', '.join(self.priority_names)}")

    @cached_property
    def category_names(self) -> tuple[str, ...]:
        return tuple(label.name for label in self.categories)

    @cached_property
    def priority_names(self) -> tuple[str, ...]:
        return tuple(label.name for label in self.priorities)

    @cached_property
    def digest(self) -> str:
        """Of everything a classifier is trained from, corrections aside."""
        return hashlib.sha256(self.model_dump_json().encode()).hexdigest()


def load(path: Path) -> Taxonomy:
    """Read one YAML file, and the requests beside it.

    Raises:
        ConfigurationError: says what is wrong in which file.
    """
    import yaml

    try:
        # libyaml reads it in a seventh of the time, which a start can feel; where it is not built in, Python reads it.
        loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
        content: dict[str, Any] = yaml.load(path.read_text(encoding="utf-8"), loader)  # noqa: S506 - both are safe
        if content.get("requests"):
            content["examples"] = [*content.get("examples", []), *read_examples(path.parent / content["requests"])]
        return Taxonomy.model_validate(content)
    except (OSError, yaml.YAMLError, ValidationError, ValueError, AttributeError, TypeError) as error:
        raise ConfigurationError(f"the taxonomy {path} cannot be used: {error}", code="bad_taxonomy") from error


def load_all(directories: tuple[Path, ...]) -> dict[str, Taxonomy]:
    """Every ``*.yaml`` by name; a later directory's replaces an earlier one's of the same name.

    Raises:
        ConfigurationError: see ``load``, or a directory has none.
    """
    found: dict[str, Taxonomy] = {}
    for directory in directories:
        files = sorted(directory.glob("*.yaml"))
        if not files:
            raise ConfigurationError(f"there is no taxonomy (*.yaml) in {directory}", code="bad_taxonomy")
        found.update((taxonomy.name, taxonomy) for taxonomy in map(load, files))
    return found


def read_examples(path: Path, split: Split = "train") -> list[Example]:
    """Labelled texts of a CSV file with the columns text, category and priority. Where there is a column ``split``,
    only rows of ``split`` are read; a file without priorities gets the priority "medium".

    Raises:
        ValueError: a column is missing, or the file has no row to read.
        OSError: it cannot be read.
    """
    rows = list(csv.DictReader(StringIO(path.read_text(encoding="utf-8-sig"))))
    missing = {"text", "category"} - set(rows[0] if rows else ())
    if missing:
        raise ValueError(f"{path} has no column {', '.join(sorted(missing))}, or no rows")
    kept = [row for row in rows if row.get("split", split) == split and row["text"].strip()]
    if not kept:
        raise ValueError(f"{path} has no rows of split {split}")
    return [
        Example(text=row["text"], category=row["category"], priority=row.get("priority") or "medium") for row in kept
    ]
