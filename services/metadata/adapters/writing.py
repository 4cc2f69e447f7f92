"""Examples written by a model, in Korean and English; the safe ones when no model answers."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from contracts.jobs import JobType
from services.kernel.llm.call_log import Caller
from services.kernel.llm.catalogue import Purpose
from services.kernel.llm.prompts import DATA_RULE, data_block
from services.kernel.llm.router import Ask, ModelRouter
from services.kernel.metadata_cache import Questions, TableSchema
from services.metadata.domain.examples import WANTED, Failed, Proposal
from services.metadata.domain.offline import partition_filter, safe_examples
from services.metadata.ports import WriteRequest, Written
from services.metadata.tally import MODEL, count

MAX_COLUMNS = 400
_SCHEMA_CHARACTERS = 40_000

_INSTRUCTION = f"""You write pairs of a question and the GoogleSQL query that answers it, about one BigQuery table.
{DATA_RULE}
Rules for each pair:
- The question is what an analyst would ask, once in Korean and once in English, with the same meaning.
- The SQL is one SELECT in GoogleSQL on this one table, named in full between backticks, and on nothing else.
- Only columns of the schema, spelled as there; fields of records with a dot; repeated fields through UNNEST.
- No parameters, no SELECT *, no personal data in a literal, every result column named.
- Take dates relative to the newest ones the data has, not to a calendar.
- Spread the difficulty: easy, medium and hard."""


class _Pair(BaseModel):
    model_config = ConfigDict(extra="forbid")

    question_ko: str = Field(min_length=5, max_length=500)
    question_en: str = Field(min_length=5, max_length=500)
    sql: str = Field(min_length=10, max_length=8_000)
    difficulty: Literal["easy", "medium", "hard"]


class _Pairs(BaseModel):
    model_config = ConfigDict(extra="forbid")

    examples: list[_Pair] = Field(max_length=WANTED * 2)


class ModelExampleWriter:
    """``router``: answers without a model are the safe examples, and say why in the note."""

    def __init__(self, router: ModelRouter) -> None:
        self._router = router

    async def write(self, request: WriteRequest) -> Written:
        wishes = f"Write {request.wanted} pairs."
        if request.cover:
            wishes += " Use these new columns where it makes sense: " + ", ".join(sorted(request.cover)[:20]) + "."
        content = f"{wishes}\n{described(request.schema)}\n{_existing(request.existing)}"
        written = await self._ask(request, content)
        if written.proposals:
            return written
        return Written(tuple(safe_examples(request.schema))[: request.wanted], written.note)

    async def repair(self, request: WriteRequest, failed: Sequence[Failed]) -> Written:
        broken = "\n".join(
            data_block("failed query", f"{item.proposal.sql}\n-- {item.error}", 3_000) for item in failed
        )
        content = (
            f"BigQuery refused these queries of yours. Mend each one, and keep its question.\n{broken}\n"
            f"{described(request.schema)}"
        )
        # What was not made by a model is not worth asking one about.
        if all(item.proposal.source != "model" for item in failed):
            return Written((), "")
        return await self._ask(request, content)

    async def _ask(self, request: WriteRequest, content: str) -> Written:
        """Without proposals when no model answered."""
        ask = Ask(Purpose.EXAMPLES, _INSTRUCTION, content, _Pairs, lambda: _Pairs(examples=[]), max_output_tokens=8_192)
        if self._router.available:
            count(MODEL)
        answer = await self._router.ask(ask, Caller(JobType.METADATA_REFRESH, request.job_id), request.deadline)
        if answer.source == "offline":
            return Written((), f"offline examples: {answer.why}")
        proposals = [_proposal(pair, answer.served_model or answer.model) for pair in answer.value.examples]
        return Written(tuple(proposals), answer.why)


def _proposal(pair: _Pair, model: str) -> Proposal:
    return Proposal(
        Questions(ko=pair.question_ko, en=pair.question_en),
        pair.sql.strip().rstrip(";"),
        pair.difficulty,
        source="model",
        model=model,
    )


def described(schema: TableSchema) -> str:
    """The table as a data block: descriptions and sample values are what others wrote."""
    lines = [f"table {schema.table_id} ({schema.table_type})", f"description: {schema.description}"]
    condition = partition_filter(schema)
    if condition:
        lines.append(f"every query must filter by partition, for example WHERE {condition}")
    for path, column in list(schema.paths().items())[:MAX_COLUMNS]:
        profile = column.profile
        facts = [column.type, column.mode]
        if profile is not None:
            facts += [f"distinct={profile.distinct}"] if profile.distinct is not None else []
            facts += [f"range={profile.minimum}..{profile.maximum}"] if profile.minimum is not None else []
            facts += [f"samples={list(profile.samples)}"] if profile.samples else []
        lines.append(f"{path}: {', '.join(facts)}; {column.description}")
    return data_block("table", "\n".join(lines), _SCHEMA_CHARACTERS)


def _existing(questions: Collection[str]) -> str:
    if not questions:
        return ""
    return "Do not repeat these questions:\n" + data_block("questions", "\n".join(questions), 4_000)
