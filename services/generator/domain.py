"""What a generation job asks for, and what it makes. Pure rules, no I/O."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Annotated, Any, Literal
from zoneinfo import ZoneInfo

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, field_validator

from contracts.jobs import JobRequested
from contracts.problems import GradingDataSet, LocaleHints, LocaleText, Provenance
from services.generator.datasets import DATA_TYPES, MAX_ROWS, MIN_ROWS
from services.generator.offline.concepts import CONCEPTS
from services.kernel.jobs.context import JobFailedError
from services.kernel.jobs.requests import INVALID, json_object, validated

SEOUL = ZoneInfo("Asia/Seoul")
"""The day of a problem or tip is the day in Seoul."""

DAILY_SET = 0
"""The scheduled set of a date and data type; sets made on demand count from 1."""

MAX_COUNT = 1_000
_MAX_SEED = 2**63 - 1

Difficulty = Literal["easy", "medium", "hard", "expert"]
Locale = Literal["ko", "en", "both"]


_COMPANY_TABLE = re.compile(r"[a-z][a-z0-9-]{4,28}[a-z0-9]\.\w{1,300}\.[\w -]{1,300}")


def is_company_table(data_type: str) -> bool:
    """Whether it names a BigQuery table that the metadata service may know, not a data set of our own."""
    return _COMPANY_TABLE.fullmatch(data_type) is not None


def _as_list(value: object) -> object:
    return [value] if isinstance(value, str) else value


class GenerationOrder(BaseModel):
    """A ``problem_generation`` job. ``data_type``: a data set of our own, or a company's table as
    ``project.dataset.table``. ``daily``: fill the date's scheduled set, once, however often it is asked for.
    ``long``: run in a process of its own, without the worker's time limit."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=False)

    data_type: str
    count: int = Field(ge=1, le=MAX_COUNT, strict=True)
    difficulty: Annotated[tuple[Difficulty, ...], BeforeValidator(_as_list)] = Field(default=(), max_length=4)
    topics: Annotated[tuple[str, ...], BeforeValidator(_as_list)] = Field(default=(), max_length=30)
    locale: Locale = "both"
    seed: int = Field(ge=0, le=_MAX_SEED, strict=True)
    rows: int = Field(ge=MIN_ROWS, le=MAX_ROWS, strict=True)
    problem_date: date
    daily: bool = Field(default=False, strict=True)
    long: bool = Field(default=False, strict=True)

    @field_validator("data_type")
    @classmethod
    def _known_data_type(cls, value: str) -> str:
        if value not in DATA_TYPES and not is_company_table(value):
            raise ValueError(
                f"there is no data set {value[:60]!r}, name one of {', '.join(DATA_TYPES)}, or project.dataset.table"
            )
        return value

    @field_validator("topics")
    @classmethod
    def _known_topics(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        unknown = [topic[:60] for topic in value if topic not in CONCEPTS]
        if unknown:
            raise ValueError(f"unknown {', '.join(map(repr, unknown))}, known are {', '.join(sorted(CONCEPTS))}")
        return value


@dataclass(frozen=True)
class OrderDefaults:
    count: int
    max_count: int
    rows: int


OPTIONS = frozenset(GenerationOrder.model_fields) - {"daily"}
"""Fields that may also stand in the job's options; other options belong to intake and are ignored here."""


def read_order(job: JobRequested, defaults: OrderDefaults) -> GenerationOrder:
    """The order in ``job``: JSON or a short text naming the data type, and options (the query's fields win).

    Raises:
        JobFailedError: names every wrong field.
    """
    options: dict[str, Any] = json.loads(job.options)
    fields = {name: value for name, value in options.items() if name in OPTIONS and value is not None}
    stated = json_object(job.query)
    if stated is not None:
        fields |= stated
    elif "data_type" not in fields:
        fields["data_type"] = _named_data_type(job.query)
    schedule, due_at = _schedule(options)
    if not schedule and fields.get("daily"):
        raise JobFailedError("daily: only a schedule fills the set of a day", code=INVALID)
    fields.setdefault("daily", bool(schedule))
    fields.setdefault("problem_date", (due_at or job.requested_at).astimezone(SEOUL).date().isoformat())
    fields.setdefault("count", defaults.count)
    fields.setdefault("rows", defaults.rows)
    fields.setdefault("seed", _own_seed(job, fields))
    order = validated(GenerationOrder, fields)
    if order.count > defaults.max_count:
        raise JobFailedError(f"count: at most {defaults.max_count} problems a job", code=INVALID)
    return order


def _schedule(options: Mapping[str, Any]) -> tuple[str, datetime | None]:
    """The line of the cron table that made this job, if any, and when it was due; intake lets no client write these."""
    metadata = options.get("metadata")
    if not isinstance(metadata, dict) or not isinstance(metadata.get("schedule"), str):
        return "", None
    due_at = metadata.get("dueAt")
    return metadata["schedule"], datetime.fromisoformat(due_at) if isinstance(due_at, str) else None


def _own_seed(job: JobRequested, fields: Mapping[str, Any]) -> int:
    """Reproducible without being told: by date and data type for the daily set, else by the job."""
    text = f"{fields['problem_date']}:{fields.get('data_type')}" if fields.get("daily") else job.job_id
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:4])


