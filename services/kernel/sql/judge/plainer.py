"""Changes that make an instance easier to read: columns left out, and plain values for odd ones."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass

from services.kernel.sql.dataset import Value
from services.kernel.sql.judge.hints import BaseColumn
from services.kernel.sql.judge.instances import Instance
from services.kernel.sql.judge.layout import Layout, TableLayout
from services.kernel.sql.matching import canonical

_PLAIN = 6  # the plain values come first in a domain


@dataclass(frozen=True, slots=True)
class Change:
    """``value`` in place of what ``columns`` (table, column) hold: in the row at ``index``, or in all where that is
    None; where they hold ``old``, or whatever they hold where that is None."""

    columns: tuple[BaseColumn, ...]
    value: Value
    old: Value = None
    index: int | None = None

    def on(self, instance: Instance) -> Instance:
        changed = dict(instance)
        for table, column in self.columns:
            changed[table] = [
                row | {column: self.value} if self._concerns(index, row.get(column)) else row
                for index, row in enumerate(changed.get(table, []))
            ]
        return changed

    def _concerns(self, index: int, held: Value) -> bool:
        return self.index in {None, index} and (self.old is None or held == self.old)


def changes(layout: Layout, instance: Instance) -> Iterator[Change]:
    """A nullable column set to NULL throughout is a column left out; then values that are neither plain nor in either
    query give way to plain ones: keys wherever they are referred to, each by one of its own, the others by the first of
    their column."""
    for part in layout.tables:
        for column in part.varied:
            rows = instance.get(part.table.name, [])
            if part.domains[column.name].nullable and any(row.get(column.name) is not None for row in rows):
                yield Change(((part.table.name, column.name),), None)
    keys = _key_groups(layout)
    for members in keys:
        yield from _renamed(layout, instance, members)
    renamed = {member for members in keys for member in members}
    for part in layout.tables:
        for column in part.varied:
            if (part.table.name, column.name) in renamed:
                continue
            plain, known = _plain(part, column.name)
            for index, row in enumerate(instance.get(part.table.name, [])):
                if plain and canonical(row.get(column.name)) not in known:
                    yield Change(((part.table.name, column.name),), plain[0], index=index)


def _key_groups(layout: Layout) -> list[list[BaseColumn]]:
    """The columns of every group with a key in it, those of keys first; without those of another type, which are there
    only because names are resolved loosely."""
    in_keys = {
        (part.table.name, name): part.groups[name] for part in layout.tables for key in part.keys for name in key
    }
    keyed = [
        sorted(layout.members[group], key=lambda member: member not in in_keys)
        for group in dict.fromkeys(in_keys.values())
    ]
    family = {(part.table.name, name): domain.family for part in layout.tables for name, domain in part.domains.items()}
    return [[m for m in members if family[m] == family[members[0]]] for members in keyed]


def _renamed(layout: Layout, instance: Instance, members: Sequence[BaseColumn]) -> Iterator[Change]:
    parts = {part.table.name: part for part in layout.tables}
    held = dict.fromkeys(
        value
        for table, column in members
        for row in instance.get(table, [])
        if isinstance(value := row.get(column), Hashable) and value is not None
    )
    table, column = members[0]
    plain, known = _plain(parts[table], column)
    taken = {canonical(value) for value in held}
    free = (value for value in plain if canonical(value) not in taken)
    for value in held:
        if canonical(value) not in known and (new := next(free, None)) is not None:
            yield Change(tuple(members), new, old=value)


def _plain(part: TableLayout, column: str) -> tuple[Sequence[Value], set[Hashable]]:
    """The plain values of a column, and the values that need none: these, what the queries name, and NULL."""
    domain = part.domains[column]
    plain = domain.values[:_PLAIN]
    return plain, {canonical(value) for value in (*plain, *domain.likely, None)}
