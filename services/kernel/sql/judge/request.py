"""What the judge is asked and what it answers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import date
from typing import Any, Literal, TypeAlias

from services.kernel.sql.compare import ComparisonPolicy, Difference, ResultRow
from services.kernel.sql.dataset import Dataset, encode_value
from services.kernel.sql.judge.deadline import PassedLimit
from services.kernel.sql.mistakes import Mistake
from services.kernel.sql.results import ResultSet
from services.kernel.sql.schema import Schema

Outcome: TypeAlias = Literal["equivalent", "different", "unsupported"]
Method: TypeAlias = Literal["same_tree", "dataset", "search", "none"]


@dataclass(frozen=True)
class JudgeRequest:
    """``datasets``: the problem's own, tried before any search. ``budget_ms``: processor time for the whole
    judgement, which is also given up after ``deadline.WALL_FACTOR`` times as much wall-clock time.

    ``search``: False judges on ``datasets`` alone (and cannot tell more than they do). ``explain``: False leaves out
    what a learner is told beside the verdict: mistakes, scores by clause, remarks. ``as_of``: what CURRENT_DATE is;
    None: today's date in UTC.
    """

    schema: Schema
    reference_sql: str
    candidate_sql: str
    policy: ComparisonPolicy = field(default_factory=ComparisonPolicy)
    datasets: tuple[Dataset, ...] = ()
    seed: int = 0
    budget_ms: int = 2000
    search: bool = True
    explain: bool = True
    as_of: date | None = None

    def to_json(self) -> dict[str, Any]:
        return {
            "schema": self.schema.to_json(),
            "reference_sql": self.reference_sql,
            "candidate_sql": self.candidate_sql,
            "policy": asdict(self.policy),
            "datasets": [{"name": dataset.name, "tables": dataset.to_json()} for dataset in self.datasets],
            "seed": self.seed,
            "budget_ms": self.budget_ms,
            "search": self.search,
            "explain": self.explain,
            "as_of": self.as_of.isoformat() if self.as_of else None,
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> JudgeRequest:
        """Raises InvalidSchema, InvalidDataset, or KeyError when a field is missing."""
        schema = Schema.from_json(data["schema"])
        return cls(
            schema,
            data["reference_sql"],
            data["candidate_sql"],
            ComparisonPolicy(**data.get("policy", {})),
            tuple(Dataset.from_json(d["tables"], schema, d.get("name", "")) for d in data.get("datasets", ())),
            int(data.get("seed", 0)),
            int(data.get("budget_ms", 2000)),
            bool(data.get("search", True)),
            bool(data.get("explain", True)),
            date.fromisoformat(data["as_of"]) if data.get("as_of") else None,
        )


@dataclass(frozen=True)
class Counterexample:
    """A data set on which the two results differ; every constraint of the schema holds on it.

    ``by_chance``: the answer's own result there depends on the order in which rows are read, the reference's does not.
    """

    dataset: Dataset
    expected: ResultSet
    actual: ResultSet
    difference: Difference
    by_chance: bool = False

    def to_json(self) -> dict[str, Any]:
        return {
            "tables": self.dataset.to_json(),
            "expected": self.expected.to_json(),
            "actual": self.actual.to_json(),
            "difference": self.difference.kind,
            "position": self.difference.position,
            "missing": _rows_to_json(self.difference.missing),
            "extra": _rows_to_json(self.difference.extra),
            "by_chance": self.by_chance,
        }


@dataclass(frozen=True)
class DatasetScore:
    """How far the answer agrees on one of the problem's data sets; ``difference`` is None when it agrees."""

    name: str
    agrees: bool
    difference: str | None = None


@dataclass(frozen=True)
class Verdict:
    """``reason`` is a stable code; ``detail`` the engine's message where there is one.

    ``method``: what decided. ``instances``: how many made instances were tried. ``mistakes``: most telling first.
    ``clause_scores``: clause -> share that agrees, 0..1. ``score``: partial credit, 0..1, 1 only when accepted.
    ``remarks``: codes for an accepted answer that could be better. ``ended_by``: the limit that ended the search before
    all instances were tried, "" where none did. ``elapsed_ms`` is wall-clock time, ``cpu_ms`` processor time.
    ``as_of``: the date that CURRENT_DATE was; None where neither query asks for it.
    """

    outcome: Outcome
    reason: str
    method: Method
    engine: str
    seed: int
    budget_ms: int
    elapsed_ms: float
    detail: str = ""
    instances: int = 0
    ended_by: PassedLimit = ""
    datasets: tuple[DatasetScore, ...] = ()
    counterexample: Counterexample | None = None
    mistakes: tuple[Mistake, ...] = ()
    clause_scores: Mapping[str, float] = field(default_factory=dict)
    score: float = 0.0
    remarks: tuple[str, ...] = ()
    cpu_ms: float = 0.0
    as_of: date | None = None

    @property
    def exhausted(self) -> bool:
        """Whether the budget ended the search."""
        return self.ended_by != ""

    def to_json(self) -> dict[str, Any]:
        return {
            "outcome": self.outcome,
            "reason": self.reason,
            "detail": self.detail,
            "method": self.method,
            "engine": self.engine,
            "seed": self.seed,
            "budget_ms": self.budget_ms,
            "elapsed_ms": round(self.elapsed_ms, 3),
            "cpu_ms": round(self.cpu_ms, 3),
            "instances": self.instances,
            "exhausted": self.exhausted,
            "ended_by": self.ended_by,
            "datasets": [asdict(score) for score in self.datasets],
            "counterexample": self.counterexample.to_json() if self.counterexample else None,
            "mistakes": [asdict(mistake) for mistake in self.mistakes],
            "clause_scores": dict(self.clause_scores),
            "score": self.score,
            "remarks": list(self.remarks),
            "as_of": self.as_of.isoformat() if self.as_of else None,
        }


def _rows_to_json(rows: tuple[ResultRow, ...]) -> list[list[Any]]:
    return [[encode_value(value) for value in row] for row in rows]
