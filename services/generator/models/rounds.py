"""Rounds of model-made problems: drafted, verified, solved from their text alone, repaired once."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Final

from contracts.problems import LocaleHints, LocaleText, Provenance
from services.generator.adapters.composing import inline
from services.generator.domain import Difficulty, NewProblem
from services.generator.models.draft import (
    Draft,
    DraftFault,
    Drafts,
    Solutions,
    fault_of,
    main_table,
)
from services.generator.models.prompts import (
    PROMPT_VERSION,
    SOLVE,
    WRITE,
    ask_for_problems,
    ask_for_repair,
    ask_for_solutions,
)
from services.generator.models.proving import ProvingGround
from services.generator.offline.generate import normalised
from services.generator.ports import Start
from services.generator.verify.check import Candidate, DropReason, Rejected, Verified
from services.kernel.llm.call_log import Caller
from services.kernel.llm.catalogue import Purpose
from services.kernel.llm.client import TokenUse
from services.kernel.llm.router import Answer, Ask, ModelRouter
from services.kernel.sql.schema import Schema, quote_identifier

JOB_TYPE: Final = "problem_generation"
EVEN: Final[tuple[Difficulty, ...]] = ("easy", "medium", "hard", "expert")

_TOKENS_PER_DRAFT: Final = 3_000
_TOKENS_PER_SOLUTION: Final = 1_500
_TOKENS_TO_THINK: Final = 4_000


@dataclass(frozen=True)
class Round:
    """``stopped``: why no model can go on, or empty. ``tokens``: of every call of the round."""

    problems: tuple[NewProblem, ...] = ()
    dropped: dict[str, int] = field(default_factory=dict)
    stopped: str = ""
    tokens: TokenUse = field(default_factory=TokenUse)


@dataclass(frozen=True)
class _Sound:
    """A draft that passed every check but the reader's."""

    draft: Draft
    verified: Verified
    served_model: str


