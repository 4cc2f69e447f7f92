"""The figures we promised, and where a report holds what was measured."""

from collections.abc import Callable
from dataclasses import dataclass
from operator import ge, le
from typing import Any

Comparison = Callable[[float, float], bool]


@dataclass(frozen=True)
class Goal:
    """``path``: dotted keys below the section; ``*`` stands for the worst of all entries."""

    section: str
    path: str
    compare: Comparison
    value: float
    what: str

    def measured(self, report: dict[str, Any]) -> float | None:
        """The worst figure that the path leads to, or None when the section was not measured."""
        found = _walk(report.get(self.section), self.path.split("."))
        if not found:
            return None
        return min(found) if self.compare is ge else max(found)


def _walk(node: Any, keys: list[str]) -> list[float]:
    if not keys:
        return [float(node)] if isinstance(node, int | float) else []
    if not isinstance(node, dict):
        return []
    children = node.values() if keys[0] == "*" else [node.get(keys[0])]
    return [figure for child in children for figure in _walk(child, keys[1:])]


GOALS = (
    Goal("creating", "ratio_to_celery", ge, 10.0, "creating jobs: times FastAPI + Celery + Redis + SQLite"),
    Goal("creating", "ratio_to_bare", ge, 0.75, "creating jobs: share of a bare FastAPI + asyncpg app"),
    Goal("creating", "create.errors", le, 0, "creating jobs: broken connections at 50 clients"),
    Goal("creating", "create.p99_ms", le, 60, "creating jobs: p99 ms at 50 clients"),
    Goal("creating", "poll.p99_ms", le, 20, "polling: p99 ms at 50 clients"),
    Goal("brokers", "embedded.whole_path_ratio", ge, 0.6, "consumer path, embedded: share of the bare client"),
    Goal("brokers", "pubsub.whole_path_ratio", ge, 0.6, "consumer path, Pub/Sub: share of the bare client"),
    Goal("jobs", "noop_jobs_per_s", ge, 400, "no-op jobs a second, from POST to completed"),
    Goal("jobs", "submit_to_start_ms_p50_idle", le, 40, "submit to start when idle, p50 ms"),
    Goal("jobs", "progress_to_sse_ms.p99", le, 250, "report to SSE client, p99 ms"),
    Goal("startup", "platform_ready_s", le, 6, "whole platform ready, s"),
    Goal("startup", "services.*.ready_s", le, 1.5, "slowest service ready, s"),
    Goal("startup", "services.*.resident_mb", le, 150, "largest service, MB"),
    Goal("judging", "false_accepts", le, 0.01, "judge: wrong answers accepted"),
    Goal("judging", "false_rejects", le, 0.003, "judge: right answers rejected"),
    Goal("judging", "unsupported", le, 0.01, "judge: pairs not judged"),
    Goal("judging", "ms_p50", le, 60, "judge: p50 ms a pair"),
    Goal("judging", "ms_p95", le, 2000, "judge: p95 ms a pair"),
    Goal("judging", "counterexample_rows_median", le, 4, "judge: rows in a counterexample, median"),
    Goal("grading", "one_core.grading.p50_ms", le, 40, "interactive grading, p50 ms on one core"),
    Goal("grading", "one_core.grading.p95_ms", le, 150, "interactive grading, p95 ms on one core"),
    Goal("grading", "crowd.p95_ms", le, 1000, "20 learners at once, p95 ms"),
    Goal("generation", "together.per_minute", ge, 20, "published problems a minute"),
    Goal("generation", "together.published_share", ge, 0.6, "candidates published"),
    Goal("generation", "together.tags", ge, 25, "distinct concept tags"),
    Goal("generation", "together.duplicates_by_sql", le, 0, "duplicates by normalised SQL"),
    Goal("models", "quota.overspent", le, 0, "calls beyond a model's day, of 1,000 by 8 workers"),
    Goal("models", "problems.overhead_ms_per_problem", le, 300, "own code per model-made problem, ms"),
    Goal("metadata", "model_calls_per_changed_table", le, 1, "model calls for a changed table"),
    Goal("metadata", "nothing_changed.model_calls", le, 0, "model calls when nothing changed"),
    Goal("metadata", "calls_per_data_set_when_nothing_changed", le, 1, "BigQuery calls a data set, nothing changed"),
    Goal("insights", "endpoints.*.p99_ms", le, 100, "slowest insights endpoint at 20 clients, p99 ms"),
    Goal("insights", "endpoints.*.errors", le, 0, "insights: broken connections at 20 clients"),
    Goal("triage", "results_per_s", ge, 98, "triage results a second of 100 asked for, 50 clients"),
    Goal("triage", "errors", le, 0, "triage requests without a result"),
    Goal("notifications", "event_to_websocket_ms.p99", le, 250, "event to WebSocket with 1,000 clients, p99 ms"),
)
