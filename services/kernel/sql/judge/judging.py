"""The judgement of one answer, from the fast path to the located mistake."""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property
from itertools import zip_longest

import duckdb
import sqlglot
from sqlglot import exp
from sqlglot.errors import SqlglotError

from services.kernel.sql.clauses import clause_scores
from services.kernel.sql.compare import ResultRow, compare
from services.kernel.sql.dataset import Dataset
from services.kernel.sql.judge.canonical import canonical_tree, equal_by_rewriting, may_be_same, same_query
from services.kernel.sql.judge.deadline import Deadline
from services.kernel.sql.judge.differing import Differing
from services.kernel.sql.judge.engine import InstanceEngine
from services.kernel.sql.judge.hints import read_hints
from services.kernel.sql.judge.instances import Instance, InstanceMaker
from services.kernel.sql.judge.layout import Layout, plan_layout
from services.kernel.sql.judge.minimise import Minimiser
from services.kernel.sql.judge.pair import Pair, Run, Standing, reorderings
from services.kernel.sql.judge.remarks import remarks_on
from services.kernel.sql.judge.report import Clock, Report
from services.kernel.sql.judge.request import Counterexample, DatasetScore, JudgeRequest, Method, Verdict
from services.kernel.sql.judge.search import OPENING, Found, Search
from services.kernel.sql.judge.today import on_one_day
from services.kernel.sql.judge.verify import Verifier
from services.kernel.sql.locate import locate
from services.kernel.sql.mistakes import Mistake

MAX_INSTANCES = 1500
_MOST_UNREPEATABLE = 4  # differences that do not survive a fresh engine, before the search is given up
_SEARCH_SHARE = 0.8  # of the budget; the rest minimises, verifies and locates
_LEAST_SECONDS = 0.15  # for searching and for minimising, each
# A difference found must not be lost for want of time on a busy machine: verifying takes a hundredth of this.
_VERIFYING_SECONDS = 0.4


def judge(request: JudgeRequest) -> Verdict:
    """Decides whether the candidate answers as the reference does, within ``request.budget_ms``.

    Deterministic by seed, except that a slower machine gets through fewer instances within the budget. Runs the two
    queries as they are: call it inside a sandbox, after the guard.
    """
    started = Clock.now()
    trees = []
    for which, sql in (("reference", request.reference_sql), ("candidate", request.candidate_sql)):
        try:
            trees.append(sqlglot.parse_one(sql, read="duckdb"))
        except SqlglotError as error:
            return Report(request, started).verdict("unsupported", f"{which}_unparsable", "none", detail=str(error))
    request, trees = on_one_day(request, trees)
    return _Judgement(Report(request, started), trees[0], trees[1]).run()


