"""Tasks: pure functions that a pool runs by name, and what they are given besides their payload."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Protocol

from services.kernel.errors import ConfigurationError
from services.kernel.sql.sandbox.limits import Limits
from services.kernel.sql.sandbox.stored import StoredDataset

# A task's payload and result are JSON values. Any: each task knows the shape of its own.
Json = Any


@dataclass(frozen=True, slots=True)
class TaskContext:
    """``limits``: the limits the task runs under. ``stored``: data sets held for the pool's tasks, by name."""

    limits: Limits
    stored: Mapping[str, StoredDataset]


class Task(Protocol):
    def __call__(self, payload: Json, context: TaskContext, /) -> Json: ...


# Task name -> "module:function".
DEFAULT_TASKS: Final[Mapping[str, str]] = {
    "query": "services.kernel.sql.sandbox.query:run_query",
    "judge": "services.kernel.sql.sandbox.judging:run_judge",
}


def resolve(tasks: Mapping[str, str]) -> dict[str, Task]:
    """Imports every task. Raises ConfigurationError naming the one that cannot be found."""
    return {name: _resolve(name, path) for name, path in tasks.items()}


def rehearsals(tasks: Mapping[str, Task]) -> list[Callable[[], None]]:
    """The function ``rehearse`` of each module of tasks that has one: a run of the task on data of its own.

    What such a run imports, builds and caches is there for the first real one.
    """
    modules = dict.fromkeys(task.__module__ for task in tasks.values())
    found = (getattr(sys.modules[name], "rehearse", None) for name in modules)
    return [*dict.fromkeys(rehearse for rehearse in found if rehearse is not None)]


def _resolve(name: str, path: str) -> Task:
    module_name, _, attribute = path.partition(":")
    try:
        function: Callable[[Json, TaskContext], Json] = getattr(importlib.import_module(module_name), attribute)
    except (ImportError, AttributeError) as error:
        raise ConfigurationError(f"task {name!r} at {path!r} cannot be loaded: {error}") from error
    return function