class Rounds:
    """What must not repeat within a set is remembered from round to round.

    ``until``: monotonic seconds by which models must have answered."""

    def __init__(
        self, start: Start, schema: Schema, facts: str, router: ModelRouter, ground: ProvingGround, until: float
    ) -> None:
        self._start, self._schema, self._facts, self._until = start, schema, facts, until
        self._router, self._ground = router, ground
        self._caller = Caller(JOB_TYPE, start.job_id)
        self.titles = set(start.titles)
        self.known = set(start.known)
        self._answers: set[str] = set()
        self._drafted = len(start.titles)
        self._dropped: Counter[str] = Counter()
        self._tokens = TokenUse()

    async def make(self, count: int) -> Round:
        """One request for ``count`` problems, and what becomes of its answer.

        Raises:
            asyncpg.PostgresError, OSError: the quota ledger cannot be reached.
            SandboxUnavailable, SandboxBusy: nothing can be verified.
        """
        self._dropped, self._tokens = Counter(), TokenUse()
        wanted = self._difficulties(count)
        prompt = ask_for_problems(self._start.order, self._facts, wanted, sorted(self.titles), self._start.order.topics)
        answer = await self._ask_for_drafts(prompt, count)
        if answer.source == "offline":
            return self._round([], answer.why)
        agreed, disputed, stopped = await self._judged(answer, count)
        if disputed and not stopped:
            prompt = ask_for_repair(self._start.order, self._facts, [(s.draft, told) for s, told in disputed])
            repaired = await self._ask_for_drafts(prompt, len(disputed))
            if repaired.source == "offline":
                stopped = repaired.why
            else:
                more, disputed, stopped = await self._judged(repaired, len(disputed))
                agreed += more
        self._drop(DraftFault.DISAGREES, len(disputed))
        return self._round(agreed, stopped)

    def _round(self, agreed: Sequence[_Sound], stopped: str) -> Round:
        problems = tuple(problem for sound in agreed if (problem := self._published(sound)) is not None)
        return Round(problems, dict(self._dropped), stopped, self._tokens)

    def _difficulties(self, count: int) -> list[Difficulty]:
        mix = self._start.order.difficulty or EVEN
        chosen = [mix[(self._drafted + i) % len(mix)] for i in range(count)]
        self._drafted += count
        return chosen

    async def _ask_for_drafts(self, prompt: str, count: int) -> Answer[Drafts]:
        answer = await self._router.ask(
            Ask(
                Purpose.PROBLEM,
                WRITE,
                prompt,
                Drafts,
                lambda: Drafts(problems=[]),
                max_output_tokens=_TOKENS_TO_THINK + _TOKENS_PER_DRAFT * count,
                temperature=0.9,
                seed=(self._start.seed + self._drafted) % 2**31,
            ),
            self._caller,
            self._until,
        )
        self._tokens += answer.tokens
        return answer

    async def _judged(self, answer: Answer[Drafts], count: int) -> tuple[list[_Sound], list[tuple[_Sound, str]], str]:
        """Who agrees with the text, who does not and how, and why no reader could be asked (or empty)."""
        found = await asyncio.gather(*(self._verified(d, answer.served_model) for d in answer.value.problems[:count]))
        sound = [one for one in found if one is not None]
        if not sound:
            return [], [], ""
        solved = await self._solve(sound)
        if solved.source == "offline":
            self._drop(DraftFault.NOT_SOLVED, len(sound))
            return [], [], solved.why
        findings = await self._findings(sound, solved.value)
        agreed = [one for one, finding in zip(sound, findings, strict=True) if not finding]
        return agreed, [(one, finding) for one, finding in zip(sound, findings, strict=True) if finding], ""

    async def _verified(self, draft: Draft, served_model: str) -> _Sound | None:
        fault = fault_of(draft, self._start.order.locale, [table.name for table in self._schema.tables])
        if fault is not None:
            self._drop(fault[0])
            return None
        if normalised(draft.sql) in self.known:
            self._drop(DropReason.DUPLICATE_SQL)
            return None
        outcome = await self._ground.verify(Candidate(draft.sql, draft.ordered, self._start.seed))
        if isinstance(outcome, Rejected):
            self._drop(outcome.reason)
            return None
        return _Sound(draft, outcome, served_model)

    async def _solve(self, sound: Sequence[_Sound]) -> Answer[Solutions]:
        columns = [one.verified.expected.columns for one in sound]
        answer = await self._router.ask(
            Ask(
                Purpose.GRADING,
                SOLVE,
                ask_for_solutions(self._facts, [one.draft for one in sound], columns),
                Solutions,
                lambda: Solutions(solutions=[]),
                max_output_tokens=_TOKENS_TO_THINK + _TOKENS_PER_SOLUTION * len(sound),
                temperature=0.0,
            ),
            self._caller,
            self._until,
        )
        self._tokens += answer.tokens
        return answer

    async def _findings(self, sound: Sequence[_Sound], solved: Solutions) -> list[str]:
        solutions = {solution.number: solution.sql for solution in solved.solutions}

        async def finding(number: int, one: _Sound) -> str:
            sql = solutions.get(number, "").strip()
            if not sql:
                return "the reader found that the text does not say enough to write one query"
            return await self._ground.disagreement(one.draft.sql, one.verified, sql, ordered=one.draft.ordered)

        return await asyncio.gather(*(finding(number, one) for number, one in enumerate(sound, 1)))

    def _published(self, sound: _Sound) -> NewProblem | None:
        problem = self._problem(sound)
        expected = json.dumps(problem.expected_answer, sort_keys=True)
        for seen, value, reason in (
            (self.known, problem.normalised_sql, DropReason.DUPLICATE_SQL),
            (self.titles, problem.name, DropReason.DUPLICATE_TITLE),
            (self._answers, expected, DropReason.DUPLICATE_RESULT),
        ):
            if value in seen:
                self._drop(reason)
                return None
        self.known.add(problem.normalised_sql)
        self.titles.add(problem.name)
        self._answers.add(expected)
        return problem

    def _problem(self, sound: _Sound) -> NewProblem:
        draft, verified = sound.draft, sound.verified
        ko, en = (self._start.order.locale in (language, "both") for language in ("ko", "en"))
        columns = ", ".join(verified.expected.columns)
        score = asdict(verified.score)
        return NewProblem(
            difficulty=draft.difficulty,
            title=LocaleText(ko=draft.title.ko if ko else "", en=draft.title.en if en else ""),
            description=LocaleText(ko=draft.description.ko if ko else "", en=draft.description.en if en else ""),
            initial_sql=f"SELECT\n  -- {columns}\nFROM {quote_identifier(main_table(draft.sql))}",
            expected_answer=verified.expected.to_json(),
            hints=LocaleHints(
                ko=[hint.ko for hint in draft.hints] if ko else [], en=[hint.en for hint in draft.hints] if en else []
            ),
            tags=tuple(dict.fromkeys(draft.tags)),
            ddl=tuple(self._schema.ddl()),
            reference_sql=draft.sql,
            normalised_sql=normalised(draft.sql),
            ordered=draft.ordered,
            small_sets=tuple(inline(i, small) for i, small in enumerate(verified.small, 1)),
            mutants={name: score[name] for name in ("made", "killed", "equivalent")},
            provenance=Provenance(
                source="model", model=sound.served_model, prompt_version=PROMPT_VERSION, seed=self._start.seed
            ),
        )

    def _drop(self, reason: DraftFault | DropReason, count: int = 1) -> None:
        if count:
            self._dropped[reason.value] += count
