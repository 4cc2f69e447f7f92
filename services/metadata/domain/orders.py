"""What a refresh is asked for. Pure."""

from __future__ import annotations

import json
import re
from typing import Annotated

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from contracts.jobs import JobRequested
from services.kernel.jobs.context import JobFailedError
from services.kernel.jobs.requests import INVALID, json_object, validated
from services.metadata.domain.tables import DatasetId, Scope, TableId

MAX_NAMED = 10_000
_NAMED = re.compile(r"`?([a-z][a-z0-9-]{4,28}[a-z0-9]\.[A-Za-z0-9_]+(?:\.[^\s`'\",;.]+)?)`?")


def _as_list(value: object) -> object:
    return [value] if isinstance(value, str) else value


class RefreshOrder(BaseModel):
    """``tables`` and ``datasets`` by name; neither: everything this service may read.

    ``force``: profile again and write all examples anew, also where nothing changed.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    tables: Annotated[tuple[str, ...], BeforeValidator(_as_list)] = Field(default=(), max_length=MAX_NAMED)
    datasets: Annotated[tuple[str, ...], BeforeValidator(_as_list)] = Field(default=(), max_length=1_000)
    force: bool = Field(default=False, strict=True)


class OutOfScope(JobFailedError):
    """Somebody asked for a table that this service may not read."""

    code = "out_of_scope"


def read_order(job: JobRequested) -> RefreshOrder:
    """The order in ``job``: JSON, or a text that names tables and data sets; options fill what the query leaves out.

    Raises:
        JobFailedError: names every wrong field.
    """
    options = json.loads(job.options)
    fields = {name: options[name] for name in RefreshOrder.model_fields if options.get(name) is not None}
    stated = json_object(job.query)
    if stated is None:
        stated = {"tables": [], "datasets": []}
        for name in _NAMED.findall(job.query):
            stated["tables" if name.count(".") >= 2 else "datasets"].append(name)
    return validated(RefreshOrder, fields | {name: value for name, value in stated.items() if value not in ([], None)})


def targets(order: RefreshOrder, scope: Scope) -> Scope:
    """What is to be refreshed, within what may be.

    Raises:
        OutOfScope: names the first table or data set that may not be read.
        JobFailedError: a name is none.
    """
    if not order.tables and not order.datasets:
        return scope
    try:
        datasets = frozenset(DatasetId.parse(name) for name in order.datasets)
        tables = frozenset(TableId.parse(name) for name in order.tables)
    except ValueError as error:
        raise JobFailedError(str(error), code=INVALID) from error
    outside = [str(d) for d in sorted(datasets - scope.datasets)] + [
        str(table) for table in sorted(tables) if not scope.covers(table)
    ]
    if outside:
        raise OutOfScope(f"{outside[0]} is not among the tables this service may read (QC_METADATA_TARGETS)")
    return Scope(datasets, tables)