class _Judgement:
    def __init__(self, report: Report, reference: exp.Expr, candidate: exp.Expr) -> None:
        request = report.request
        self._report, self._request, self._reference, self._candidate = report, request, reference, candidate
        self._pair = Pair(request.reference_sql, reference, request.candidate_sql, candidate, request.policy)
        self._deadline = Deadline.after(request.budget_ms / 1000)
        self._search_deadline = Deadline.after(request.budget_ms / 1000 * _SEARCH_SHARE)

    @cached_property
    def _canonical(self) -> tuple[exp.Expr | None, exp.Expr | None]:
        reference, candidate = (
            canonical_tree(tree, self._request.schema, keep_order=self._pair.policy.ordered)
            for tree in (self._reference, self._candidate)
        )
        return reference, candidate

    def run(self) -> Verdict:
        alike = self._names_are_free and may_be_same(self._reference, self._candidate)
        if alike and same_query(*self._canonical):
            return self._accepted("same_tree", "same_tree")
        hints = read_hints([self._reference, self._candidate], self._request.schema)
        layout = plan_layout(self._request.schema, hints)
        rng = random.Random(self._request.seed)
        with InstanceEngine(layout) as engine, Verifier(self._pair, layout.closure) as self._verifier:
            maker = InstanceMaker(layout, sorted(hints.sizes), rng)
            search = Search(engine, self._pair, maker, rng)
            decided = self._on_datasets(engine, layout, search)
            if decided is not None:
                return decided
            if not self._request.search:
                return self._accepted("dataset")
            self._check_instrumented(engine)
            deadline = self._search_deadline.later(_LEAST_SECONDS)
            found = search.run(deadline, OPENING)
            # The proof comes after the instances that show most differences: it costs more than they do.
            if not found.standing.is_certain and self._names_are_free and self._equal_by_rewriting():
                self._report.instances = found.tried
                return self._accepted("same_tree", "same_tree")
            for _ in range(_MOST_UNREPEATABLE):
                found = search.run(deadline, MAX_INSTANCES)
                self._report.instances, self._report.ended_by = found.tried, found.ended_by
                if found.instance is None:
                    break
                decided = self._different(engine, layout, found.instance, found.standing, "search")
                if decided is not None:
                    return decided
                search.forget()
            return self._undecided(found)

    @property
    def _names_are_free(self) -> bool:
        return self._request.policy.column_names == "ignore"

    def _equal_by_rewriting(self) -> bool:
        return equal_by_rewriting(
            self._reference, self._candidate, self._request.schema, keep_order=self._pair.policy.ordered
        )

    def _check_instrumented(self, engine: InstanceEngine) -> None:
        """The form of the reference that shows its order keys must run wherever the reference does."""
        if self._request.datasets or not self._pair.prepared:
            return  # the data sets have shown it
        engine.load([{}])
        if self._is_instrumentation(self._pair.run(engine, 0, self._deadline)):
            self._pair.use_plain_reference()

    def _is_instrumentation(self, run: Run) -> bool:
        """Whether the form of the reference that shows its order keys may be why it does not run."""
        return (
            self._pair.prepared
            and run.failed == "reference"
            and isinstance(run.error, duckdb.BinderException | duckdb.ParserException)
        )

    def _on_datasets(self, engine: InstanceEngine, layout: Layout, search: Search) -> Verdict | None:
        datasets = self._request.datasets
        if not datasets:
            return None
        instances = [_projected(dataset, layout) for dataset in datasets]
        results = search.on_given(instances, self._deadline)
        if any(self._is_instrumentation(run) for run, _ in results):
            self._pair.use_plain_reference()
            results = search.on_given(instances, self._deadline)
        broken = next((run for run, _ in results if run.failed == "reference"), None)
        if broken is not None:
            return self._report.verdict("unsupported", "reference_fails", "dataset", detail=_message(broken))
        self._report.datasets = tuple(
            _score(dataset, run, standing) for dataset, (run, standing) in zip(datasets, results, strict=True)
        )
        failing = [n for n, score in enumerate(self._report.datasets) if not score.agrees]
        if not failing:
            return None
        worst = min(failing, key=lambda n: datasets[n].row_count)
        run, standing = results[worst]
        if run.error is not None:
            verdict = self._report.verdict("different", "candidate_fails", "dataset", detail=_message(run))
            return self._scored(verdict)
        decided = self._different(engine, layout, instances[worst], standing, "dataset", _telling(run))
        return decided or self._accepted("dataset")

    def _undecided(self, found: Found) -> Verdict:
        """No difference that could be shown: unless nothing ran at all, the answer is accepted."""
        if found.sound == 0 and found.error is not None:
            reason = f"{found.error.failed}_fails"
            return self._report.verdict("unsupported", reason, "none", detail=_message(found.error))
        return self._accepted("search")

    def _accepted(self, method: Method, reason: str = "no_difference_found") -> Verdict:
        verdict = self._report.verdict("equivalent", reason, method)
        if not self._request.explain:
            return verdict
        return replace(
            verdict, remarks=remarks_on(self._reference, self._candidate), clause_scores=self._clause_scores()
        )

    def _different(
        self,
        engine: InstanceEngine,
        layout: Layout,
        instance: Instance,
        standing: Standing,
        method: Method,
        telling: Sequence[ResultRow] = (),
    ) -> Verdict | None:
        """None where the optimized engine agrees on this data: not a difference that anyone could repeat.

        ``telling``: rows of the results that show the difference, where they are known.
        """
        deadline = self._deadline.later(_LEAST_SECONDS)
        differing = Differing(engine, self._pair, standing, deadline)
        stages = Minimiser(layout, differing, Deadline.after(0.75 * deadline.remaining)).run(instance, telling)
        verified = next(filter(None, (self._verified(stage, standing) for stage in stages)), None)
        if verified is None:
            return None
        instance, run = verified
        counterexample = _counterexample(instance, run, by_chance=standing in {Standing.ALWAYS, Standing.BY_CHANCE})
        verdict = self._report.verdict(
            "different", "by_chance" if counterexample.by_chance else "counterexample", method
        )
        verdict = replace(verdict, counterexample=counterexample)
        if not self._request.explain:
            return verdict
        verdict = replace(verdict, mistakes=self._mistakes(engine, instance, counterexample, run))
        elapsed, cpu = self._report.started.elapsed()
        return replace(self._scored(verdict), elapsed_ms=elapsed, cpu_ms=cpu)

    def _verified(self, instance: Instance, standing: Standing) -> tuple[Instance, Run] | None:
        """The instance, in an order of rows in which another engine shows the difference too, and its run there."""
        orders = reorderings(instance) if standing is Standing.BY_CHANCE else [instance]
        deadline = self._deadline.later(_VERIFYING_SECONDS)
        for order in orders:
            run = self._verifier.run(order, deadline)
            if run is not None:
                return order, run
        return None

    def _mistakes(
        self, engine: InstanceEngine, instance: Instance, found: Counterexample, run: Run
    ) -> tuple[Mistake, ...]:
        reference, candidate = self._canonical
        if reference is None or candidate is None:
            reference, candidate = self._reference, self._candidate
        engine.load([instance])

        def agrees(sql: str) -> bool:
            try:
                actual = engine.run(sql, 0, self._deadline)
            except duckdb.Error:
                return False
            return compare(found.expected, actual, self._pair.policy, run.ties) is None

        return locate(reference, candidate, found.difference, by_chance=found.by_chance, agrees=agrees)

    def _clause_scores(self) -> dict[str, float]:
        reference, candidate = self._canonical
        if reference is None or candidate is None:
            reference, candidate = self._reference, self._candidate
        return clause_scores(reference, candidate)

    def _scored(self, verdict: Verdict) -> Verdict:
        """Partial credit: half for the share of clauses in common, half for the share of data sets passed; below 1.

        Without data sets of the problem's own the clauses alone count, at half.
        """
        clauses = self._clause_scores()
        by_clause = sum(clauses.values()) / len(clauses) if clauses else 0.0
        passed = [score.agrees for score in verdict.datasets]
        by_dataset = sum(passed) / len(passed) if passed else 0.0
        return replace(verdict, clause_scores=clauses, score=round(min(0.99, (by_clause + by_dataset) / 2), 3))


