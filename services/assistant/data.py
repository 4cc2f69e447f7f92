"""Which data a job's query runs on: tables sent along with it, or a data set known from published problems."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Protocol

from pydantic import BaseModel, ConfigDict, Field

from contracts.jobs import JobRequested
from services.assistant.adapters.questions import KnownQuestion
from services.assistant.provenance import Provenance
from services.kernel.base_sets import BaseSets
from services.kernel.jobs.context import JobFailedError
from services.kernel.jobs.requests import INVALID, validated

DEFAULT_DATA_TYPE = "pa"
_FIELDS = ("ddl", "rows", "data_type")
_OPTIONS = frozenset({"priority", "metadata"})
"""Options that every job may have."""


class DataRequest(BaseModel):
    """``ddl``: CREATE TABLE statements (DuckDB), with ``rows`` {table: [{column: value}]}; or ``data_type``."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    ddl: tuple[str, ...] = Field(default=(), max_length=100)
    rows: dict[str, list[dict[str, Any]]] = Field(default_factory=dict, max_length=100)
    data_type: str = Field(default="", max_length=100)


class Questions(Protocol):
    async def of(self, data_type: str) -> Sequence[KnownQuestion]: ...

    async def data_types(self) -> Sequence[str]: ...


@dataclass(frozen=True)
class Source:
    """``stored``: the data set's name in the sandbox, or None when ``rows`` come along. ``data_type``: empty for tables
    that came with the job."""

    name: str
    ddl: tuple[str, ...]
    provenance: Provenance
    rows: Mapping[str, list[dict[str, Any]]] = field(default_factory=dict)
    stored: str | None = None
    data_type: str = ""

    @property
    def for_query(self) -> dict[str, Any]:
        """As the sandbox's task "query" takes it."""
        return {"stored": self.stored} if self.stored else {"ddl": list(self.ddl), "rows": dict(self.rows)}


def data_request(job: JobRequested, fields: Mapping[str, Any]) -> tuple[DataRequest, dict[str, Any]]:
    """Where the data is, and the other fields; what the query does not say, ``options`` may.

    Raises:
        JobFailedError: names every wrong field.
    """
    options = {name: value for name, value in json.loads(job.options).items() if name not in _OPTIONS}
    merged = {**options, **fields}
    wanted = {name: merged.pop(name) for name in _FIELDS if name in merged}
    request = validated(DataRequest, wanted)
    if request.rows and not request.ddl:
        raise JobFailedError("ddl: rows need the CREATE TABLE statements of their tables", code=INVALID)
    if request.ddl:
        _check_ddl(request.ddl)
    return request, merged


def _check_ddl(ddl: Sequence[str]) -> None:
    from services.kernel.sql.schema import InvalidSchema, Schema

    try:
        schema = Schema.from_ddl(list(ddl))
    except InvalidSchema as error:
        raise JobFailedError(f"ddl: {error}", code=INVALID) from error
    if not schema.tables:
        raise JobFailedError("ddl: there is no CREATE TABLE statement", code=INVALID)


class Sources:
    def __init__(self, questions: Questions, base_sets: BaseSets) -> None:
        self._questions = questions
        self._base_sets = base_sets

    @asynccontextmanager
    async def open(self, request: DataRequest) -> AsyncIterator[Source]:
        """The data, for as long as the context lasts.

        Raises:
            JobFailedError: no problem has been published on this kind of data; names those there are.
            PermanentError, TransientError: its base data set cannot be loaded (now).
        """
        if request.ddl:
            # Statements are rebuilt from their parsed form: nothing but tables reaches the sandbox as DDL.
            rows = _in_order(request.ddl, request.rows)
            yield Source("inline", _rebuilt(request.ddl), Provenance.uploaded(rows), rows)
            return
        data_type = request.data_type or DEFAULT_DATA_TYPE
        known = await self._questions.of(data_type)
        if not known:
            raise JobFailedError(await self._unknown(data_type), code="unknown_data_set")
        newest = known[0]
        provenance = Provenance.published(data_type, newest.base_row_count)
        if not newest.base_uri:
            rows = _in_order(newest.ddl, newest.base_rows)
            yield Source(data_type, newest.ddl, provenance, rows, data_type=data_type)
            return
        from services.kernel.sql.schema import Schema

        tables = [table.name for table in Schema.from_ddl(list(newest.ddl)).tables]
        async with self._base_sets.using(newest.base_uri, tables) as stored:
            yield Source(data_type, newest.ddl, provenance, stored=stored, data_type=data_type)

    async def _unknown(self, data_type: str) -> str:
        known = await self._questions.data_types()
        there = f"known are: {', '.join(known)}" if known else "none is known yet: publish problems first"
        return f"data_type: no data set {data_type!r} is known here; {there}; or send the tables along in ddl and rows"


def _rebuilt(ddl: Sequence[str]) -> tuple[str, ...]:
    from services.kernel.sql.schema import Schema

    return tuple(Schema.from_ddl(list(ddl)).ddl())


def _in_order(ddl: Sequence[str], rows: Mapping[str, list[dict[str, Any]]]) -> dict[str, list[dict[str, Any]]]:
    """In the order of the tables, so that what refers to a row comes after it.

    Raises:
        JobFailedError: rows are given for a table that is not there.
    """
    from services.kernel.sql.schema import Schema

    names = [table.name for table in Schema.from_ddl(list(ddl)).tables]
    unknown = sorted(set(rows) - set(names))
    if unknown:
        raise JobFailedError(f"rows: there is no table {', '.join(unknown)} in ddl", code=INVALID)
    return {name: rows[name] for name in names if name in rows}
