"""Which tables and columns of a schema an instance has to fill, and from which values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

from services.kernel.sql.dataset import Value
from services.kernel.sql.judge.domains import Domain, DomainBuilder
from services.kernel.sql.judge.hints import BaseColumn, Hints
from services.kernel.sql.schema import Column, ForeignKey, Schema, Table


@dataclass(frozen=True)
class TableLayout:
    """``varied``: columns whose values are generated; ``constant``: required columns that no query looks at.

    Every other column is NULL. ``keys`` hold the schema's spelling of column names; ``foreign_keys`` only those whose
    columns are varied. ``climbs``: pairs of columns by which a recursive query goes from row to row of this table.
    """

    table: Table
    varied: tuple[Column, ...]
    domains: Mapping[str, Domain]
    groups: Mapping[str, BaseColumn]
    constant: Mapping[str, Value]
    keys: tuple[tuple[str, ...], ...]
    foreign_keys: tuple[ForeignKey, ...]
    climbs: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class Layout:
    """``tables`` in creation order; ``read``: those that a query reads, the others being there for foreign keys."""

    schema: Schema
    tables: tuple[TableLayout, ...]
    read: frozenset[str]

    @cached_property
    def members(self) -> dict[BaseColumn, list[BaseColumn]]:
        """The columns of each group, by its representative."""
        members: dict[BaseColumn, list[BaseColumn]] = {}
        for layout in self.tables:
            for column, group in layout.groups.items():
                members.setdefault(group, []).append((layout.table.name, column))
        return members

    @cached_property
    def closure(self) -> Schema:
        """The part of the schema that instances are data of, and every table that its foreign keys lead to."""
        return self.schema.closure(layout.table.name for layout in self.tables)


def plan_layout(schema: Schema, hints: Hints) -> Layout:
    """The layout for the tables that the queries read and those their foreign keys need."""
    wanted = _with_parents(schema, hints)
    builder = DomainBuilder(schema, hints)
    tables = tuple(_table_layout(table, hints, builder) for table in schema.tables if table.name in wanted)
    return Layout(schema, tables, frozenset(hints.tables))


def _active_foreign_keys(table: Table, hints: Hints) -> list[ForeignKey]:
    """Those that can hold a value: a nullable foreign key that no query looks at stays NULL."""
    return [
        key
        for key in table.foreign_keys
        if any((table.name, table.column(name).name) in hints.used for name in key.columns)
        or all(table.is_required(name) for name in key.columns)
    ]


def _with_parents(schema: Schema, hints: Hints) -> set[str]:
    wanted = set(hints.tables)
    for table in reversed(schema.tables):
        if table.name in wanted:
            wanted |= {schema.table(key.ref_table).name for key in _active_foreign_keys(table, hints)}
    return wanted


def _table_layout(table: Table, hints: Hints, builder: DomainBuilder) -> TableLayout:
    active = _active_foreign_keys(table, hints)
    foreign = {table.column(name).name for key in active for name in key.columns}
    inactive = {
        table.column(name).name for key in table.foreign_keys if key not in active for name in key.columns
    } - foreign
    keys = tuple(tuple(table.column(name).name for name in key) for key in table.keys)
    keyed = {name for key in keys for name in key if table.is_required(name) or (table.name, name) in hints.used}
    varied, constant = [], {}
    domains = {}
    for column in table.columns:
        used = (table.name, column.name) in hints.used or column.name in keyed or column.name in foreign
        required = table.is_required(column.name)
        if column.name in inactive and not required:
            continue
        if not used and not required:
            continue
        domain = builder.build(table, column)
        if used or column.name in inactive:
            varied.append(column)
            domains[column.name] = domain
        else:
            constant[column.name] = domain.values[0] if domain.values else None
    groups = {column.name: builder.group((table.name, column.name)) for column in varied}
    varied_names = {column.name for column in varied}
    return TableLayout(
        table,
        tuple(varied),
        domains,
        groups,
        constant,
        tuple(key for key in keys if set(key) <= varied_names),
        tuple(active),
        _climbs(table, hints, varied_names),
    )


def _climbs(table: Table, hints: Hints, varied: set[str]) -> tuple[tuple[str, str], ...]:
    """Pairs (referring column, key column); which is which is told by the key, else by their order in the table."""
    if not hints.recursive:
        return ()
    order = [column.name for column in table.columns]
    keys = {name for key in table.keys for name in key}
    pairs = []
    for (one_table, one), (other_table, other) in sorted(hints.linked):
        if one_table == other_table == table.name and {one, other} <= varied:
            key, refers = sorted((one, other), key=lambda name: (name not in keys, order.index(name)))
            pairs.append((refers, key))
    return tuple(pairs)