def _named_data_type(text: str) -> str:
    tables = set(re.findall(r"(?<![\w.])[a-z][a-z0-9-]{4,28}[a-z0-9]\.\w+\.[\w-]+", text))
    named: set[str] = tables or {word for word in re.findall(r"[a-z_]+", text.lower()) if word in DATA_TYPES}
    if len(named) != 1:
        raise JobFailedError(
            f"query: name one data set ({', '.join(DATA_TYPES)}), or write JSON such as "
            '{"data_type": "pa", "count": 5}',
            code=INVALID,
        )
    return named.pop()


def day_of(job: JobRequested) -> date:
    """The date a ``daily_tip`` job is for: its query's or option's ``tip_date``, else the day it was asked for.

    Raises:
        JobFailedError: ``tip_date`` is no ISO date.
    """
    options = json.loads(job.options)
    stated = (json_object(job.query) or {}).get("tip_date", options.get("tip_date"))
    _, due_at = _schedule(options)
    if stated is None:
        return (due_at or job.requested_at).astimezone(SEOUL).date()
    try:
        return date.fromisoformat(stated)
    except (TypeError, ValueError) as error:
        raise JobFailedError(f"tip_date: {stated!r} is no date such as 2026-11-21", code=INVALID) from error


@dataclass(frozen=True)
class ProblemSet:
    """A claimed place for problems: ``chunks`` of it are made and stored, ``dropped`` counts why candidates fell."""

    problem_date: date
    data_type: str
    set_index: int
    wanted: int
    seed: int
    chunks: int = 0
    dropped: Mapping[str, int] = field(default_factory=dict)
    completed: bool = False


@dataclass(frozen=True)
class NewProblem:
    """A verified problem before it is stored. ``normalised_sql``: one spelling of its reference SQL."""

    difficulty: str
    title: LocaleText
    description: LocaleText
    initial_sql: str
    expected_answer: Mapping[str, Any]
    hints: LocaleHints
    tags: tuple[str, ...]
    ddl: tuple[str, ...]
    reference_sql: str
    normalised_sql: str
    ordered: bool
    small_sets: tuple[GradingDataSet, ...]
    mutants: Mapping[str, int]
    provenance: Provenance

    @property
    def name(self) -> str:
        """What makes it unique within its set: the Korean title, or the English one of an English-only set."""
        return self.title.ko or self.title.en


@dataclass(frozen=True)
class BaseSet:
    """The data set a set of problems is about: ``parquet`` by table. ``digest``: of the whole content."""

    name: str
    row_count: int
    parquet: Mapping[str, bytes]

    @property
    def digest(self) -> str:
        whole = hashlib.sha256()
        for table in sorted(self.parquet):
            whole.update(f"{table}:{len(self.parquet[table])}:".encode())
            whole.update(self.parquet[table])
        return whole.hexdigest()


@dataclass(frozen=True)
class Chunk:
    """Problems made in one go, and why others were dropped on the way."""

    number: int
    problems: tuple[NewProblem, ...]
    dropped: Mapping[str, int]


def add_counts(left: Mapping[str, int], right: Mapping[str, int]) -> dict[str, int]:
    return {reason: left.get(reason, 0) + right.get(reason, 0) for reason in sorted({*left, *right})}
