"""How many calls a run makes, to BigQuery and to models: the figure by which its cost is judged."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from services.kernel import metrics

MODEL = "model"

_current: ContextVar[Counter[str] | None] = ContextVar("metadata_calls", default=None)


@contextmanager
def counting() -> Iterator[Counter[str]]:
    """Calls made in the body, its tasks and threads included, by kind. A run within a run counts for both."""
    calls: Counter[str] = Counter()
    outer = _current.get()
    token = _current.set(calls)
    try:
        yield calls
    finally:
        _current.reset(token)
        if outer is not None:
            outer.update(calls)


def count(kind: str) -> None:
    """One call of this kind: information_schema, get_table, list_rows, profile, dry_run, query or model."""
    metrics.METADATA_CALLS.add(1, {"kind": kind})
    calls = _current.get()
    if calls is not None:
        calls[kind] += 1
