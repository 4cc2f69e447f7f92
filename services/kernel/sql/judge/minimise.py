"""Shrinks a counterexample: fewer rows, then fewer columns, then plainer values; constraints hold throughout.

Greedy one-at-a-time removal to a fixed point (1-minimal in the sense of Zeller and Hildebrandt's delta debugging):
at the end no single row can go. Candidates are loaded together and run until one still differs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from services.kernel.sql.dataset import Dataset, key_of
from services.kernel.sql.judge.deadline import Deadline
from services.kernel.sql.judge.instances import Instance
from services.kernel.sql.judge.layout import Layout

_BATCH = 12
_PLAIN = 6  # the plain values come first in a domain
_BATCH_ROWS = 600
StillDiffers = Callable[[Sequence[Instance]], Instance | None]  # the first of the instances that still differs


class Minimiser:
    """``still_differs`` must accept only instances that are counterexamples in the full sense."""

    def __init__(self, layout: Layout, still_differs: StillDiffers, deadline: Deadline) -> None:
        self._layout, self._checked, self._deadline = layout, still_differs, deadline
        self._agreeing: set[str] = set()

    def run(self, instance: Instance) -> Instance:
        """Stops early at the deadline, with what it has reached by then."""
        instance = self._fewest_rows(instance)
        simpler = self._plainer(self._fewer_columns(instance))
        return simpler if simpler == instance else self._fewest_rows(simpler)

    def _still_differs(self, candidates: Sequence[Instance]) -> Instance | None:
        """The first that differs; what agreed once is not run again."""
        texts = [repr(candidate) for candidate in candidates]
        fresh = {t: c for t, c in zip(texts, candidates, strict=True) if t not in self._agreeing}
        found = self._checked(list(fresh.values())) if fresh else None
        for text, candidate in fresh.items():
            if candidate is found:
                break
            self._agreeing.add(text)
        return found

    def _late(self) -> bool:
        return self._deadline.passed != ""

    def _fewest_rows(self, instance: Instance) -> Instance:
        """Removes runs of rows, halving down to single ones, until a whole round of single rows finds nothing."""
        run = max((len(rows) for rows in instance.values()), default=0)
        while run > 0 and not self._late():
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
            size = max(1, min(_BATCH, _BATCH_ROWS // max(1, sum(len(rows) for rows in instance.values()))))
            batch = left[:size]
            if not batch:
                return instance
            smaller = self._still_differs(batch)
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

    def _fewer_columns(self, instance: Instance) -> Instance:
        """A nullable column set to NULL throughout is a column left out."""
        for layout in self._layout.tables:
            name = layout.table.name
            nullable = [column.name for column in layout.varied if layout.domains[column.name].nullable]
            for column in nullable:
                rows = instance.get(name, [])
                if any(row.get(column) is not None for row in rows):
                    cleared = instance | {name: [row | {column: None} for row in rows]}
                    instance = self._kept_if_valid(cleared, instance)
        return instance

    def _plainer(self, instance: Instance) -> Instance:
        """Replaces values that are neither plain nor in either query by the first plain one of their column."""
        for layout in self._layout.tables:
            name = layout.table.name
            for column in layout.varied:
                domain = layout.domains[column.name]
                known = {*domain.values[:_PLAIN], *domain.likely, None}
                for index, row in enumerate(instance.get(name, [])):
                    if row.get(column.name) in known or not domain.values:
                        continue
                    rows = instance[name]
                    changed = [*rows[:index], row | {column.name: domain.values[0]}, *rows[index + 1 :]]
                    instance = self._kept_if_valid(instance | {name: changed}, instance)
        return instance

    def _kept_if_valid(self, changed: Instance, instance: Instance) -> Instance:
        if self._late() or any(Dataset(changed).violations(self._layout.schema)):
            return instance
        return self._still_differs([changed]) or instance
