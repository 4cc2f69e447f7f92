"""Composing offline, as it runs in the child process: the base data set, then problems in chunks."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

from contracts.message import json_text
from contracts.problems import GradingDataSet, LocaleHints, LocaleText
from contracts.problems import Provenance as PublishedProvenance
from services.generator.adapters.process import Send
from services.generator.domain import BaseSet, Chunk, NewProblem, add_counts
from services.generator.ports import Composing, Start

if TYPE_CHECKING:
    from services.generator.offline.generate import GenerationRequest, GenerationResult
    from services.generator.offline.problem import Problem
    from services.generator.offline.words import Text
    from services.generator.verify.verifiers import Verifier
    from services.kernel.sql.dataset import Dataset
    from services.kernel.sql.schema import Schema

CHUNK: Final = 10
"""Problems kept at a time: what a killed job has to make again."""
_SEED_STEP: Final = 1_000_003


def compose(start: Start, send: Send) -> None:
    """Send the base data set, then chunks until all problems are made or a chunk brings nothing new.

    The same ``start.order`` and ``start.seed`` make the same set, also when it is made in several runs.

    Raises:
        PermanentError: the request asks for what cannot be made.
    """
    from services.generator.offline.generate import prepare
    from services.generator.verify.verifiers import SandboxVerifier

    request = request_of(start)
    request.check()
    schema, base = prepare(request)
    send(BaseSet(base.name or "base", base.row_count, to_parquet(schema, base)))
    send(Composing("composing problems", start.made / start.wanted))
    batch = _Batch(start, schema, base)
    with SandboxVerifier(schema, base) as verifier:
        for number in range(start.chunks, start.chunks + start.wanted):
            chunk = batch.make(number, request, verifier, send)
            send(chunk)
            if batch.missing == 0 or not chunk.problems:
                return


class _Batch:
    """What must not repeat within one set: titles, queries and answers."""

    def __init__(self, start: Start, schema: Schema, base: Dataset) -> None:
        self._start, self._schema, self._base = start, schema, base
        self._titles = set(start.titles)
        self._known = set(start.known)
        self._answers: set[str] = set()
        self._made = start.made

    @property
    def missing(self) -> int:
        return self._start.wanted - self._made

    def make(self, number: int, request: GenerationRequest, verifier: Verifier, send: Send) -> Chunk:
        from services.generator.offline.generate import generate_on

        def on_progress(published: int, _: int) -> None:
            send(Composing("verifying problems", min(1.0, (self._made + published) / self._start.wanted)))

        part = replace(
            request,
            count=min(CHUNK, self.missing),
            seed=self._start.seed + number * _SEED_STEP,
            known_sql=frozenset(self._known),
        )
        result = generate_on(part, self._schema, self._base, verifier, on_progress)
        return self._chunk(number, result)

    def _chunk(self, number: int, result: GenerationResult) -> Chunk:
        problems: list[NewProblem] = []
        dropped: dict[str, int] = dict(result.dropped)
        for problem in result.problems:
            reason = self._unwanted(problem)
            if reason:
                dropped = add_counts(dropped, {reason: 1})
                continue
            made = self._publishable(problem)
            self._known.add(made.normalised_sql)
            problems.append(made)
        self._made += len(problems)
        return Chunk(number, tuple(problems), dropped)

    def _unwanted(self, problem: Problem) -> str:
        """Why this one does not belong in the set, or empty."""
        asked = self._start.order.difficulty
        # A recipe's level is where it starts; what it composed may have turned out harder.
        if asked and problem.difficulty not in asked:
            return "other_difficulty"
        answer = json.dumps(problem.expected_answer, sort_keys=True)
        if answer in self._answers:
            return "duplicate_result"
        self._answers.add(answer)
        return ""

    def _publishable(self, problem: Problem) -> NewProblem:
        from services.generator.offline.generate import normalised

        return NewProblem(
            difficulty=problem.difficulty,
            title=self._title(problem.title),
            description=_text(problem.description),
            initial_sql=problem.initial_sql,
            expected_answer=problem.expected_answer,
            hints=_hints(problem.hints),
            tags=problem.tags,
            ddl=tuple(problem.schema.ddl()),
            reference_sql=problem.reference_sql,
            normalised_sql=normalised(problem.reference_sql),
            ordered=problem.ordered,
            small_sets=tuple(inline(i, small) for i, small in enumerate(problem.datasets[1:], 1)),
            mutants={name: count for name, count in asdict(problem.mutants).items() if isinstance(count, int)},
            provenance=PublishedProvenance(source=problem.provenance.source, seed=self._start.seed),
        )

    def _title(self, title: Text) -> LocaleText:
        """Numbered when the set has one like it: titles are unique within a set."""
        made, number = _text(title), 1
        while (made.ko or made.en) in self._titles:
            number += 1
            made = LocaleText(
                ko=title.ko and f"{title.ko} ({number})",
                en=title.en and f"{title.en} ({number})",
            )
        self._titles.add(made.ko or made.en)
        return made


def request_of(start: Start) -> GenerationRequest:
    from services.generator.offline.draft import Level
    from services.generator.offline.generate import EVEN_MIX, GenerationRequest

    order = start.order
    return GenerationRequest(
        data_type=order.data_type,
        count=min(CHUNK, start.wanted),
        seed=start.seed,
        mix={Level(name): 1.0 for name in order.difficulty} or EVEN_MIX,
        topics=order.topics,
        locale=order.locale,
        rows=order.rows,
        problem_date=order.problem_date,
        schema=start.material.schema if start.material else None,
        profile=start.material.profile if start.material else None,
    )


def _text(text: Text) -> LocaleText:
    return LocaleText(ko=text.ko, en=text.en)


def _hints(hints: Sequence[Text]) -> LocaleHints:
    return LocaleHints(ko=[hint.ko for hint in hints if hint.ko], en=[hint.en for hint in hints if hint.en])


def inline(position: int, small: Dataset) -> GradingDataSet:
    return GradingDataSet(
        name=small.name or f"small-{position}",
        kind="small",
        row_count=small.row_count,
        inline=json_text(small.to_json()),
    )


def to_parquet(schema: Schema, dataset: Dataset) -> dict[str, bytes]:
    """Every table of ``schema`` as a Parquet file with the column types of its DDL, empty tables included."""
    import duckdb
    import pyarrow as pa

    from services.generator.verify.engine import bare_table
    from services.kernel.sql.schema import quote_identifier

    files: dict[str, bytes] = {}
    with tempfile.TemporaryDirectory() as directory, duckdb.connect() as connection:
        target = Path(directory) / "table.parquet"
        for table in schema.tables:
            connection.execute(bare_table(table))
            rows = [dict(row) for row in dataset.rows(table.name)]
            name = quote_identifier(table.name)
            if rows:
                connection.register("incoming", pa.Table.from_pylist(rows))
                connection.execute(f"INSERT INTO {name} BY NAME SELECT * FROM incoming")
                connection.unregister("incoming")
            connection.execute(f"COPY {name} TO '{target}' (FORMAT parquet)")
            files[table.name] = target.read_bytes()
    return files
