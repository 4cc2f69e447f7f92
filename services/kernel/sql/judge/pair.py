"""Runs a reference and an answer on instances and decides whether what they return differs."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import Enum
from typing import TypeAlias

import duckdb
import sqlglot
from sqlglot import exp

from services.kernel.sql.compare import ComparisonPolicy, Difference, TieGroup, compare
from services.kernel.sql.judge.batch import BatchQuery, first_of_scalar_subqueries
from services.kernel.sql.judge.deadline import Deadline
from services.kernel.sql.judge.determinism import may_depend_on_row_order
from services.kernel.sql.judge.engine import InstanceEngine
from services.kernel.sql.judge.instances import Instance
from services.kernel.sql.ordering import OrderedReference, read_reference
from services.kernel.sql.results import ResultSet

_QUERY_SECONDS = 0.15  # no query needs longer on a handful of rows, unless it never ends
_BATCH_SECONDS = 0.002  # more for each instance of a batch
_SHUFFLES = 4


_Shape: TypeAlias = tuple[tuple[str, ...], tuple[str, ...]]


class Standing(Enum):
    """How far a difference seen on one instance may be trusted."""

    REAL = "real"  # differs whatever the order of rows
    ALWAYS = "always"  # the reference is settled, the answer depends on the order of rows and is wrong in every one
    BY_CHANCE = "by_chance"  # the same, but right in some order
    UNSETTLED = "unsettled"  # the reference itself depends on the order of rows: says nothing

    @property
    def is_certain(self) -> bool:
        return self in {Standing.REAL, Standing.ALWAYS}


@dataclass(frozen=True, slots=True)
class Run:
    """Both results on one instance. ``error``: what a query raised; ``failed``: which one (reference first)."""

    expected: ResultSet | None = None
    ties: list[TieGroup] | None = None
    actual: ResultSet | None = None
    difference: Difference | None = None
    error: duckdb.Error | None = None
    failed: str = ""


class Pair:
    """One reference and one answer, as they are run: on an engine when searching, on a connection when verifying."""

    def __init__(
        self, reference_sql: str, reference: exp.Expr, candidate_sql: str, candidate: exp.Expr, policy: ComparisonPolicy
    ) -> None:
        self.reference_sql, self.candidate_sql = reference_sql, candidate_sql
        self.ordered = read_reference(reference_sql, reference)
        self._rewritten: dict[tuple[str, bool], str] = {}
        # Whether ``run_on_all`` takes the first of several rows where one value is wanted: by itself the query fails
        # there, but one such instance must not keep all the others from being asked at once.
        self.lenient = False
        self._asked = policy
        self._answer = read_reference(candidate_sql, candidate)
        # Name and type of each column of the reference as it is run, and of the answer; known from the first run.
        self._shapes: tuple[_Shape, _Shape] | None = None
        self.chancy = may_depend_on_row_order(reference) or may_depend_on_row_order(candidate)

    @property
    def policy(self) -> ComparisonPolicy:
        """Order counts only when the problem says so and the reference states one."""
        asked = self._asked
        return ComparisonPolicy(
            asked.ordered and self.ordered.orders, asked.column_names, asked.column_order, asked.tolerance
        )

    @property
    def prepared(self) -> bool:
        """Whether the reference is run in another form than it was written in."""
        return self.ordered.sql != self.reference_sql

    def use_plain_reference(self) -> None:
        """Gives up on ties: for a reference whose instrumented form the engine does not accept."""
        self._shapes = None
        self.ordered = OrderedReference(self.reference_sql, (), 0, None, 0, orders=False)

    def judge_results(self, raw_expected: ResultSet, actual: ResultSet) -> Run:
        return self._judged(raw_expected, actual, self.policy)

    def run(self, engine: InstanceEngine, slot: int, deadline: Deadline) -> Run:
        """Both queries on the instance in ``slot``."""
        limit = deadline.sooner(_QUERY_SECONDS)
        try:
            raw = engine.run(self.ordered.sql, slot, limit)
        except duckdb.Error as error:
            return Run(error=error, failed="reference")
        try:
            actual = engine.run(self.candidate_sql, slot, limit)
        except duckdb.Error as error:
            return Run(error=error, failed="candidate")
        self._shapes = (raw.columns, raw.types), (actual.columns, actual.types)
        return self.judge_results(raw, actual)

    @property
    def knows_columns(self) -> bool:
        """Whether a run without error has shown what columns the queries return, as ``run_on_all`` needs."""
        return self._shapes is not None

    @property
    def shows_order_in_batches(self) -> bool:
        """Whether ``run_on_all`` sees the answer's order of rows, or no order counts."""
        return not self.policy.ordered or self._answer.orders

    def run_on_all(self, engine: InstanceEngine, slots: Sequence[int], deadline: Deadline) -> dict[int, Run]:
        """Both queries on all ``slots`` at once. A difference is a hint that ``run`` has to confirm (see ``batch``).

        Needs an earlier ``run`` without error. Raises duckdb.Error when a query fails on any of the instances.
        """
        try:
            return self._run_on_all(engine, slots, deadline)
        except duckdb.InvalidInputException as error:
            if self.lenient or "More than one row" not in str(error):
                raise
            self.lenient = True
            return self._run_on_all(engine, slots, deadline)

    def _run_on_all(self, engine: InstanceEngine, slots: Sequence[int], deadline: Deadline) -> dict[int, Run]:
        if self._shapes is None:
            raise ValueError("no run has shown the columns yet")
        limit = deadline.sooner(_QUERY_SECONDS + _BATCH_SECONDS * len(slots))
        (expected_columns, expected_types), (columns, types) = self._shapes
        keys = self.ordered.sort_keys(len(expected_columns)) if self.ordered.keys else ()
        expected = engine.run_on_all(BatchQuery(self._bare(self.ordered.sql), keys), limit)
        sorted_answer = self.policy.ordered and self._answer.orders
        if sorted_answer:
            width = len(columns) + self._answer.hidden
            answer = BatchQuery(self._bare(self._answer.sql), self._answer.sort_keys(width))
        else:
            answer = BatchQuery(self._bare(self.candidate_sql))
        actual = engine.run_on_all(answer, limit)
        policy = self.policy if sorted_answer else replace(self.policy, ordered=False)
        runs = {}
        for slot in slots:
            rows = actual.get(slot, ())
            if sorted_answer:
                rows = self._answer.visible(rows)
            runs[slot] = self._judged(
                ResultSet(expected_columns, expected_types, expected.get(slot, ())),
                ResultSet(columns, types, rows),
                policy,
            )
        return runs

    def _bare(self, sql: str) -> str:
        """A query as ``run_on_all`` asks it: without the semicolon that may end it, and what may follow that."""
        if not self.lenient and ";" not in sql:
            return sql
        if (sql, self.lenient) not in self._rewritten:
            tree = sqlglot.parse_one(sql, read="duckdb")
            tree = first_of_scalar_subqueries(tree) if self.lenient else tree
            self._rewritten[sql, self.lenient] = tree.sql("duckdb", comments=False)
        return self._rewritten[sql, self.lenient]

    def _judged(self, raw_expected: ResultSet, actual: ResultSet, policy: ComparisonPolicy) -> Run:
        expected, ties = self.ordered.interpret(raw_expected)
        return Run(expected, ties, actual, compare(expected, actual, policy, ties))

    def standing(self, engine: InstanceEngine, instance: Instance, deadline: Deadline) -> Standing:
        """Runs the pair on reorderings of ``instance``; replaces what the engine has loaded."""
        if not self.chancy:
            return Standing.REAL
        variants = reorderings(instance)
        engine.load(variants)
        runs: list[Run] = []
        for slot in range(len(variants)):
            runs.append(self.run(engine, slot, deadline))
            if self.weigh(runs) is Standing.UNSETTLED:
                break  # more orders cannot settle it
        return self.weigh(runs)

    def standings_on_all(
        self, engine: InstanceEngine, instances: Sequence[Instance], deadline: Deadline
    ) -> list[Standing]:
        """As ``standing`` for each of ``instances``, but only a hint, by ``run_on_all``; raises what that raises."""
        groups = [reorderings(instance) for instance in instances]
        variants = [variant for group in groups for variant in group]
        sound = engine.load(variants)
        runs = iter(self.run_on_all(engine, range(len(variants)), deadline).values())
        standings, first = [], 0
        for group in groups:
            weighed = self.weigh([next(runs) for _ in group])
            standings.append(weighed if first in sound else Standing.UNSETTLED)
            first += len(group)
        return standings

    def weigh(self, runs: Sequence[Run]) -> Standing:
        """Judges the same instance's runs under different row orders, the original order first."""
        sound = [run for run in runs if run.expected is not None and run.actual is not None]
        if len(sound) < len(runs) or sound[0].difference is None:
            return Standing.UNSETTLED
        always = all(run.difference is not None for run in sound)
        if self._settled_reference(sound):
            if self._settled_answer(sound):
                return Standing.REAL if always or sound[0].difference.kind == "order" else Standing.UNSETTLED
            return Standing.ALWAYS if always else Standing.BY_CHANCE
        return Standing.REAL if self._never_same_size(sound) else Standing.UNSETTLED

    def _settled_reference(self, runs: Sequence[Run]) -> bool:
        first = runs[0]
        return all(
            compare(first.expected, run.expected, self.policy, first.ties) is None
            for run in runs[1:]
            if first.expected is not None and run.expected is not None
        )

    def _settled_answer(self, runs: Sequence[Run]) -> bool:
        first = runs[0].actual
        bags = ComparisonPolicy(tolerance=self.policy.tolerance)
        return all(
            compare(first, run.actual, bags) is None for run in runs[1:] if first is not None and run.actual is not None
        )

    @staticmethod
    def _never_same_size(runs: Sequence[Run]) -> bool:
        """With both sides unsettled only the number of rows and columns is sure."""
        expected = {(len(run.expected.columns), len(run.expected.rows)) for run in runs if run.expected is not None}
        actual = {(len(run.actual.columns), len(run.actual.rows)) for run in runs if run.actual is not None}
        return not expected & actual


def reorderings(instance: Instance) -> list[Instance]:
    """``instance``, its rows reversed, and those of a few shuffles (always the same ones) that give another order."""
    rng = random.Random(7)
    variants: list[Instance] = [instance, {name: rows[::-1] for name, rows in instance.items()}]
    shuffled = ({name: rng.sample(rows, len(rows)) for name, rows in instance.items()} for _ in range(_SHUFFLES))
    for variant in shuffled:
        if variant not in variants:
            variants.append(variant)
    return variants
