"""Shrinks a counterexample: fewer rows, then fewer columns, then plainer values; constraints hold throughout.

Greedy one-at-a-time removal to a fixed point (1-minimal in the sense of Zeller and Hildebrandt's delta debugging):
at the end no single row can go. Candidates are loaded together and run until one still differs.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from itertools import islice

from services.kernel.sql.dataset import Dataset, Value, key_of
from services.kernel.sql.judge.instances import Instance
from services.kernel.sql.judge.layout import Layout, TableLayout

_BATCH = 16
_BATCH_ROWS = 600
StillDiffers = Callable[[Sequence[Instance]], Instance | None]  # the first of the instances that still differs


class Minimiser:
    """``still_differs`` must accept only instances that are counterexamples in the full sense."""

    def __init__(self, layout: Layout, still_differs: StillDiffers, deadline: float) -> None:
        self._layout, self._still_differs, self._deadline = layout, still_differs, deadline

    def run(self, instance: Instance) -> Instance:
        """Stops early at the deadline (time.monotonic()), with what it has reached by then."""
        instance = self._shrink(instance, self._without_rows)
        before = None
        while before != instance and not self._late():
            before = instance
            instance = self._shrink(instance, self._without_column)
            instance = self._shrink(instance, self._with_plainer_value)
            instance = self._shrink(instance, self._without_rows)
        return instance

    def _late(self) -> bool:
        return time.monotonic() >= self._deadline

    def _shrink(self, instance: Instance, candidates: Callable[[Instance], Iterator[Instance]]) -> Instance:
        while not self._late():
            smaller = self._first_differing(instance, candidates(instance))
            if smaller is None:
                return instance
            instance = smaller
        return instance

    def _first_differing(self, instance: Instance, candidates: Iterator[Instance]) -> Instance | None:
        """Tries candidates in batches bounded by their rows, so that a large data set is not copied hundredfold."""
        size = max(1, min(_BATCH, _BATCH_ROWS // max(1, sum(len(rows) for rows in instance.values()))))
        fresh = (candidate for candidate in candidates if candidate != instance)
        while batch := list(islice(fresh, size)):
            smaller = self._still_differs(batch)
            if smaller is not None or self._late():
                return smaller
        return None

    def _without_rows(self, instance: Instance) -> Iterator[Instance]:
        """Without a whole table, without runs of rows, halving down to one: whatever refers to what went goes too."""
        names = [layout.table.name for layout in self._layout.tables]
        for name in sorted(names, key=lambda n: -len(instance.get(n, []))):
            if instance.get(name):
                yield self._cascade(instance | {name: []})
        for name in reversed(names):
            rows = instance.get(name, [])
            run = len(rows) // 2
            while run > 0:
                for start in range(0, len(rows), run):
                    yield self._cascade(instance | {name: rows[:start] + rows[start + run :]})
                run //= 2

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

    def _without_column(self, instance: Instance) -> Iterator[Instance]:
        """A nullable column set to NULL throughout is a column left out."""
        for layout in self._layout.tables:
            rows = instance.get(layout.table.name, [])
            for column in layout.varied:
                if layout.domains[column.name].nullable and any(row.get(column.name) is not None for row in rows):
                    yield self._valid(instance | {layout.table.name: [row | {column.name: None} for row in rows]})

    def _with_plainer_value(self, instance: Instance) -> Iterator[Instance]:
        """One value throughout a column, or one cell, replaced by the first plain value of its domain."""
        for layout in self._layout.tables:
            name, rows = layout.table.name, instance.get(layout.table.name, [])
            for column in layout.varied:
                for plain in layout.domains[column.name].values[:3]:
                    for index, row in enumerate(rows):
                        value = row.get(column.name)
                        if value is None or not _plainer(plain, value, layout, column.name):
                            continue
                        changed = [*rows[:index], row | {column.name: plain}, *rows[index + 1 :]]
                        yield self._valid(instance | {name: changed}, otherwise=instance)

    def _valid(self, changed: Instance, otherwise: Instance | None = None) -> Instance:
        """``changed`` if it satisfies the keys, else ``otherwise`` (which the caller drops as no change)."""
        broken = any(Dataset(changed).violations(self._layout.schema))
        return changed if not broken else (otherwise if otherwise is not None else self._cascade(changed))


def _plainer(plain: Value, value: Value, layout: TableLayout, column: str) -> bool:
    """Plain values come in a fixed order; a value outside it is the least plain."""
    order = layout.domains[column].values[:3]
    return plain in order and (value not in order or order.index(plain) < order.index(value))
