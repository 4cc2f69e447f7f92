"""Whether a problem may be published: its reference query is safe and stable, and its data catches mistakes."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Final

from services.generator.datasets.sampling import seeded
from services.generator.verify.engine import ScratchDatabase, database, run
from services.generator.verify.instances import InstanceMaker, narrowed
from services.kernel.sql.compare import ComparisonPolicy, compare
from services.kernel.sql.dataset import Dataset
from services.kernel.sql.guard import Refused, check
from services.kernel.sql.mutation import Mutant, make_mutants
from services.kernel.sql.results import ResultSet
from services.kernel.sql.schema import Schema

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

MIN_KILLED: Final = 0.95
MAX_MUTANTS: Final = 48
MAX_SMALL_DATASETS: Final = 8
# How many small data sets are tried before the surviving mutants are looked at one by one.
_ATTEMPTS: Final = 60
# More of them when nearly all mutants are caught already.
_LAST_ATTEMPTS: Final = 160
_PROMISING: Final = 0.75
# The first attempts try every mutant that no small data set tells yet.
_BROAD: Final = 12
# So many survivors are put to the judge's search, each for so long at most; mostly its number of instances ends it.
_EXAMINED: Final = 2
_EXAMINE_MS: Final = 2_000


class DropReason(StrEnum):
    REFUSED = "refused"  # not one read-only query over the schema's tables
    FAILED = "failed"  # the database reports an error
    OVER_BUDGET = "over_budget"
    EMPTY = "empty"
    TRIVIAL = "trivial"
    TOO_LARGE = "too_large"
    NOT_DETERMINISTIC = "not_deterministic"
    MUTANTS_SURVIVE = "mutants_survive"
    DUPLICATE_SQL = "duplicate_sql"
    DUPLICATE_RESULT = "duplicate_result"
    DUPLICATE_TITLE = "duplicate_title"


class Rejected(Exception):
    """The candidate is not published; `detail` says where it fell short."""

    def __init__(self, reason: DropReason, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail


@dataclass(frozen=True)
class Candidate:
    sql: str
    ordered: bool
    seed: int


@dataclass(frozen=True)
class MutantScore:
    """`equivalent`: survivors for which a search found no difference. `survived`: what they changed."""

    made: int
    killed: int
    equivalent: int
    survived: tuple[str, ...] = ()

    @property
    def kill_rate(self) -> float:
        """Killed among those not equivalent; 1.0 when there are none."""
        real = self.made - self.equivalent
        return self.killed / real if real else 1.0


@dataclass(frozen=True)
class Verified:
    """`expected`: the answer on the base data set. `small`: data sets that catch what the base data set misses."""

    expected: ResultSet
    small: tuple[Dataset, ...]
    score: MutantScore


@dataclass
class _Trial:
    """One mutant's fate: the positions of the data sets (0: base, then small ones) that tell it from the reference."""

    mutant: Mutant
    killed_by: set[int] = field(default_factory=set)


def verify(
    candidate: Candidate, schema: Schema, samples: Dataset, ready: DuckDBPyConnection, shuffled: DuckDBPyConnection
) -> Verified:
    """Runs every check in the order of its cost. `ready` and `shuffled` hold the base data set in two orders of rows,
    `samples` some of its rows.

    Raises Rejected. Deterministic by ``candidate.seed``.
    """
    _guarded(candidate, schema)
    policy = ComparisonPolicy(ordered=candidate.ordered)
    expected = _expected(candidate, ready)
    _interesting(expected)
    if compare(expected, _answer(shuffled, candidate.sql), policy) is not None:
        raise Rejected(DropReason.NOT_DETERMINISTIC, "the answer changes with the order of the stored rows")
    trials = _on_base(candidate, schema, expected, ready, policy)
    read = narrowed(schema, [candidate.sql, *(trial.mutant.sql for trial in trials)])
    small = _small_datasets(candidate, read, samples, trials, policy)
    return _judged(candidate, read, expected, trials, small)


def _guarded(candidate: Candidate, schema: Schema) -> None:
    try:
        check(candidate.sql, "duckdb", [table.name for table in schema.tables])
    except Refused as refusal:
        raise Rejected(DropReason.REFUSED, str(refusal)) from refusal