def _counterexample(instance: Instance, run: Run, *, by_chance: bool) -> Counterexample:
    if run.expected is None or run.actual is None or run.difference is None:
        raise ValueError("a counterexample needs both results and their difference")
    return Counterexample(Dataset(instance, "counterexample"), run.expected, run.actual, run.difference, by_chance)


def _telling(run: Run) -> list[ResultRow]:
    """The rows that differ, one of each result in turn; of rows out of order the one that belongs there first."""
    if run.difference is None or run.expected is None:
        return []
    difference = run.difference
    missing = difference.missing or run.expected.rows[(place := difference.position or 0) : place + 1]
    return [row for pair in zip_longest(missing, difference.extra) for row in pair if row is not None]


def _projected(dataset: Dataset, layout: Layout) -> Instance:
    """The rows as far as the two queries and the constraints on them can see."""
    instance: Instance = {}
    for part in layout.tables:
        kept = [column.name for column in part.varied] + list(part.constant)
        instance[part.table.name] = [{name: row.get(name) for name in kept} for row in dataset.rows(part.table.name)]
    return instance


def _score(dataset: Dataset, run: Run, standing: Standing) -> DatasetScore:
    if run.failed == "candidate":
        return DatasetScore(dataset.name, False, "error")
    differs = run.difference is not None and standing is not Standing.UNSETTLED
    return DatasetScore(dataset.name, not differs, run.difference.kind if differs and run.difference else None)


def _message(run: Run) -> str:
    """What the engine said; it wraps its errors in JSON (see ``sandbox.engine``)."""
    text = str(run.error)
    try:
        return str(json.loads(text[text.index("{") :])["exception_message"])
    except (ValueError, KeyError):
        return text
