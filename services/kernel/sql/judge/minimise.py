"""Shrinks a counterexample: fewer rows, then fewer columns, then plainer values; constraints hold throughout.

Of many rows those around the values that differ are tried first; then runs of rows are removed, halving down to single
ones, to a fixed point (1-minimal in the sense of Zeller and Hildebrandt's delta debugging). A few rows are chosen by
trying every choice, the smallest first, so that no smaller one is left. Asking the engine has its price whatever is
asked, so candidates are asked together; what it hints at is confirmed by itself.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import accumulate, combinations

from services.kernel.sql.compare import ResultRow
from services.kernel.sql.dataset import Dataset
from services.kernel.sql.judge.deadline import Deadline
from services.kernel.sql.judge.differing import Differing
from services.kernel.sql.judge.instances import Instance
from services.kernel.sql.judge.layout import Layout
from services.kernel.sql.judge.plainer import Change, changes
from services.kernel.sql.judge.subsets import Subsets, size_of

_BATCH = 24
_BATCH_ROWS = 600
_MOST_AT_ONCE = 120
_FEW_OF = 12  # rows from which every choice of _FEW or fewer is tried
_FEW = 3
_ALL_OF = 7  # rows of which every choice is tried
_FEW_CHANGES = 12  # of which all but each one are tried at once


class Minimiser:
    def __init__(self, layout: Layout, differing: Differing, deadline: Deadline) -> None:
        self._layout, self._differing, self._deadline = layout, differing, deadline
        self._subsets = Subsets(layout)
        self._agreeing: set[str] = set()
        self._seemed: set[str] = set()  # to differ
        self._trusting = True  # hints, until they turn out to have misled

    def run(self, instance: Instance, telling: Sequence[ResultRow] = ()) -> list[Instance]:
        """The smallest first, then the same rows with the values they had, then ``instance``.

        Stops early at the deadline, with what it has reached by then. ``telling``: rows of the results on ``instance``
        that show the difference.
        """
        stages = self._shrunk(instance, telling)
        if len(stages) == 1 or not self._differing.hints_mislead or self._differing.surely(stages[0]):
            return stages
        self._trusting = False
        self._agreeing.clear()
        self._seemed.clear()
        return self._shrunk(instance, telling)

    def _shrunk(self, instance: Instance, telling: Sequence[ResultRow]) -> list[Instance]:
        fewest = instance
        if telling and size_of(instance) > _FEW_OF:
            around = list(_within(self._subsets.around(instance, telling)))
            fewest = self._first_differing(around) or instance
        fewest = self._fewest_rows(fewest)
        simpler = self._simplest(fewest)
        # Plainer values may need fewer rows; mostly it is known already that they do not.
        smaller = simpler if simpler == fewest else self._pass(simpler, 1)
        smallest = simpler if smaller == simpler else self._fewest_rows(smaller)
        return list({id(stage): stage for stage in (smallest, fewest, instance)}.values())

    def _first_differing(self, candidates: Sequence[Instance]) -> Instance | None:
        """The first that differs; what agreed once is not run again."""
        fresh = {text: c for c in candidates if (text := repr(c)) not in self._agreeing}
        texts = list(fresh)
        seeming = self._seeming(list(fresh.values()))
        self._agreeing.update(texts[n] for n in set(range(len(texts))) - set(seeming))
        for n in seeming:
            if self._late():
                return None
            if self._trusting or self._differing.surely(fresh[texts[n]]):
                return fresh[texts[n]]
            self._agreeing.add(texts[n])
        return None

    def _seeming(self, candidates: Sequence[Instance]) -> list[int]:
        if not candidates:
            return []
        return self._differing.hinted(candidates) if self._trusting else self._differing.likely(candidates)

    def _late(self) -> bool:
        return self._deadline.passed != ""

    def _fewest_rows(self, instance: Instance) -> Instance:
        instance = self._by_halves(instance, enough=_FEW_OF)
        few = self._fewest_of(instance, range(_FEW + 1)) if size_of(instance) <= _FEW_OF else None
        if few is not None:
            return few
        instance = self._by_halves(instance, enough=_ALL_OF)
        all_of = self._fewest_of(instance, range(_FEW + 1, size_of(instance))) if size_of(instance) <= _ALL_OF else None
        return instance if all_of is None else all_of

    def _fewest_of(self, instance: Instance, sizes: range) -> Instance | None:
        """The smallest choice of rows, of one of ``sizes``, that differs."""
        waiting: list[Instance] = []
        for size in sizes[: size_of(instance)]:
            choices = list(self._subsets.of_size(instance, size))
            if len(waiting) + len(choices) > _MOST_AT_ONCE:
                found = self._first_differing(waiting)
                if found is not None or self._late():
                    return found
                waiting = []
            waiting += choices
        return self._first_differing(waiting)

    def _by_halves(self, instance: Instance, enough: int) -> Instance:
        """Removes runs of rows, halving down to single ones, until ``enough`` are left or no single row can go."""
        run = max((len(rows) for rows in instance.values()), default=0)
        while run > 0 and size_of(instance) > enough and not self._late():
            removed = self._pass(instance, run)
            if run == 1 and removed == instance:
                return instance
            instance, run = removed, max(1, run // 2)
        return instance

    def _pass(self, instance: Instance, run: int) -> Instance:
        """Takes the first removal that still differs, and goes on from its place in the list, not from the start."""
        position = 0
        while not self._late():
            left = list(self._subsets.without_run(instance, run))[position:]
            batch = left[: max(1, min(_BATCH, _BATCH_ROWS // max(1, size_of(instance))))]
            if not batch:
                return instance
            smaller = self._first_differing(batch)
            if smaller is None:
                position += len(batch)
            else:
                position += batch.index(smaller)
                instance = smaller
        return instance

    def _simplest(self, instance: Instance) -> Instance:
        """Makes all the changes that, one after the other, keep the difference."""
        waiting = [change for change in changes(self._layout, instance) if self._is_legal(change.on(instance))]
        while 0 < len(waiting) <= _FEW_CHANGES and self._trusting and not self._late():
            instance, left = self._all_but_one(instance, waiting)
            if len(left) == len(waiting):
                break
            waiting = left
        while waiting and not self._late():
            steps = _steps(instance, waiting)
            alone = [change.on(instance) for change in waiting]
            kept = self._kept([*steps, *alone])
            good = next((n for n in range(len(steps)) if n not in kept), len(steps))
            if good and not self._trusting and not self._differing.surely(steps[good - 1]):
                waiting = waiting[:1] if good > 1 else []  # not more than one change can be trusted
                continue
            instance = steps[good - 1] if good else instance
            # What does no good alone does none beside others, nearly always.
            waiting = [waiting[n] for n in range(good + 1, len(waiting)) if len(steps) + n in kept]
        return instance

    def _all_but_one(self, instance: Instance, changes: Sequence[Change]) -> tuple[Instance, list[Change]]:
        """All changes at once, else all but one, else none; and those that are left to try."""
        wanted = [changes, *combinations(changes, len(changes) - 1)] if len(changes) > 1 else [changes]
        together = [_steps(instance, some)[-1] for some in wanted]
        alone = [change.on(instance) for change in changes]
        fewer = self._subsets.without_run(together[0], 1)
        kept = self._kept([*together, *alone, *fewer])
        good = next((n for n in range(len(together)) if n in kept), None)
        if good is not None:
            return together[good], []
        return instance, [change for n, change in enumerate(changes) if len(together) + n in kept]

    def _kept(self, candidates: Sequence[Instance]) -> set[int]:
        """The indexes of the candidates that satisfy the constraints and seem to differ."""
        texts = [repr(candidate) for candidate in candidates]
        legal = {n for n, candidate in enumerate(candidates) if texts[n] in self._seemed or self._is_legal(candidate)}
        known = self._agreeing | self._seemed
        fresh = {texts[n]: candidates[n] for n in legal if texts[n] not in known}
        asked = list(fresh)
        kept = {asked[n] for n in self._seeming(list(fresh.values()))}
        self._seemed |= kept
        self._agreeing |= set(fresh) - kept
        return {n for n in legal if texts[n] in self._seemed}

    def _is_legal(self, candidate: Instance) -> bool:
        return not any(Dataset(candidate).violations(self._layout.schema))


def _steps(instance: Instance, changes: Sequence[Change]) -> list[Instance]:
    """After the first change, after the second as well, and so on."""
    return list(accumulate(changes, lambda before, change: change.on(before), initial=instance))[1:]


def _within(parts: Sequence[Instance]) -> Iterator[Instance]:
    """As many as are worth asking at once, but at least one."""
    rows = 0
    for number, part in enumerate(parts):
        rows += size_of(part)
        if number == _BATCH or (number and rows > _BATCH_ROWS):
            return
        yield part
