"""A published problem: everything the platform stores, shows and grades by."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from typing import Any

from services.generator.offline.words import Text
from services.generator.verify.check import MutantScore
from services.generator.verify.examples import wrong_queries
from services.kernel.sql.dataset import Dataset
from services.kernel.sql.schema import Schema


@dataclass(frozen=True)
class Provenance:
    """Enough to make the problem again: `recipe` and `seed` of its candidate."""

    source: str
    recipe: str
    seed: str


@dataclass(frozen=True)
class Problem:
    """`expected_answer`: {"columns", "types", "rows"} on the base data set, values as JSON. `datasets`: the base one,
    then small ones that catch what it misses. `ordered`: the order of rows is graded."""

    problem_date: date
    data_type: str
    set_index: int
    difficulty: str
    title: Text
    description: Text
    initial_sql: str
    expected_answer: dict[str, Any]
    hints: tuple[Text, Text, Text]
    tags: tuple[str, ...]
    ordered: bool
    schema: Schema
    reference_sql: str
    datasets: tuple[Dataset, ...]
    mutants: MutantScore
    provenance: Provenance

    @property
    def base(self) -> Dataset:
        return self.datasets[0]

    def to_json(self) -> dict[str, Any]:
        """The line that ``scripts/generate_problems.py`` writes."""
        return {
            "title": self.title.as_dict(),
            "description": self.description.as_dict(),
            "difficulty": self.difficulty,
            "tags": list(self.tags),
            "ordered": self.ordered,
            "ddl": self.schema.ddl(),
            "reference_sql": self.reference_sql,
            "datasets": [dataset.to_json() for dataset in self.datasets],
            "hints": {"ko": [h.ko for h in self.hints], "en": [h.en for h in self.hints]},
            "mutants": {
                "made": self.mutants.made,
                "killed": self.mutants.killed,
                "equivalent": self.mutants.equivalent,
            },
            "data_type": self.data_type,
            "initial_sql": self.initial_sql,
            "expected_answer": self.expected_answer,
            "provenance": {
                "source": self.provenance.source,
                "recipe": self.provenance.recipe,
                "seed": self.provenance.seed,
            },
        }


def lucky_answer(problem: Problem) -> str | None:
    """A wrong query that agrees with the reference on the base data set but not on a small one, if any."""
    return next((sql for sql, told in _wrong(problem) if 0 not in told), None)


def wrong_answer(problem: Problem) -> str:
    """A query that differs from the reference on the base data set already. Raises LookupError when there is none."""
    for sql, told in _wrong(problem):
        if 0 in told:
            return sql
    raise LookupError(f"no mutant of {problem.title.en!r} differs on the base data set")


def _wrong(problem: Problem) -> Iterator[tuple[str, frozenset[int]]]:
    return wrong_queries(problem.schema, problem.datasets, problem.reference_sql, ordered=problem.ordered)