def _answer(connection: DuckDBPyConnection, sql: str) -> ResultSet:
    import duckdb

    try:
        return run(connection, sql)
    except duckdb.Error as error:
        raise Rejected(DropReason.FAILED, str(error)[:300]) from error


def _expected(candidate: Candidate, connection: DuckDBPyConnection) -> ResultSet:
    expected = _answer(connection, candidate.sql)
    if expected.truncated:
        raise Rejected(DropReason.TOO_LARGE, f"more than {len(expected.rows)} rows")
    if not expected.rows:
        raise Rejected(DropReason.EMPTY, "no rows")
    return expected


def _interesting(expected: ResultSet) -> None:
    """One row must hold a value that is neither NULL nor zero; several rows must differ beyond their keys."""
    rows = expected.rows
    if all(value in (None, 0, "") for row in rows for value in row):
        raise Rejected(DropReason.TRIVIAL, "only NULLs and zeros")
    if len(rows) == 1 and len(expected.columns) > 1 and any(value is None for value in rows[0]):
        raise Rejected(DropReason.TRIVIAL, "one row with NULLs")
    if len(rows) > 1 and all(len({str(row[i]) for row in rows}) == 1 for i in range(len(expected.columns))):
        raise Rejected(DropReason.TRIVIAL, "every row is the same")
    last = [row[-1] for row in rows]
    if len(rows) > 2 and len(expected.columns) > 1 and all(value is None for value in last):
        raise Rejected(DropReason.TRIVIAL, f"column {expected.columns[-1]} is NULL everywhere")


def _on_base(
    candidate: Candidate, schema: Schema, expected: ResultSet, connection: DuckDBPyConnection, policy: ComparisonPolicy
) -> list[_Trial]:
    """Trials of the mutants that the database accepts; the others are no mistakes a learner could hand in."""
    import duckdb

    trials = []
    for mutant in make_mutants(candidate.sql, ordered=candidate.ordered, schema=schema, limit=MAX_MUTANTS):
        trial = _Trial(mutant)
        try:
            answer = run(connection, mutant.sql)
        except (duckdb.BinderException, duckdb.ParserException, duckdb.CatalogException):
            continue
        except duckdb.Error:  # it runs, and fails on these rows: told apart
            trial.killed_by.add(0)
        else:
            if compare(expected, answer, policy) is not None:
                trial.killed_by.add(0)
        trials.append(trial)
    return trials


def _small_datasets(
    candidate: Candidate, schema: Schema, samples: Dataset, trials: list[_Trial], policy: ComparisonPolicy
) -> list[Dataset]:
    """Few data sets, chosen greedily among many attempts by how many new mutants each tells from the reference."""
    import sqlglot

    rng = seeded("small", candidate.seed)
    chosen: list[Dataset] = []
    caught: set[int] = set()

    def useful(killed: list[_Trial]) -> bool:
        # Later attempts test little, and one that tells anything is wanted: the base alone would pass its own rows.
        many = 3 if attempt < _BROAD else 1
        return any(not t.killed_by for t in killed) or (len(killed) >= many and len(chosen) < 3)

    # Attempts are many and most of them useless: what one shows is looked for fast, and confirmed as graders run it.
    with ScratchDatabase(schema, optimize=False) as fast, ScratchDatabase(schema, optimize=True) as plain:
        tree = sqlglot.parse_one(candidate.sql, read="duckdb")
        maker = InstanceMaker(schema, tree, samples, fast.connection)
        for attempt in range(_LAST_ATTEMPTS):
            survivors = [t for t in trials if not t.killed_by]
            if attempt >= _ATTEMPTS and len(survivors) > (1 - _PROMISING) * len(trials):
                break
            done = attempt >= _BROAD or len(caught) == len(trials)
            if len(chosen) >= MAX_SMALL_DATASETS or (not survivors and chosen and done):
                break
            data = maker.make(rng)
            if data is None:
                continue
            # Later attempts are only about the survivors.
            only_survivors = attempt >= _BROAD and chosen
            open_trials = survivors if only_survivors else [t for i, t in enumerate(trials) if i not in caught]
            killed = _killed(candidate, data, fast, maker, open_trials, policy)
            if useful(killed):
                killed = _killed(candidate, data, plain, maker, killed, policy)
            if useful(killed):
                chosen.append(Dataset(data.tables, name=f"small-{len(chosen) + 1}"))
                for trial in killed:
                    trial.killed_by.add(len(chosen))
                caught.update(i for i, t in enumerate(trials) if any(k > 0 for k in t.killed_by))
    return chosen


