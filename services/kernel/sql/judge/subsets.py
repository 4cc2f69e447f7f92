"""Parts of an instance: some of its rows, chosen so that no reference dangles."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from itertools import combinations
from typing import TypeAlias

from services.kernel.sql.compare import ResultRow
from services.kernel.sql.dataset import key_of
from services.kernel.sql.judge.hints import BaseColumn
from services.kernel.sql.judge.instances import Instance
from services.kernel.sql.judge.layout import Layout
from services.kernel.sql.matching import canonical

_TELLING = 12  # rows whose values are looked for
_Places: TypeAlias = dict[str, set[int]]  # table -> indexes of rows


def size_of(instance: Instance) -> int:
    return sum(len(rows) for rows in instance.values())


class Subsets:
    """Knows which rows of a layout's instances belong together."""

    def __init__(self, layout: Layout) -> None:
        self._layout = layout

    def of_size(self, instance: Instance, size: int) -> Iterator[Instance]:
        """Every choice of ``size`` rows."""
        places = [(table, index) for table, rows in instance.items() for index in range(len(rows))]
        bound = any(part.foreign_keys for part in self._layout.tables)
        for chosen in combinations(places, size):
            some: Instance = {table: [] for table in instance}
            for table, index in chosen:
                some[table].append(instance[table][index])
            if not bound or self._whole(some) == some:
                yield some

    def without_run(self, instance: Instance, size: int) -> Iterator[Instance]:
        """Without ``size`` rows in a row of one table, children first; whatever refers to what went goes too."""
        for part in reversed(self._layout.tables):
            rows = instance.get(part.table.name, [])
            if len(rows) >= size or (rows and size > 1):
                for start in range(0, len(rows), size):
                    yield self._whole(instance | {part.table.name: rows[:start] + rows[start + size :]})

    def around(self, instance: Instance, telling: Sequence[ResultRow]) -> list[Instance]:
        """The rows that hold a value of the rows that differ, with those of other tables that are joined to them; the
        smallest part first.

        Columns of a differing row often name the group or the entity that it is about.
        """
        told = telling[:_TELLING]
        wanted = [{value} for value in sorted(_values_of(told), key=repr)]
        wanted += [*(_values_of([row]) for row in told), _values_of(told[:2])]
        places = {group: self._places(instance, members) for group, members in self._layout.members.items()}
        whole, parts = size_of(instance), []
        for values in wanted:
            for of_value in places.values():
                found = _together(of_value[value] for value in values if value in of_value)
                if found:
                    parts.append(self._whole(self._joined(instance, found, places)))
        return sorted((part for part in parts if size_of(part) < whole), key=size_of)

    @staticmethod
    def _places(instance: Instance, members: Sequence[tuple[str, str]]) -> dict[Hashable, _Places]:
        """Where the columns of one group hold each value."""
        places: dict[Hashable, _Places] = {}
        for table, column in members:
            for index, row in enumerate(instance.get(table, ())):
                if (value := row.get(column)) is not None:
                    places.setdefault(canonical(value), {}).setdefault(table, set()).add(index)
        return places

    def _joined(
        self, instance: Instance, found: _Places, places: Mapping[BaseColumn, Mapping[Hashable, _Places]]
    ) -> Instance:
        """The rows ``found`` and, table by table, those that share a value with them in columns of one group; a table
        without any stays as it is."""
        reached = dict(found)
        while near := self._near(instance, reached, places):
            reached |= near
        return {
            table: [rows[index] for index in sorted(reached[table])] if table in reached else rows
            for table, rows in instance.items()
        }

    def _near(
        self, instance: Instance, reached: _Places, places: Mapping[BaseColumn, Mapping[Hashable, _Places]]
    ) -> _Places:
        near: _Places = {}
        for group, members in self._layout.members.items():
            held = {
                canonical(value)
                for table, column in members
                for index in reached.get(table, ())
                if (value := instance[table][index].get(column)) is not None
            }
            for table, indexes in _together(places[group][value] for value in held).items():
                if table not in reached:
                    near.setdefault(table, set()).update(indexes)
        return near

    def _whole(self, instance: Instance) -> Instance:
        """Drops rows whose parent is gone, parents first; a row that refers to itself stays."""
        result = dict(instance)
        for part in self._layout.tables:
            for key in part.foreign_keys:
                parent = self._layout.schema.table(key.ref_table)
                while True:
                    known = {key_of(row, parent, key.ref_columns) for row in result.get(parent.name, [])}
                    rows = result.get(part.table.name, [])
                    kept = [r for r in rows if (k := key_of(r, part.table, key.columns)) is None or k in known]
                    result[part.table.name] = kept
                    if len(kept) == len(rows) or parent.name != part.table.name:
                        break
        return result


def _values_of(rows: Iterable[ResultRow]) -> set[Hashable]:
    return {canonical(value) for row in rows for value in row if value is not None}


def _together(several: Iterable[_Places]) -> _Places:
    union: _Places = {}
    for places in several:
        for table, indexes in places.items():
            union.setdefault(table, set()).update(indexes)
    return union
