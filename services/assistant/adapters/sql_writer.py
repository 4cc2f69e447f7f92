"""SQL for a question, written by a model that sees the data set's schema and its examples, never a problem's answer."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from pydantic import BaseModel, Field

from contracts.jobs import JobType
from services.assistant.analysis.examples import DataExample
from services.assistant.ports import WrittenSql
from services.kernel.llm.call_log import OFFLINE, Caller
from services.kernel.llm.catalogue import Purpose
from services.kernel.llm.prompts import DATA_RULE, data_block
from services.kernel.llm.router import Ask, ModelRouter

SHOWN_EXAMPLES = 12
_SCHEMA_CHARACTERS = 20_000
_QUESTION_CHARACTERS = 2_000

_INSTRUCTION = (
    "Write one SELECT statement in DuckDB's dialect that answers the question, reading only the tables of the schema. "
    "Give every computed column a short lower-case name, and order the rows where an order helps a reader. "
    f"When the tables cannot answer it, leave sql empty and say why in one sentence. {DATA_RULE}"
)


class _Query(BaseModel):
    sql: str = Field(max_length=20_000)
    why_not: str = Field(default="", max_length=500)


class ModelSqlWriter:
    def __init__(self, router: ModelRouter) -> None:
        self._router = router

    async def write(
        self,
        question: str,
        ddl: Sequence[str],
        notes: str,
        examples: Sequence[DataExample],
        job_id: str,
        deadline: float,
    ) -> WrittenSql:
        """See ``ports.SqlWriter``."""
        shown = "\n".join(f"{entry.en}\n{entry.sql}" for entry in examples[:SHOWN_EXAMPLES])
        blocks = [data_block("schema", ";\n".join(ddl), _SCHEMA_CHARACTERS)]
        blocks += [data_block("notes", notes, _SCHEMA_CHARACTERS)] if notes else []
        blocks += [data_block("examples", shown, _SCHEMA_CHARACTERS)] if shown else []
        blocks.append(data_block("question", question, _QUESTION_CHARACTERS))
        # SQL from a table's metadata, as for the cache's examples: the same models, limits and settings.
        ask = Ask(Purpose.EXAMPLES, _INSTRUCTION, "\n".join(blocks), _Query, lambda: _Query(sql=""), temperature=0.0)
        answer = await self._router.ask(ask, Caller(JobType.ANALYSIS, UUID(job_id)), deadline)
        if answer.source == OFFLINE:
            return WrittenSql(missing=answer.why or "no model answered")
        sql = answer.value.sql.strip().rstrip(";")
        if not sql:
            return WrittenSql(missing=answer.value.why_not or "the model says the tables cannot answer it")
        return WrittenSql(sql, answer.served_model or answer.model)
