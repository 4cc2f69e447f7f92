"""The optimization job: anti-patterns, the plan, and a rewrite that was proved and measured."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from contracts.jobs import JobRequested
from services.assistant.data import DataRequest, Source, Sources, data_request
from services.assistant.provenance import Provenance
from services.assistant.sandboxed import Sandboxed
from services.kernel.jobs.context import JobContext, JobFailedError, JobResult
from services.kernel.jobs.requests import INVALID, json_object, validated
from services.kernel.sql.guard import Dialect
from services.kernel.sql.sandbox.limits import Limits

MAX_SQL = 20_000

_REWRITES = {
    "range_predicates": ("열을 감싼 조건을 범위 조건으로 바꿨습니다", "conditions on wrapped columns became ranges"),
    "without_distinct": ("필요 없는 DISTINCT 를 없앴습니다", "a needless DISTINCT is gone"),
    "unnested_subqueries": ("상관 하위 질의를 조인으로 바꿨습니다", "correlated subqueries became joins"),
    "pushed_down_predicates": ("조건을 읽는 곳 가까이 옮겼습니다", "conditions moved next to what they filter"),
    "without_unused_joins": ("쓰지 않는 LEFT JOIN 을 없앴습니다", "a LEFT JOIN that nothing uses is gone"),
    "count_of_key": ("기본 키의 COUNT(DISTINCT) 를 COUNT(*) 로 바꿨습니다", "COUNT(DISTINCT key) became COUNT(*)"),
    "bare_join_keys": ("조인 키의 불필요한 형 변환을 없앴습니다", "needless casts of join keys are gone"),
    "exists_for_count": ("COUNT(*) > 0 을 EXISTS 로 바꿨습니다", "COUNT(*) > 0 became EXISTS"),
    "windows": ("상관 하위 질의를 윈도우 함수로 바꿨습니다", "correlated subqueries became window functions"),
    "split_or_join": ("OR 조인을 두 조인의 UNION ALL 로 나눴습니다", "an OR join became the UNION ALL of two joins"),
    "fewer_group_keys": ("기본 키에 딸린 그룹 키를 뺐습니다", "group keys that depend on the primary key are gone"),
    "without_inner_order": ("하위 질의의 쓸모없는 정렬을 없앴습니다", "an order that a subquery loses is gone"),
    "in_for_or": ("OR 를 IN 으로 모았습니다", "ORs became one IN"),
    "simple_rules": ("여러 규칙을 함께 적용했습니다", "several rules were applied together"),
    "all_rules": ("여러 규칙을 함께 적용했습니다", "several rules were applied together"),
}


class OptimizationRequest(BaseModel):
    """``partitions``: table, with or without its project and data set, -> partitioning column, for naming a missing
    filter."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    sql: str = Field(min_length=1, max_length=MAX_SQL)
    dialect: Dialect = "duckdb"
    partitions: dict[str, str] = Field(default_factory=dict, max_length=100)


@dataclass(frozen=True)
class Optimization:
    """The ports of ``optimize_query``. ``budget_ms``: of each rewrite's search by the judge."""

    sources: Sources
    sandbox: Sandboxed
    budget_ms: int


async def optimize_query(context: JobContext, ports: Optimization) -> JobResult:
    """Explain what is slow about one query and show a faster one that was proved equal, if there is one; ``data`` and
    the explanation say on what rows it was measured (see ``Provenance``).

    Raises:
        JobFailedError: a field is wrong, the query may not run or does not, or its data set is unknown.
        TransientError: no sandbox is free.
    """
    request, wanted = read_request(context.job)
    await context.step("collecting data", 20)
    async with ports.sources.open(wanted) as source:
        await context.step("analysing the query", 50)
        payload = {
            **request.model_dump(),
            "partitions": {
                table.lower().rsplit(".", 1)[-1]: column.lower() for table, column in request.partitions.items()
            },
            "ddl": list(source.ddl),
            "rows": source.rows,
            "stored": source.stored,
            "seed": int.from_bytes(hashlib.sha256(request.sql.encode()).digest()[:4]),
            "budget_ms": ports.budget_ms,
        }
        seconds = 20 + 6 * ports.budget_ms // 1_000
        limits = Limits(wall_seconds=3.0 * seconds, cpu_seconds=seconds)
        found = await ports.sandbox.run("optimize", payload, limits, request.sql, source.ddl)
    return JobResult(_result(request.dialect, found, source))


def read_request(job: JobRequested) -> tuple[OptimizationRequest, DataRequest]:
    """The query is SQL, or JSON {"sql", "dialect"?, "partitions"?, and where its data is (see ``DataRequest``)}, any of
    which ``options`` may hold as well.

    Raises:
        JobFailedError: names every wrong field.
    """
    fields = json_object(job.query) or {"sql": job.query}
    wanted, rest = data_request(job, fields)
    if not str(rest.get("sql", "")).strip():
        raise JobFailedError("sql: the query is empty; write one SELECT statement", code=INVALID)
    return validated(OptimizationRequest, rest), wanted


def _result(dialect: Dialect, found: dict[str, Any], source: Source) -> dict[str, Any]:
    data = source.provenance
    return {"data_set": source.name, "data": data.to_json(), **found, "explanation": explanation(dialect, found, data)}


def explanation(dialect: Dialect, found: dict[str, Any], data: Provenance) -> dict[str, str]:
    """Why a rewrite is shown or not, and on what rows it was measured, in Korean and English."""
    rewrite, on = found["rewrite"], data.named
    if dialect != "duckdb":
        return {
            "ko": "BigQuery SQL 은 읽기만 하고 실행하지 않아 시간을 재지 못했으므로 다시 쓴 질의를 보여 주지 않습니다.",
            "en": "BigQuery SQL is only read, not run: nothing was measured, so no rewrite is shown.",
        }
    if rewrite is None and data.empty:
        return {
            "ko": "데이터가 없어 실행 시간을 재지 못했으므로 다시 쓴 질의를 보여 주지 않습니다.",
            "en": "There is no data to measure on, so no rewrite is shown.",
        }
    if rewrite is None:
        return {
            "ko": f"같은 결과가 확인되고 {on['ko']}에서 재어 더 빠른 질의를 찾지 못했습니다.",
            "en": f"No rewrite was both proved equal and measured to be faster on {on['en']}, so none is shown.",
        }
    ko, en = _REWRITES[rewrite["rewrite"]]
    speed = rewrite["before_ms"] / max(rewrite["milliseconds"], 1e-6)
    ko = f"{ko}. 판정기의 전체 탐색에서 차이가 없었고 {on['ko']}에서 재어 {speed:.1f}배 빨랐습니다."
    en = (
        f"{en[0].upper()}{en[1:]}: the judge's full search found no difference; measured on {on['en']}, "
        f"it is {speed:.1f} times as fast."
    )
    if data.modelled_on:
        ko += f" {data.modelled_on} 테이블에서는 다를 수 있으니 직접 재어 보세요."
        en += f" {data.modelled_on} itself may give other times: measure there, too."
    return {"ko": ko, "en": en}
