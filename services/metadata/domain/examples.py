"""Examples: what may become one, how good it is, and which of them stay. Pure."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import Literal

from services.kernel.metadata_cache import Example, Quality, Questions, TableSchema
from services.kernel.sql.guard import CheckedQuery, Refused, check
from services.metadata.domain.lineage import columns_read
from services.metadata.domain.tables import Trial

WANTED = 5
"""Examples per table."""

_WEIGHTS = {"runs": 0.35, "non_empty": 0.25, "covers_new_columns": 0.1, "difficulty_spread": 0.1, "feedback": 0.2}
_LEAST_FEEDBACK = 0.3
"""Below it an example goes: two learners called it wrong, or several unclear, and nobody says that it worked."""

Difficulty = Literal["easy", "medium", "hard"]


@dataclass(frozen=True)
class Proposal:
    """A question and SQL that nobody has tried yet. ``source``: 'model', 'offline' or 'feedback'."""

    questions: Questions
    sql: str
    difficulty: Difficulty = "easy"
    source: str = "model"
    model: str = ""


@dataclass(frozen=True)
class Votes:
    """What learners said about one example. ``corrections``: SQL they wrote in its place, newest first."""

    worked: int = 0
    wrong: int = 0
    unclear: int = 0
    corrections: tuple[str, ...] = ()

    @property
    def score(self) -> float:
        """Laplace's rule of succession over the votes; 'unclear' counts half. 0.5 without any."""
        return (self.worked + 1) / (self.worked + self.wrong + self.unclear / 2 + 2)

    @property
    def rejected(self) -> bool:
        return self.score < _LEAST_FEEDBACK


@dataclass(frozen=True)
class Verified:
    """A proposal whose SQL ran (dry or for real)."""

    example: Example
    trial: Trial


@dataclass(frozen=True)
class Failed:
    proposal: Proposal
    error: str


@dataclass(frozen=True)
class Selection:
    """Old examples by what becomes of them; ``replacements`` are learners' corrections of the rejected ones."""

    kept: tuple[Example, ...] = ()
    replacements: tuple[Proposal, ...] = ()
    dropped: dict[str, str] = field(default_factory=dict)


def example_id(sql: str) -> str:
    """The same for the same SQL text, spacing and case of keywords aside."""
    return hashlib.sha256(" ".join(sql.split()).lower().encode()).hexdigest()[:16]


def admitted(sql: str, schema: TableSchema) -> CheckedQuery:
    """``sql`` as one read-only GoogleSQL query on this table alone.

    Raises:
        Refused: it is something else; model output and corrections are as hostile as learners' SQL.
    """
    checked = check(sql, "bigquery", [schema.table_id])
    if checked.tables and checked.tables != {schema.table_id.lower()}:
        raise Refused("unknown_table", subject=", ".join(sorted(checked.tables)))
    if not checked.tables:
        raise Refused("construct", subject="a query that reads no table")
    return checked


def verified(proposal: Proposal, checked: CheckedQuery, trial: Trial, schema: TableSchema) -> Verified:
    example = Example(
        id=example_id(proposal.sql),
        question=proposal.questions.ko or proposal.questions.en,
        questions=proposal.questions,
        sql=proposal.sql,
        difficulty=proposal.difficulty,
        columns=columns_read(checked.tree, schema),
        source=proposal.source,
        model=proposal.model,
        checks_made=1,
        checks_passed=1,
    )
    return Verified(example, trial)


def select(examples: Sequence[Example], invalid: Collection[str], votes: dict[str, Votes]) -> Selection:
    """Keep what is neither invalidated (by id) nor voted out; a correction takes the place of what was voted out."""
    kept, replacements, dropped = [], [], {}
    for example in examples:
        voted = votes.get(example.id, Votes())
        if example.id in invalid:
            dropped[example.id] = "reads a column that changed"
        elif voted.corrections and voted.wrong > voted.worked:
            replacements.append(_corrected(example, voted.corrections[0]))
            dropped[example.id] = "corrected by a learner"
        elif voted.rejected:
            dropped[example.id] = "learners reject it"
        else:
            kept.append(example)
    return Selection(tuple(kept), tuple(replacements), dropped)


def _corrected(example: Example, sql: str) -> Proposal:
    questions = example.questions or Questions(ko=example.question, en=example.question)
    difficulty: Difficulty = "hard" if example.difficulty == "hard" else "medium"
    return Proposal(questions, sql, difficulty, source="feedback")


def scored(
    found: Sequence[Verified], new_columns: Collection[str], votes: dict[str, Votes], most: int = WANTED
) -> tuple[Example, ...]:
    """The best ``most`` examples with their scores, best first; the parts are explained in ``Quality``."""
    levels = Counter(item.example.difficulty for item in found)
    rated = [
        item.example.model_copy(update={"quality": _quality(item, new_columns, votes, levels)})
        for item in {item.example.id: item for item in found}.values()
    ]
    return tuple(sorted(rated, key=lambda example: (-(example.quality.score if example.quality else 0), example.id)))[
        :most
    ]


def _quality(item: Verified, new_columns: Collection[str], votes: dict[str, Votes], levels: Counter[str]) -> Quality:
    example = item.example
    covered = not new_columns or bool({c.lower() for c in example.columns} & {c.lower() for c in new_columns})
    parts = {
        "runs": example.checks_passed / example.checks_made if example.checks_made else 0.0,
        # Unknown after a dry run.
        "non_empty": 0.5 if item.trial.rows is None else float(item.trial.rows > 0),
        "covers_new_columns": float(covered),
        "difficulty_spread": 1 / max(1, levels[example.difficulty]),
        "feedback": votes.get(example.id, Votes()).score,
    }
    score = sum(weight * parts[name] for name, weight in _WEIGHTS.items())
    return Quality(score=round(score, 4), **{name: round(value, 4) for name, value in parts.items()})
