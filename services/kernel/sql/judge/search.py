"""Looks for an instance on which two queries differ, the smallest and the most telling first."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import duckdb

from services.kernel.sql.compare import is_rounding_noise
from services.kernel.sql.judge.deadline import Deadline, PassedLimit
from services.kernel.sql.judge.engine import InstanceEngine, TooManyRows
from services.kernel.sql.judge.instances import Instance, InstanceMaker
from services.kernel.sql.judge.pair import Pair, Run, Standing
from services.kernel.sql.matching import canonical

OPENING = 24
LEAST = 120
"""Instances tried before a pair is accepted, whatever the time: a starved machine must not accept for want of it."""
_SMALL_BATCH = 24
_BATCHES = (OPENING, 96)  # the first small: most differences show at once
_BATCH = 192
_LEAST_SECONDS = 0.5  # of processor time beyond the deadline for these, and for no more
_FEW = 3  # instances that are no batch
_EVERY = 8
_MOST_DOUBTED = 12  # differences of one batch that are looked at one by one
_MOST_FAILED_BATCHES = 3
_CORPUS = 24
_MAX_ERRORS_IN_A_ROW = 60
_MAX_INTERRUPTIONS_IN_A_ROW = 6
_NOISE_TO_BELIEVE = 4


@dataclass
class Found:
    """``instance`` differs as ``standing`` says. ``tried``: instances run. ``error``: the last error met.

    ``ended_by``: the limit that ended the search, if one did.
    """

    instance: Instance | None = None
    standing: Standing = Standing.UNSETTLED
    tried: int = 0
    sound: int = 0
    error: Run | None = None
    ended_by: PassedLimit = ""


@dataclass
class _Corpus:
    """Instances worth changing a little: those that made the queries return something new in shape, and above all
    those on which they differed only by the order of rows: a tie broken may make the difference real."""

    rng: random.Random
    kept: list[Instance] = field(default_factory=list)
    near: list[Instance] = field(default_factory=list)
    seen: set[tuple[int, ...]] = field(default_factory=set)

    def consider(self, instance: Instance, run: Run) -> None:
        expected = run.expected.rows if run.expected else ()
        actual = run.actual.rows if run.actual else ()
        if not expected and not actual:
            return
        values = [value for row in expected for value in row]
        signature = (len(expected), len(actual), values.count(None), min(4, len({canonical(v) for v in values if v})))
        if signature not in self.seen:
            self.seen.add(signature)
            self.kept.append(instance)
            if len(self.kept) > _CORPUS:
                self.kept.pop(0)

    def almost(self, instance: Instance) -> None:
        self.near.append(instance)
        if len(self.near) > _CORPUS:
            self.near.pop(0)

    def pick(self) -> Instance | None:
        if self.near and self.rng.random() < 0.6:
            return self.rng.choice(self.near)
        return self.rng.choice(self.kept) if self.kept and self.rng.random() < 0.4 else None


class _Time:
    """A deadline, and a little more for the first LEAST instances. ``limit``: for the queries of now."""

    def __init__(self, deadline: Deadline) -> None:
        self._deadline = self.limit = deadline

    def is_up(self, tried: int) -> bool:
        if not self._deadline.passed:
            return False
        if self.limit is self._deadline:
            self.limit = Deadline.after(_LEAST_SECONDS)
        return tried >= LEAST or self.limit.passed != ""


class Search:
    def __init__(self, engine: InstanceEngine, pair: Pair, maker: InstanceMaker, rng: random.Random) -> None:
        self._engine, self._pair, self._maker, self._rng = engine, pair, maker, rng
        self._corpus = _Corpus(rng)
        self._noisy = self._failing = self._failed_batches = 0
        self._over = False
        self._found = Found()
        self._time = _Time(Deadline.after(0))
        self._pending = self._batches()

    def run(self, deadline: Deadline, max_instances: int) -> Found:
        """Searches until a real difference, ``deadline`` or ``max_instances`` tried in all, but at least LEAST.

        A difference by chance is kept in case nothing better comes. Called again, it goes on with the next instances.
        """
        found, self._time = self._found, _Time(deadline)
        while found.tried < max_instances and not self._over:
            if self._time.is_up(found.tried):
                found.ended_by = deadline.passed
                break
            batch = next(self._pending, None)
            if batch is None:
                break
            self._run_batch(batch)
        return found

    def forget(self) -> None:
        """Takes back the difference found, so that the search can go on."""
        self._found.instance, self._found.standing, self._over = None, Standing.UNSETTLED, False

    def _run_batch(self, batch: list[Instance]) -> None:
        slots = sorted(self._engine.load(batch))
        runs = self._answered(slots)
        doubted = []
        for slot, run in runs.items():
            if run.difference is None:
                self._corpus.consider(batch[slot], run)
            elif not self._is_noise(run):
                doubted.append(slot)
        for slot in _worth_a_look(doubted, batch):
            if self._time.is_up(self._found.tried):
                return
            if self._settles(batch[slot], slot):
                self._over = True
                return

    def _answered(self, slots: Sequence[int]) -> dict[int, Run]:
        """The pair's run on each slot on which both queries run, of all at once where that can be."""
        runs: dict[int, Run] = {}
        waiting = list(slots)
        while waiting and not self._pair.knows_columns and not self._over:
            self._run_singly(runs, [waiting.pop(0)])
        if self._over:
            return runs
        if not self._pair.shows_order_in_batches:
            alone, waiting = waiting[::_EVERY], [slot for n, slot in enumerate(waiting) if n % _EVERY]
            self._run_singly(runs, alone)
        if not self._run_together(runs, waiting):
            for start in range(0, len(waiting), _SMALL_BATCH):
                part = waiting[start : start + _SMALL_BATCH]
                if not self._run_together(runs, part):
                    self._failed_batches += 1
                    self._run_singly(runs, part)
        return runs

    def _run_together(self, runs: dict[int, Run], slots: Sequence[int]) -> bool:
        """False, having done nothing, where that cannot be: an error on one instance is one on all."""
        if len(slots) <= _FEW or self._failed_batches > _MOST_FAILED_BATCHES:
            return False
        self._engine.switch_on(slots[0], slots[-1] + 1)
        try:
            together = self._pair.run_on_all(self._engine, slots, self._time.limit)
        except (duckdb.Error, TooManyRows) as error:
            if isinstance(error, duckdb.InterruptException):
                self._maker.avoid_cycles()
            return False
        runs |= together
        self._found.tried += len(together)
        self._found.sound += len(together)
        return True

    def _run_singly(self, runs: dict[int, Run], slots: Sequence[int]) -> None:
        found = self._found
        for slot in slots:
            if self._over or self._time.is_up(found.tried):
                return
            found.tried += 1
            run = self._pair.run(self._engine, slot, self._time.limit)
            if run.error is not None:
                self._over = self._gives_up(run)
                continue
            self._failing = 0
            found.sound += 1
            runs[slot] = run

    def _gives_up(self, run: Run) -> bool:
        self._found.error = run
        self._failing += 1
        endless = isinstance(run.error, duckdb.InterruptException)
        patience = _MAX_INTERRUPTIONS_IN_A_ROW if endless else _MAX_ERRORS_IN_A_ROW
        return (self._failing > patience and not self._found.sound) or (
            run.error is not None and _cannot_run(run.error)
        )

    def _is_noise(self, run: Run) -> bool:
        """A difference of one rounded unit is believed only when it comes often: halves are rare, truncation is not."""
        if run.difference is None or not is_rounding_noise(run.difference):
            return False
        self._noisy += 1
        return self._noisy < _NOISE_TO_BELIEVE or self._noisy * 10 < self._found.sound

    def on_given(self, instances: list[Instance], deadline: Deadline) -> list[tuple[Run, Standing]]:
        """The pair's runs on given instances, each with the standing of its difference (UNSETTLED without one).

        Of several at once it is a hint, as by ``run_on_all``.
        """
        self._engine.load(instances)
        runs = self._runs_on_loaded(len(instances), deadline)
        return [
            (
                run,
                Standing.UNSETTLED if run.difference is None else self._pair.standing(self._engine, instance, deadline),
            )
            for run, instance in zip(runs, instances, strict=True)
        ]

    def _runs_on_loaded(self, count: int, deadline: Deadline) -> list[Run]:
        first, rest = self._pair.run(self._engine, 0, deadline), range(1, count)
        together = first.error is None and not self._pair.chancy and self._pair.shows_order_in_batches
        if together and len(rest) >= _FEW:
            self._engine.switch_on(rest.start, rest.stop)
            try:
                return [first, *self._pair.run_on_all(self._engine, rest, deadline).values()]
            except (duckdb.Error, TooManyRows):
                pass  # an error on one is an error on all: each has to be seen by itself
        return [first, *(self._pair.run(self._engine, slot, deadline) for slot in rest)]

    def _settles(self, instance: Instance, slot: int) -> bool:
        """Whether the queries by themselves confirm a difference seen on ``instance``, which is loaded in ``slot``."""
        if not self._pair.chancy:
            if self._pair.run(self._engine, slot, self._time.limit).difference is None:
                return False
            self._found.instance, self._found.standing = instance, Standing.REAL
            return True
        found, standing = self._found, self._pair.standing(self._engine, instance, self._time.limit)
        if standing.is_certain or (standing is Standing.BY_CHANCE and found.instance is None):
            found.instance, found.standing = instance, standing
        if not standing.is_certain:
            self._corpus.almost(instance)
        return standing.is_certain

    def _batches(self) -> Iterator[list[Instance]]:
        """Without end, unless the queries read no table: then there is one instance, the empty one."""
        if not self._maker.has_tables:
            yield [{}]
            return
        opening = [self._maker.make(profile) for profile in self._maker.opening()]
        sizes = iter(_BATCHES)
        while True:
            size = next(sizes, _BATCH)
            batch, opening = opening[:size], opening[size:]
            while len(batch) < size:
                batch.append(self._next())
            yield batch

    def _next(self) -> Instance:
        parent = self._corpus.pick()
        return self._maker.make(self._maker.random_profile()) if parent is None else self._maker.mutate(parent)


def _worth_a_look(doubted: Sequence[int], batch: Sequence[Instance]) -> list[int]:
    """The smallest of the instances in doubt, and some of every size for where these are too small to be sure."""
    by_size = sorted(doubted, key=lambda slot: (sum(map(len, batch[slot].values())), slot))
    half = _MOST_DOUBTED // 2
    rest = by_size[half:]
    return by_size[:half] + rest[:: max(1, -(-len(rest) // half))]


def _cannot_run(error: duckdb.Error) -> bool:
    """True for an error that no other data could avoid."""
    return isinstance(error, duckdb.BinderException | duckdb.CatalogException | duckdb.ParserException)
