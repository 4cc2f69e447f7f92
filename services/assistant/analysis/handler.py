"""The analysis job: a question, or SQL itself, about a known data set."""

from __future__ import annotations

import asyncio
import base64
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from pydantic import BaseModel, ConfigDict, Field

from contracts.jobs import JobRequested
from services.assistant.analysis import charts
from services.assistant.analysis.nearest import Match, NoMatch, nearest
from services.assistant.data import DEFAULT_DATA_TYPE, DataRequest, Questions, Source, Sources, data_request
from services.assistant.sandboxed import Sandboxed
from services.kernel.errors import PermanentError
from services.kernel.jobs.context import JobContext, JobFailedError, JobResult
from services.kernel.jobs.requests import INVALID, json_object, validated
from services.kernel.sql.sandbox.limits import Limits

MAX_TEXT = 20_000
SHOWN_ROWS = 200

WITHHELD: Final = {
    "ko": "연습 문제의 모범 답안이므로 SQL 은 보여 주지 않습니다.",
    "en": "The SQL is a practice problem's reference, so it is not shown.",
}

_SQL = re.compile(r"^\s*(?:select|with|from)\b", re.IGNORECASE)
_LIMITS = Limits(wall_seconds=15.0, cpu_seconds=5)


class AnalysisRequest(BaseModel):
    """One of the two: ``question`` in Korean or English, or ``sql`` in DuckDB's dialect."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    question: str = Field(default="", max_length=MAX_TEXT)
    sql: str = Field(default="", max_length=MAX_TEXT)


@dataclass(frozen=True)
class Analysis:
    """The ports of ``analyse``."""

    sources: Sources
    questions: Questions
    sandbox: Sandboxed


async def analyse(context: JobContext, ports: Analysis) -> JobResult:
    """Rows, a chart and a reading.

    Raises:
        JobFailedError: a field is wrong, the query may not run or does not, its data set is unknown, or no known
            question is near enough (the message names those there are).
        TransientError: no sandbox is free.
    """
    request, wanted = read_request(context.job)
    await context.step("collecting", 20)
    match = await _match(request, wanted, ports)
    sql = request.sql if match is None else match.sql
    async with ports.sources.open(_data_of(match, wanted)) as source:
        await context.step("analysing", 50)
        rows = await _run(ports, source, sql, known=match is not None)
    await context.step("formatting", 80)
    return JobResult(await _result(request, source, sql, match, rows))


async def _run(ports: Analysis, source: Source, sql: str, *, known: bool) -> dict[str, Any]:
    try:
        return await ports.sandbox.run("query", {"sql": sql, "source": source.for_query}, _LIMITS, sql, source.ddl)
    except JobFailedError as error:
        if not known:
            raise
        # Its message may quote a practice problem's reference.
        told = "question: the SQL kept for it does not run on the data as it is now"
        raise JobFailedError(told, code=error.code) from None


def read_request(job: JobRequested) -> tuple[AnalysisRequest, DataRequest]:
    """The query is a question, SQL, or JSON {"question" or "sql", and where the data is (see ``DataRequest``)}.

    Raises:
        JobFailedError: names every wrong field.
    """
    plain = "sql" if _SQL.match(job.query) else "question"
    wanted, rest = data_request(job, json_object(job.query) or {plain: job.query})
    request = validated(AnalysisRequest, rest)
    if bool(request.question.strip()) == bool(request.sql.strip()):
        raise JobFailedError("question, sql: write exactly one of the two", code=INVALID)
    return request, wanted


async def _match(request: AnalysisRequest, wanted: DataRequest, ports: Analysis) -> Match | None:
    """None for SQL. Raises JobFailedError: nothing known answers the question."""
    if not request.question.strip():
        return None
    if wanted.ddl:
        told = "question: tables sent along have no verified questions; write the SQL yourself in sql"
        raise JobFailedError(told, code="no_known_question")
    data_type = wanted.data_type or DEFAULT_DATA_TYPE
    known = await ports.questions.of(data_type)
    found = await asyncio.to_thread(nearest, request.question, known)
    if isinstance(found, NoMatch):
        raise JobFailedError(_refusal(found, data_type, await ports.questions.data_types()), code="no_known_question")
    return found


def _refusal(found: NoMatch, data_type: str, data_types: Sequence[str]) -> str:
    if not found.offered:
        there = ", ".join(data_types) or "none"
        return (
            f"question: nothing is known about {data_type!r} (data sets: {there}) / "
            f"{data_type!r} 에 대해 알려진 질문이 없습니다 (데이터: {there})"
        )
    offered = "; ".join(f"{entry.ko.split(chr(10))[0]} / {entry.en.split(chr(10))[0]}" for entry in found.offered)
    why = {
        "other_numbers": ("the nearest one asks for other numbers", "가장 가까운 질문과 숫자가 다릅니다"),
        "nothing_near": ("none of those known is near enough", "충분히 가까운 질문이 없습니다"),
    }[found.reason]
    return f"question: no verified SQL answers it, {why[0]} / 검증된 답이 없습니다: {why[1]}. {data_type}: {offered}"


def _data_of(match: Match | None, wanted: DataRequest) -> DataRequest:
    return wanted if match is None else DataRequest(data_type=match.question.data_type)


async def _result(
    request: AnalysisRequest, source: Source, sql: str, match: Match | None, rows: dict[str, Any]
) -> dict[str, Any]:
    spec = charts.specification(rows)
    image, note = await _image(spec)
    return {
        "data_set": source.name,
        "question": request.question,
        "sql": sql if match is None else "",
        "sql_note": None if match is None else WITHHELD,
        "source": "sql" if match is None else "known_question",
        "known_question": None
        if match is None
        else {
            "problem_id": str(match.question.problem_id),
            "ko": match.question.ko.split("\n")[0],
            "en": match.question.en.split("\n")[0],
            "similarity": round(match.similarity, 3),
            "adapted": match.adapted,
        },
        "columns": rows["columns"],
        "types": rows["types"],
        "rows": rows["rows"][:SHOWN_ROWS],
        "row_count": len(rows["rows"]),
        "chart": {"vega_lite": spec, "png_base64": image, "note": note},
        "reading": charts.reading(rows),
    }


async def _image(spec: dict[str, Any] | None) -> tuple[str, str]:
    """The PNG in base64, or why there is none."""
    if spec is None:
        return "", "the result has nothing to draw"
    try:
        return base64.b64encode(await asyncio.to_thread(charts.png, spec)).decode(), ""
    except (ValueError, PermanentError) as error:
        return "", f"the chart could not be drawn: {error}"
