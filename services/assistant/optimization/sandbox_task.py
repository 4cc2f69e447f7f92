"""The task "optimize", run inside a sandbox worker: read the plan, name what is slow, try rewrites.

Imported by the sandbox's own process only.
"""

from __future__ import annotations

import json
import time
from typing import Any

import duckdb
import sqlglot

from services.assistant.optimization.antipatterns import find
from services.assistant.optimization.candidates import candidates
from services.kernel.sql.compare import ComparisonPolicy
from services.kernel.sql.guard import Refused, check
from services.kernel.sql.judge import JudgeRequest, judge
from services.kernel.sql.judge.deadline import Deadline
from services.kernel.sql.judge.engine import Watchdog
from services.kernel.sql.results import ResultSet
from services.kernel.sql.sandbox import engine
from services.kernel.sql.sandbox.errors import TaskFailed
from services.kernel.sql.sandbox.query import database_failure, refused
from services.kernel.sql.sandbox.stored import fill
from services.kernel.sql.sandbox.tasks import TaskContext
from services.kernel.sql.schema import Schema

RUNS = 7
"""Of each query; the fastest counts, which other work on the machine disturbs least."""
FASTER = 0.8
"""A rewrite must take at most this share of the query's time."""
CLEARLY = 0.85
"""A rewrite takes the place of one found before it when it takes at most this share of that one's time."""
QUERY_SECONDS = 2.0


def optimize(payload: dict[str, Any], context: TaskContext) -> dict[str, Any]:
    """``payload``: {sql, dialect, ddl, rows ({table: [row]}) or stored (a data set's name), partitions, seed,
    budget_ms}. Returns {findings, plan, milliseconds, rewrite or None, tried: [{rewrite, outcome, ...}]}.

    Raises TaskFailed: "refused", "database" or "unknown_dataset" as the task "query" does.
    """
    schema = Schema.from_ddl(payload["ddl"])
    try:
        check(payload["sql"], payload["dialect"], [table.name for table in schema.tables])
    except Refused as refusal:
        raise refused(refusal) from None
    tree = sqlglot.parse_one(payload["sql"], read=payload["dialect"])
    findings = [finding.to_json() for finding in find(tree, schema, payload["partitions"])]
    answer: dict[str, Any] = {"findings": findings, "plan": None, "milliseconds": None, "rewrite": None, "tried": []}
    if payload["dialect"] != "duckdb":
        return answer
    sql = payload["sql"].strip().rstrip(";")
    ordered = tree.args.get("order") is not None
    connection, rows = _open(payload, context)
    try:
        answer["plan"] = _plan(connection, sql)
        answer["milliseconds"] = round(_fastest(connection, sql), 3)
    except duckdb.Error as error:
        raise database_failure(error) from None
    if not rows:
        return answer
    for name, changed in candidates(tree, schema):
        entry = _try(connection, schema, sql, changed, ordered, payload)
        answer["tried"].append({"rewrite": name, **entry})
        if entry["outcome"] == "faster" and _is_better(entry, answer["rewrite"]):
            answer["rewrite"] = {"rewrite": name, "sql": changed, **entry}
    return answer


def _is_better(entry: dict[str, Any], so_far: dict[str, Any] | None) -> bool:
    """The first and simplest stands unless another is clearly faster: clocks differ by a few per cent anyway."""
    return so_far is None or entry["milliseconds"] < CLEARLY * so_far["milliseconds"]


def _open(payload: dict[str, Any], context: TaskContext) -> tuple[duckdb.DuckDBPyConnection, int]:
    """The data, and how many rows it has."""
    if payload.get("stored"):
        stored = context.stored.get(payload["stored"])
        if stored is None:
            raise TaskFailed("unknown_dataset", "the data set is not in the sandbox")
        connection = stored.connection
    else:
        connection = engine.connect_locked()
        try:
            fill(connection, {"ddl": payload["ddl"], "rows": payload["rows"]})
        except (duckdb.Error, ValueError) as error:
            raise TaskFailed("bad_rows", f"rows: they do not fit the tables: {error}") from None
    names = [table.name for table in Schema.from_ddl(payload["ddl"]).tables]
    counts = [connection.execute(f'SELECT count(*) FROM "{name}"').fetchone() for name in names]
    return connection, sum(int(row[0]) for row in counts if row)


