"""Shrinks a counterexample: fewer rows, then fewer columns, then plainer values; constraints hold throughout.

A few rows are chosen by trying every choice, the smallest first, so that no smaller one is left. From many, runs of
rows are removed, halving down to single ones, to a fixed point (1-minimal in the sense of Zeller and Hildebrandt's
delta debugging). Candidates are asked of the engine together; what it hints at is confirmed by itself.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate, combinations

from services.kernel.sql.dataset import Dataset, Value, key_of
from services.kernel.sql.judge.deadline import Deadline
from services.kernel.sql.judge.differing import Differing
from services.kernel.sql.judge.instances import Instance, Rows
from services.kernel.sql.judge.layout import Layout

_BATCH = 24
_BATCH_ROWS = 600
_MOST_AT_ONCE = 120
_FEW_OF = 12  # rows from which every choice of _FEW or fewer is tried
_FEW = 3
_ALL_OF = 7  # rows of which every choice is tried
_PLAIN = 6  # the plain values come first in a domain


@dataclass(frozen=True, slots=True)
class _Change:
    """``value`` in place of what ``column`` holds: in the row at ``index``, or in all where that is None."""

    table: str
    column: str
    value: Value
    index: int | None = None

    def on(self, instance: Instance) -> Instance:
        rows = instance[self.table]
        changed: Rows = [
            row | {self.column: self.value} if self.index in {None, index} else row for index, row in enumerate(rows)
        ]
        return instance | {self.table: changed}


class Minimiser:
    def __init__(self, layout: Layout, differing: Differing, deadline: Deadline) -> None:
        self._layout, self._differing, self._deadline = layout, differing, deadline
        self._agreeing: set[str] = set()
        self._trusting = True  # hints, until they turn out to have misled

    def run(self, instance: Instance) -> Instance:
        """Stops early at the deadline, with what it has reached by then."""
        smallest = self._shrunk(instance)
        if smallest == instance or not self._differing.hints_mislead or self._differing.surely(smallest):
            return smallest
        self._trusting = False
        self._agreeing.clear()
        return self._shrunk(instance)

    def _shrunk(self, instance: Instance) -> Instance:
        instance = self._fewest_rows(instance)
        simpler = self._simplest(instance)
        return simpler if simpler == instance else self._fewest_rows(simpler)

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
        few = self._fewest_of(instance, range(_FEW + 1)) if _size(instance) <= _FEW_OF else None
        if few is not None:
            return few
        instance = self._by_halves(instance, enough=_ALL_OF)
        all_of = self._fewest_of(instance, range(_FEW + 1, _size(instance))) if _size(instance) <= _ALL_OF else None
        return instance if all_of is None else all_of

    def _fewest_of(self, instance: Instance, sizes: range) -> Instance | None:
        """The smallest choice of rows, of one of ``sizes``, that differs."""
        waiting: list[Instance] = []
        for size in sizes[: _size(instance)]:
            choices = list(self._choices(instance, size))
            if len(waiting) + len(choices) > _MOST_AT_ONCE:
                found = self._first_differing(waiting)
                if found is not None or self._late():
                    return found
                waiting = []
            waiting += choices
        return self._first_differing(waiting)

    def _choices(self, instance: Instance, size: int) -> Iterator[Instance]:
        """The parts of ``instance`` with ``size`` rows in which no reference dangles."""
        places = [(table, index) for table, rows in instance.items() for index in range(len(rows))]
        bound = any(layout.foreign_keys for layout in self._layout.tables)
        for chosen in combinations(places, size):
            part: Instance = {table: [] for table in instance}
            for table, index in chosen:
                part[table].append(instance[table][index])
            if not bound or self._cascade(part) == part:
                yield part

    def _by_halves(self, instance: Instance, enough: int) -> Instance:
        """Removes runs of rows, halving down to single ones, until ``enough`` are left or no single row can go."""
        run = max((len(rows) for rows in instance.values()), default=0)
        while run > 0 and _size(instance) > enough and not self._late():
            removed = self._pass(instance, run)
            if run == 1 and removed == instance:
                return instance
            instance, run = removed, max(1, run // 2)
        return instance

    def _pass(self, instance: Instance, run: int) -> Instance:
        """Takes the first removal that still differs, and goes on from its place in the list, not from the start."""
        position = 0
        while not self._late():
            left = list(self._without_run(instance, run))[position:]
            batch = left[: max(1, min(_BATCH, _BATCH_ROWS // max(1, _size(instance))))]
            if not batch:
                return instance
            smaller = self._first_differing(batch)
            if smaller is None:
                position += len(batch)
            else:
                position += batch.index(smaller)
                instance = smaller
        return instance

    def _without_run(self, instance: Instance, size: int) -> Iterator[Instance]:
        """Without ``size`` rows in a row of one table, children first; whatever refers to what went goes too."""
        for layout in reversed(self._layout.tables):
            rows = instance.get(layout.table.name, [])
            if len(rows) >= size or (rows and size > 1):
                for start in range(0, len(rows), size):
                    yield self._cascade(instance | {layout.table.name: rows[:start] + rows[start + size :]})

    def _cascade(self, instance: Instance) -> Instance:
        """Drops rows whose parent is gone, parents first; a row that refers to itself stays."""
        result = dict(instance)
        for layout in self._layout.tables:
            for key in layout.foreign_keys:
                parent = self._layout.schema.table(key.ref_table)
                while True:
                    known = {key_of(row, parent, key.ref_columns) for row in result.get(parent.name, [])}
                    rows = result.get(layout.table.name, [])
                    kept = [r for r in rows if (k := key_of(r, layout.table, key.columns)) is None or k in known]
                    result[layout.table.name] = kept
                    if len(kept) == len(rows) or parent.name != layout.table.name:
                        break
        return result

    def _simplest(self, instance: Instance) -> Instance:
        """Makes all the changes that, one after the other, keep the difference."""
        waiting = list(self._changes(instance))
        while waiting and not self._late():
            steps = list(accumulate(waiting, lambda before, change: change.on(before), initial=instance))[1:]
            alone = [change.on(instance) for change in waiting]
            kept = set(self._valid([*steps, *alone]))
            good = next((n for n in range(len(steps)) if n not in kept), len(steps))
            if good and not self._trusting and not self._differing.surely(steps[good - 1]):
                waiting = waiting[:1] if good > 1 else []  # not more than one change can be trusted
                continue
            instance = steps[good - 1] if good else instance
            # What does no good alone does none beside others, nearly always.
            waiting = [waiting[n] for n in range(good + 1, len(waiting)) if len(steps) + n in kept]
        return instance

    def _valid(self, candidates: Sequence[Instance]) -> list[int]:
        """The indexes of the candidates that satisfy the constraints and seem to differ."""
        valid = [n for n, c in enumerate(candidates) if not any(Dataset(c).violations(self._layout.schema))]
        return [valid[n] for n in self._seeming([candidates[n] for n in valid])]

    def _changes(self, instance: Instance) -> Iterator[_Change]:
        """A nullable column set to NULL throughout is a column left out; then values that are neither plain nor in
        either query give way to the first plain one of their column."""
        for layout in self._layout.tables:
            for column in layout.varied:
                rows = instance.get(layout.table.name, [])
                if layout.domains[column.name].nullable and any(row.get(column.name) is not None for row in rows):
                    yield _Change(layout.table.name, column.name, None)
        for layout in self._layout.tables:
            for column in layout.varied:
                domain = layout.domains[column.name]
                known = {*domain.values[:_PLAIN], *domain.likely, None}
                for index, row in enumerate(instance.get(layout.table.name, [])):
                    if domain.values and row.get(column.name) not in known:
                        yield _Change(layout.table.name, column.name, domain.values[0], index)


def _size(instance: Instance) -> int:
    return sum(len(rows) for rows in instance.values())