def _killed(
    candidate: Candidate,
    data: Dataset,
    database: ScratchDatabase,
    maker: InstanceMaker,
    trials: list[_Trial],
    policy: ComparisonPolicy,
) -> list[_Trial]:
    import duckdb

    database.fill(maker.tables, data)
    try:
        expected = database.run(candidate.sql)
    except duckdb.Error:  # such as a sum out of range: these rows grade nobody
        return []
    found = []
    for trial in trials:
        try:
            differs = compare(expected, database.run(trial.mutant.sql), policy) is not None
        except duckdb.Error:
            differs = True
        if differs:
            found.append(trial)
    if found:
        database.fill(maker.tables, data, random.Random(candidate.seed))
        if compare(expected, database.run(candidate.sql), policy) is not None:
            raise Rejected(DropReason.NOT_DETERMINISTIC, "ties in a small data set leave the answer open")
    return found


def _examine(
    candidate: Candidate,
    schema: Schema,
    trials: list[_Trial],
    small: list[Dataset],
    policy: ComparisonPolicy,
) -> int:
    """Looks for each survivor's difference one by one; a data set that shows it joins `small`.

    Returns how many survivors are equivalent: the judge went through all its instances without a difference. A search
    that ran out of time decides nothing.
    """
    from services.kernel.sql.judge import JudgeRequest, judge

    survivors = [trial for trial in trials if not trial.killed_by]
    if len(survivors) > _EXAMINED:
        return 0
    equivalent = 0
    for trial in survivors:
        request = JudgeRequest(schema, candidate.sql, trial.mutant.sql, policy, (), candidate.seed, _EXAMINE_MS)
        verdict = judge(request)
        if verdict.counterexample is not None:
            data = verdict.counterexample.dataset
            if len(small) < MAX_SMALL_DATASETS and _tells(candidate, schema, data, trial, policy):
                small.append(Dataset(data.tables, name=f"small-{len(small) + 1}"))
                trial.killed_by.add(len(small))
        elif verdict.outcome == "equivalent" and not verdict.exhausted:
            equivalent += 1
    return equivalent


def _tells(candidate: Candidate, schema: Schema, data: Dataset, trial: _Trial, policy: ComparisonPolicy) -> bool:
    """Whether plain execution shows the difference too: one by the order of reading is no use to a grader."""
    import duckdb

    with database(schema, data) as connection:
        try:
            return compare(run(connection, candidate.sql), run(connection, trial.mutant.sql), policy) is not None
        except duckdb.Error:
            return True


def _judged(
    candidate: Candidate, schema: Schema, expected: ResultSet, trials: list[_Trial], small: list[Dataset]
) -> Verified:
    score = _score(trials, 0)
    if score.kill_rate < MIN_KILLED:
        score = _score(trials, _examine(candidate, schema, trials, small, ComparisonPolicy(ordered=candidate.ordered)))
    if not small:
        raise Rejected(DropReason.MUTANTS_SURVIVE, f"no few rows tell one of {score.made} mutants from it")
    if score.kill_rate < MIN_KILLED:
        alive = "; ".join(score.survived[:4])
        raise Rejected(DropReason.MUTANTS_SURVIVE, f"{score.killed} of {score.made} killed; alive: {alive}")
    return Verified(expected, tuple(small), score)


def _score(trials: list[_Trial], equivalent: int) -> MutantScore:
    alive = tuple(f"{t.mutant.operator}: {t.mutant.detail}" for t in trials if not t.killed_by)
    return MutantScore(len(trials), len(trials) - len(alive), equivalent, alive)
