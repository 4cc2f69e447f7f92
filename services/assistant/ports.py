"""What the assistant's handlers need from outside."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from services.assistant.analysis.examples import DataExample
from services.assistant.triage.model import TriageModel
from services.assistant.triage.taxonomy import Example, Taxonomy

if TYPE_CHECKING:
    from services.kernel.sql.schema import Schema


@dataclass(frozen=True)
class ModelWord:
    """What a model said of one text; ``missing``: why nobody said anything, or empty."""

    categories: tuple[str, ...] = ()
    priority: str = ""
    model: str = ""
    missing: str = ""


class Classifiers(Protocol):
    async def get(self, taxonomy: Taxonomy, wait: float) -> TriageModel:
        """The classifier in use.

        Raises:
            TransientError: none has been trained within ``wait`` seconds.
        """
        ...


class SecondOpinion(Protocol):
    @property
    def available(self) -> bool:
        """Whether there is any model to ask."""
        ...

    async def ask(self, taxonomy: Taxonomy, text: str, job_id: str, deadline: float) -> ModelWord:
        """A model's word on ``text``; ``deadline`` in monotonic seconds. Many texts travel in one call."""
        ...


class Corrections(Protocol):
    async def add(self, taxonomy: Taxonomy, example: Example, corrected_by: str) -> bool:
        """Remember the right labels of a text; False when these very labels are known already."""
        ...

    async def all(self, taxonomy: str) -> Sequence[Example]:
        """Oldest first."""
        ...


class StoredClassifiers(Protocol):
    async def newest(self, taxonomy: str) -> Sequence[tuple[int, str, bytes, str]]:
        """(id, version, artefact, digest) of the last few, newest first."""
        ...

    async def add(self, taxonomy: str, model: TriageModel, artefact: bytes, examples: int) -> int:
        """The id of the new row."""
        ...


class Trainer(Protocol):
    async def train(self, taxonomy: Taxonomy, corrections: Sequence[Example]) -> bytes:
        """A classifier's artefact.

        Raises:
            TransientError: the training did not come to its end.
        """
        ...


@dataclass(frozen=True)
class WrittenSql:
    """``missing``: why there is no SQL, or empty."""

    sql: str = ""
    model: str = ""
    missing: str = ""


class SqlWriter(Protocol):
    async def write(
        self,
        question: str,
        ddl: Sequence[str],
        notes: str,
        examples: Sequence[DataExample],
        job_id: str,
        deadline: float,
    ) -> WrittenSql:
        """A model's SQL (DuckDB), unchecked; ``deadline`` in monotonic seconds."""
        ...


@dataclass(frozen=True)
class TableKnowledge:
    """``notes``: what is said of the tables, foreign text. ``examples``: the best first."""

    notes: str
    examples: tuple[DataExample, ...]


class DataKnowledge(Protocol):
    async def of(self, data_type: str, schema: Schema) -> TableKnowledge:
        """What is known of a data set beside its tables; ``data_type`` empty for tables that came along."""
        ...