def _plan(connection: duckdb.DuckDBPyConnection, sql: str) -> list[dict[str, Any]]:
    """Operators top down: {depth, operator, table?, filters?, estimated_rows?}."""
    row = connection.execute(f"EXPLAIN (FORMAT JSON) {sql}").fetchone()
    flat: list[dict[str, Any]] = []

    def walk(nodes: list[dict[str, Any]], depth: int) -> None:
        for node in nodes:
            extra = node.get("extra_info", {})
            entry = {"depth": depth, "operator": node["name"].strip()}
            for key, name in (("Table", "table"), ("Filters", "filters"), ("Estimated Cardinality", "estimated_rows")):
                if key in extra:
                    entry[name] = str(extra[key]).removeprefix("memory.main.")
            flat.append(entry)
            walk(node.get("children", []), depth + 1)

    walk(json.loads(row[1]) if row else [], 0)
    return flat


def _fastest(connection: duckdb.DuckDBPyConnection, sql: str) -> float:
    """Milliseconds of the fastest of ``RUNS``; a query that takes long is not run as often. Raises duckdb.Error."""
    watchdog = Watchdog(connection)
    best, spent = float("inf"), 0.0
    try:
        for _ in range(RUNS):
            watchdog.deadline = Deadline.after(QUERY_SECONDS)
            began = time.perf_counter()
            connection.execute(sql).fetchall()
            took = time.perf_counter() - began
            watchdog.deadline = None
            best, spent = min(best, took), spent + took
            if spent > QUERY_SECONDS:
                break
    finally:
        watchdog.close()
    return best * 1_000


def _try(
    connection: duckdb.DuckDBPyConnection,
    schema: Schema,
    sql: str,
    changed: str,
    ordered: bool,
    payload: dict[str, Any],
) -> dict[str, Any]:
    """Measured first, for that is cheap; then judged. Only "faster" may be shown."""
    policy = ComparisonPolicy(ordered=ordered, column_names="match")
    try:
        before, after = _interleaved(connection, sql, changed)
        same = _same_here(connection, sql, changed)
    except duckdb.Error as error:
        return {"outcome": "does_not_run", "detail": str(error)[:300]}
    times = {"before_ms": round(before, 3), "milliseconds": round(after, 3)}
    if not same:
        return {"outcome": "different", "detail": "its result differs on the data set itself", **times}
    if after > FASTER * before:
        return {"outcome": "not_faster", **times}
    request = JudgeRequest(
        schema, sql, changed, policy, seed=payload["seed"], budget_ms=payload["budget_ms"], explain=False
    )
    verdict = judge(request)
    proof = {
        "verdict": verdict.outcome,
        "method": verdict.method,
        "instances": verdict.instances,
        "exhausted": verdict.exhausted,
        "seed": verdict.seed,
        "budget_ms": verdict.budget_ms,
        "engine": verdict.engine,
    }
    if verdict.outcome != "equivalent":
        return {"outcome": "different" if verdict.outcome == "different" else "not_proved", "proof": proof, **times}
    if verdict.exhausted:
        return {"outcome": "not_proved", "detail": "the search ran out of time", "proof": proof, **times}
    return {"outcome": "faster", "proof": proof, **times}


def _interleaved(connection: duckdb.DuckDBPyConnection, sql: str, changed: str) -> tuple[float, float]:
    """Both measured in turns, so that a change of the machine's pace meets both."""
    pairs = [(_fastest(connection, sql), _fastest(connection, changed)) for _ in range(2)]
    return min(a for a, _ in pairs), min(b for _, b in pairs)


def _same_here(connection: duckdb.DuckDBPyConnection, sql: str, changed: str) -> bool:
    """As bags of rows: the judge, not this data set, decides about order."""
    first, second = ResultSet.fetch(connection, sql), ResultSet.fetch(connection, changed)
    return first.columns == second.columns and sorted(map(repr, first.rows)) == sorted(map(repr, second.rows))
