"""What a grading job asks for, and what a judgement says. Pure rules, no I/O."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, field_validator

from contracts.jobs import JobRequested
from contracts.problems import GradingDataSet, LocaleHints, LocaleText
from services.kernel.jobs.context import JobFailedError
from services.kernel.jobs.requests import INVALID, json_object, validated

Dialect = Literal["duckdb", "bigquery"]
MAX_SQL = 20_000

_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")
"""What Postgres keeps neither as text nor inside jsonb."""


class Submission(BaseModel):
    """A ``grading`` job's query. ``user``: empty for an anonymous learner."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    problem_id: UUID
    sql: str = Field(max_length=MAX_SQL)
    dialect: Dialect = "duckdb"
    user: str = Field(default="", max_length=200)

    @field_validator("sql")
    @classmethod
    def _says_something(cls, value: str) -> str:
        if not value.strip():
            raise ValueError("the answer is empty; write one SELECT statement")
        if _UNSTORABLE.search(value):
            raise ValueError("the answer holds a NUL character or broken Unicode; type it again without")
        return value


def read_submission(job: JobRequested) -> Submission:
    """The submission in ``job``. Its user is the one who posted the job: nobody submits for another.

    Raises:
        JobFailedError: names every wrong field.
    """
    fields = json_object(job.query)
    if fields is None:
        raise JobFailedError(
            'query: write JSON such as {"problem_id": "...", "sql": "SELECT ..."}',
            code=INVALID,
        )
    stated = fields.pop("user", None) or job.user_id
    if stated != job.user_id:
        whose = f"by {job.user_id!r}" if job.user_id else "anonymously"
        raise JobFailedError(f"user: this job was posted {whose}; leave the field out", code=INVALID)
    return validated(Submission, {**fields, "user": job.user_id})


def answer_key(sql: str, dialect: Dialect) -> bytes:
    """Equal for answers that differ in white space, comments or a final semicolon only."""
    from sqlglot import Dialect as SqlglotDialect
    from sqlglot.errors import TokenError

    try:
        tokens = [[token.token_type.name, token.text] for token in SqlglotDialect.get_or_raise(dialect).tokenize(sql)]
        while tokens and tokens[-1][0] == "SEMICOLON":
            tokens.pop()
        content = json.dumps(tokens)
    except TokenError:
        content = json.dumps(sql)  # not even tokens: it is what it is
    return hashlib.sha256(f"{dialect}:{content}".encode("utf-8", "surrogatepass")).digest()


@dataclass(frozen=True)
class Problem:
    """The grader's copy. ``reference_sql`` never leaves the service."""

    id: UUID
    data_type: str
    difficulty: str
    tags: tuple[str, ...]
    title: LocaleText
    hints: LocaleHints
    ddl: tuple[str, ...]
    reference_sql: str
    ordered: bool
    datasets: tuple[GradingDataSet, ...]

    @property
    def seed(self) -> int:
        """Of every search on this problem, so that one answer always meets the same data."""
        return int.from_bytes(hashlib.sha256(self.id.bytes).digest()[:4])


@dataclass(frozen=True)
class Judgement:
    """What the judge found. ``feedback``: what else the learner gets (see ``feedback.py``), free of the reference."""

    verdict: Literal["correct", "wrong"]
    score: float
    feedback: Mapping[str, Any]
    duration_ms: int
    mistake_kind: str = ""
    mistake_clause: str = ""
    counterexample: Mapping[str, Any] | None = None

    @property
    def position_matters(self) -> bool:
        """The feedback points at a place in the text, so it fits this very text only."""
        return bool(self.feedback.get("position"))


@dataclass(frozen=True)
class StoredVerdict:
    id: int
    answer: str
    judgement: Judgement

    def fits(self, sql: str) -> bool:
        return self.answer == sql or not self.judgement.position_matters


def storable(value: Any) -> Any:
    """JSON-able ``value`` with U+FFFD in place of characters that Postgres cannot keep (a query can return them)."""
    if isinstance(value, str):
        return _UNSTORABLE.sub("\ufffd", value)
    if isinstance(value, Mapping):
        return {str(storable(key)): storable(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [storable(part) for part in value]
    return value
