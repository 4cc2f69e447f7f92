"""The analysis job: a question, or SQL itself, about a known data set or tables sent along.

A practice problem's reference never answers a question, nor does it reach a model: a question that is a practice
problem is refused, and examples come from the schema and the metadata cache alone.
"""

from __future__ import annotations

import asyncio
import base64
import re
import time
from dataclasses import dataclass
from typing import Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field

from contracts.jobs import JobRequested
from services.assistant.analysis import charts
from services.assistant.analysis.nearest import Match, NoMatch, asks_for, nearest
from services.assistant.data import DEFAULT_DATA_TYPE, DataRequest, Questions, Source, Sources, data_request
from services.assistant.ports import DataKnowledge, SqlWriter, TableKnowledge
from services.assistant.sandboxed import Sandboxed
from services.kernel.errors import PermanentError
from services.kernel.jobs.context import JobContext, JobFailedError, JobResult
from services.kernel.jobs.requests import INVALID, json_object, validated
from services.kernel.sql.sandbox.limits import Limits

MAX_TEXT = 20_000
SHOWN_ROWS = 200

UNVERIFIED: Final = {
    "ko": "모델이 쓴 SQL 입니다. 실행은 되었지만 질문의 뜻과 맞는지는 직접 확인하세요.",
    "en": "A model wrote this SQL. It runs, but check yourself that it means what you asked.",
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
    """The ports of ``analyse``. ``patience``: seconds a model may take to write SQL."""

    sources: Sources
    questions: Questions
    sandbox: Sandboxed
    knowledge: DataKnowledge
    writer: SqlWriter
    patience: float


@dataclass(frozen=True)
class Answer:
    """The SQL that ran, who it is from, and what it gave. ``fallback``: why no model wrote it."""

    sql: str
    source: Literal["sql", "model", "example"]
    rows: dict[str, Any]
    model: str = ""
    match: Match | None = None
    fallback: str = ""


async def analyse(context: JobContext, ports: Analysis) -> JobResult:
    """Rows, a chart, a reading, and what the rows are that all this was read from (``data``, see ``Provenance``).

    Raises:
        JobFailedError: a field is wrong, the query may not run or does not, its data set is unknown, the question is a
            practice problem, or nothing answers it (the message names what is near).
        TransientError: no sandbox is free.
    """
    request, wanted = read_request(context.job)
    await context.step("collecting", 20)
    if request.question.strip() and not wanted.ddl:
        await _refuse_practice(request.question, wanted.data_type or DEFAULT_DATA_TYPE, ports.questions)
    async with ports.sources.open(wanted) as source:
        await context.step("analysing", 50)
        if request.sql.strip():
            answer = Answer(request.sql, "sql", await _run(ports, source, request.sql))
        else:
            answer = await _answered(context, ports, request.question, source)
    await context.step("formatting", 80)
    return JobResult(await _result(request, source, answer))


async def _refuse_practice(question: str, data_type: str, questions: Questions) -> None:
    known = await questions.of(data_type)
    found = await asyncio.to_thread(asks_for, question, [(entry.ko, entry.en) for entry in known])
    if found is None:
        return
    title = f"{known[found].ko.splitlines()[0]} / {known[found].en.splitlines()[0]}"
    raise JobFailedError(
        f"question: this is a practice problem ({title}): write the SQL yourself, in sql, or submit it for grading / "
        "연습 문제입니다. SQL 을 직접 써서 sql 로 실행하거나 채점에 제출하세요.",
        code="practice_problem",
    )


async def _answered(context: JobContext, ports: Analysis, question: str, source: Source) -> Answer:
    """By a model, or by the nearest example, which says why no model did."""
    from services.kernel.sql.schema import Schema

    knowledge = await ports.knowledge.of(source.data_type, Schema.from_ddl(list(source.ddl)))
    deadline = min(context.deadline, time.monotonic() + ports.patience)
    written = await ports.writer.write(
        question, source.ddl, knowledge.notes, knowledge.examples, context.job.job_id, deadline
    )
    fallback = written.missing
    if written.sql:
        try:
            rows = await _run(ports, source, written.sql)
            return Answer(written.sql, "model", rows, model=written.model)
        except JobFailedError as error:
            fallback = f"the model's SQL did not run: {error}"
    return await _by_example(ports, question, source, knowledge, fallback)


async def _by_example(
    ports: Analysis, question: str, source: Source, knowledge: TableKnowledge, fallback: str
) -> Answer:
    found = await asyncio.to_thread(nearest, question, knowledge.examples)
    if isinstance(found, NoMatch):
        raise JobFailedError(_refusal(found, source.name, fallback), code="no_known_question")
    rows = await _run(ports, source, found.sql)
    return Answer(found.sql, "example", rows, match=found, fallback=fallback)


async def _run(ports: Analysis, source: Source, sql: str) -> dict[str, Any]:
    return await ports.sandbox.run("query", {"sql": sql, "source": source.for_query}, _LIMITS, sql, source.ddl)


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


def _refusal(found: NoMatch, data_set: str, fallback: str) -> str:
    offered = "; ".join(f"{entry.ko} / {entry.en}" for entry in found.offered) or "-"
    why = {
        "other_numbers": ("the nearest example asks for other numbers", "가장 가까운 예시와 숫자가 다릅니다"),
        "nothing_near": ("no example is near enough", "충분히 가까운 예시가 없습니다"),
        "no_known_questions": ("there are no examples", "예시가 없습니다"),
    }[found.reason]
    return (
        f"question: no model wrote SQL for it ({fallback}), and {why[0]} / 모델이 답하지 못했고, {why[1]}. "
        f"{data_set}: {offered}"
    )


async def _result(request: AnalysisRequest, source: Source, answer: Answer) -> dict[str, Any]:
    rows, match = answer.rows, answer.match
    spec = charts.specification(rows)
    image, note = await _image(spec)
    return {
        "data_set": source.name,
        "data": source.provenance.to_json(),
        "question": request.question,
        "sql": answer.sql,
        "sql_note": UNVERIFIED if answer.source == "model" else None,
        "source": answer.source,
        "model": answer.model,
        "fallback": answer.fallback,
        "example": None
        if match is None
        else {
            "ko": match.example.ko,
            "en": match.example.en,
            "origin": match.example.origin,
            "similarity": round(match.similarity, 3),
            "adapted": match.adapted,
        },
        "columns": rows["columns"],
        "types": rows["types"],
        "rows": rows["rows"][:SHOWN_ROWS],
        "row_count": len(rows["rows"]),
        "chart": {"vega_lite": spec, "png_base64": image, "note": note},
        "reading": source.provenance.caveat(charts.reading(rows)),
    }


async def _image(spec: dict[str, Any] | None) -> tuple[str, str]:
    """The PNG in base64, or why there is none."""
    if spec is None:
        return "", "the result has nothing to draw"
    try:
        return base64.b64encode(await asyncio.to_thread(charts.png, spec)).decode(), ""
    except (ValueError, PermanentError) as error:
        return "", f"the chart could not be drawn: {error}"
