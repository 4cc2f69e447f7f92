"""One trace, put together from what the services wrote down."""

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


@dataclass
class Span:
    name: str
    service: str
    span_id: str
    parent_id: str
    start: str
    end: str
    children: list["Span"] = field(default_factory=list)


def read_trace(directory: Path, trace_id: str) -> list[Span]:
    """The trace's spans by start time, each listed under its parent where that was recorded too."""
    spans: dict[str, Span] = {}
    for path in directory.glob("*.jsonl"):
        if path.name.endswith(".metrics.jsonl"):
            continue
        for line in path.read_text(encoding="utf-8").splitlines():
            entry = json.loads(line)
            if entry["context"]["trace_id"].removeprefix("0x") == trace_id:
                span = _span(entry)
                spans[span.span_id] = span
    roots: list[Span] = []
    for span in sorted(spans.values(), key=lambda each: each.start):
        parent = spans.get(span.parent_id)
        (parent.children if parent else roots).append(span)
    return roots


def flatten(spans: list[Span], depth: int = 0) -> list[tuple[int, Span]]:
    """Every span with its depth, parents first."""
    return [item for span in spans for item in ((depth, span), *flatten(span.children, depth + 1))]


def _span(entry: dict[str, Any]) -> Span:
    return Span(
        name=entry["name"],
        service=entry["resource"]["attributes"]["service.name"],
        span_id=entry["context"]["span_id"],
        parent_id=entry["parent_id"] or "",
        start=entry["start_time"],
        end=entry["end_time"],
    )
