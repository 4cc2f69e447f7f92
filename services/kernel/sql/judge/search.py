"""Looks for an instance on which two queries differ, the smallest and the most telling first."""

from __future__ import annotations

import random
import time
from collections.abc import Iterator
from dataclasses import dataclass, field

import duckdb

from services.kernel.sql.compare import is_rounding_noise
from services.kernel.sql.judge.engine import InstanceEngine
from services.kernel.sql.judge.instances import Instance, InstanceMaker
from services.kernel.sql.judge.pair import Pair, Run, Standing
from services.kernel.sql.matching import canonical

OPENING = 6
_BATCHES = (OPENING, 10, 16)  # the first ones small: most differences show at once
_BATCH = 24
_CORPUS = 24
_MAX_ERRORS_IN_A_ROW = 60
_NOISE_TO_BELIEVE = 4


@dataclass
class Found:
    """``instance`` differs as ``standing`` says. ``tried``: instances run. ``error``: the last error met."""

    instance: Instance | None = None
    standing: Standing = Standing.UNSETTLED
    tried: int = 0
    sound: int = 0
    error: Run | None = None
    exhausted: bool = False


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


class Search:
    def __init__(self, engine: InstanceEngine, pair: Pair, maker: InstanceMaker, rng: random.Random) -> None:
        self._engine, self._pair, self._maker, self._rng = engine, pair, maker, rng
        self._corpus = _Corpus(rng)
        self._noisy = self._failing = 0
        self._found = Found()
        self._pending = self._batches()

    def run(self, deadline: float, max_instances: int) -> Found:
        """Searches until a real difference, ``deadline`` (time.monotonic()) or ``max_instances`` tried in all.

        A difference by chance is kept in case nothing better comes. Called again, it goes on with the next instances.
        """
        found = self._found
        for batch in self._pending:
            if self._run_batch(batch, deadline, max_instances):
                break
            if found.tried >= max_instances:
                break
        return found

    def _run_batch(self, batch: list[Instance], deadline: float, max_instances: int) -> bool:
        """True when the search is over."""
        found = self._found
        sound = self._engine.load(batch)
        for slot, instance in enumerate(batch):
            if found.tried >= max_instances or time.monotonic() >= deadline:
                found.exhausted = time.monotonic() >= deadline
                return True
            if slot not in sound:
                continue
            found.tried += 1
            run = self._pair.run(self._engine, slot, deadline)
            if run.error is not None:
                if self._gives_up(run):
                    return True
                continue
            self._failing = 0
            found.sound += 1
            if run.difference is None:
                self._corpus.consider(instance, run)
                continue
            if self._is_noise(run, found):
                continue
            if self._settles(found, instance, deadline):
                return True
            if self._pair.chancy:
                self._engine.load(batch)
        return False

    def _gives_up(self, run: Run) -> bool:
        self._found.error = run
        self._failing += 1
        return (self._failing > _MAX_ERRORS_IN_A_ROW and not self._found.sound) or (
            run.error is not None and _cannot_run(run.error)
        )

    def _is_noise(self, run: Run, found: Found) -> bool:
        """A difference of one rounded unit is believed only when it comes often: halves are rare, truncation is not."""
        if run.difference is None or not is_rounding_noise(run.difference):
            return False
        self._noisy += 1
        return self._noisy < _NOISE_TO_BELIEVE or self._noisy * 10 < found.sound

    def on_given(self, instances: list[Instance], deadline: float) -> list[tuple[Run, Standing]]:
        """The pair's runs on given instances, each with the standing of its difference (UNSETTLED without one)."""
        self._engine.load(instances)
        runs = [self._pair.run(self._engine, slot, deadline) for slot in range(len(instances))]
        return [
            (
                run,
                Standing.UNSETTLED if run.difference is None else self._pair.standing(self._engine, instance, deadline),
            )
            for run, instance in zip(runs, instances, strict=True)
        ]

    def _settles(self, found: Found, instance: Instance, deadline: float) -> bool:
        standing = self._pair.standing(self._engine, instance, deadline)
        if standing.is_certain or (standing is Standing.BY_CHANCE and found.instance is None):
            found.instance, found.standing = instance, standing
        if not standing.is_certain:
            self._corpus.almost(instance)
        return standing.is_certain

    def _batches(self) -> Iterator[list[Instance]]:
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


def _cannot_run(error: duckdb.Error) -> bool:
    """True for an error that no other data could avoid."""
    return isinstance(error, duckdb.BinderException | duckdb.CatalogException | duckdb.ParserException)
