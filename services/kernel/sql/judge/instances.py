"""Small data sets made for a pair of queries: all constraints hold, all values come from the layout's domains."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from services.kernel.sql.dataset import Row, Value
from services.kernel.sql.judge.domains import Domain
from services.kernel.sql.judge.hints import BaseColumn
from services.kernel.sql.judge.layout import Layout, TableLayout
from services.kernel.sql.schema import ForeignKey

Rows: TypeAlias = list[dict[str, Value]]
Instance: TypeAlias = dict[str, Rows]


@dataclass(frozen=True, slots=True)
class Profile:
    """The character of one instance. Rates are probabilities.

    ``rows``: rows per table, by name. ``pools``: how many distinct values a group of columns may have, one of these
    being drawn for each group; ``likely``: a value that
    satisfies a comparison is preferred. ``repeat``: a row is a copy of an earlier one with at most one column changed.
    ``stray``: a column ignores its group's values, so that keys dangle.
    """

    rows: Mapping[str, int]
    pools: tuple[int, ...]
    nulls: float
    likely: float
    repeat: float
    stray: float


class InstanceMaker:
    def __init__(self, layout: Layout, sizes: Sequence[int], rng: random.Random) -> None:
        self._layout, self._rng = layout, rng
        self._cycles = _CYCLES
        self._sizes = sorted({size + step for size in sizes for step in (0, 1) if size + step > 2})

    @property
    def has_tables(self) -> bool:
        return bool(self._layout.tables)

    def avoid_cycles(self) -> None:
        """From now on no row refers to itself or to a later one: a recursive query would not end on it."""
        self._cycles = 0.0

    def opening(self) -> list[Profile]:
        """The first profiles: nothing, one row everywhere, one table empty, pairs of equal and of unequal rows."""
        names = [layout.table.name for layout in self._layout.tables]
        ones = dict.fromkeys(names, 1)
        profiles = [
            Profile(ones, (1,), 0.0, 1.0, 0.0, 0.0),
            Profile(dict.fromkeys(names, 2), (1,), 0.0, 1.0, 1.0, 0.0),
            Profile(dict.fromkeys(names, 2), (2,), 0.0, 0.8, 0.5, 0.0),
            Profile({}, (1,), 0.0, 0.0, 0.0, 0.0),
            Profile(ones, (2,), 0.0, 0.5, 0.0, 0.5),
        ]
        if any(domain.nullable for layout in self._layout.tables for domain in layout.domains.values()):
            profiles.append(Profile(dict.fromkeys(names, 2), (2,), 0.5, 0.5, 0.3, 0.0))
        if len(names) > 1:
            profiles += [Profile(ones | {name: 0}, (1,), 0.0, 1.0, 0.0, 0.0) for name in names]
            profiles += [Profile(ones | {name: 2}, (2,), 0.0, 1.0, 0.5, 0.0) for name in names]
        return profiles

    def random_profile(self) -> Profile:
        rng = self._rng
        names = [layout.table.name for layout in self._layout.tables]
        largest = rng.choice((1, 2, 2, 3, 3, 4, 5, 6, 8, 11))
        rows = {name: rng.randint(1 if rng.random() > 0.15 else 0, largest) for name in names}
        if rng.random() < 0.5:
            for layout in self._layout.tables:
                if layout.foreign_keys:  # several children to a parent
                    rows[layout.table.name] = min(_MOST_CHILDREN, rows[layout.table.name] * rng.randint(1, 3))
        pools: tuple[int, ...] = (1, 1, 2, 2, 3, 4, largest)
        if self._sizes and rng.random() < 0.4:
            wanted = rng.choice(self._sizes)
            rows |= dict.fromkeys(names if rng.random() < 0.5 else [rng.choice(names)], wanted)
            pools = (1, 2, wanted, wanted)
        return Profile(
            rows,
            pools=pools,
            nulls=rng.choice((0.0, 0.0, 0.1, 0.3, 0.5)),
            likely=rng.choice((0.2, 0.6, 0.9, 1.0)),
            repeat=rng.choice((0.0, 0.3, 0.6, 0.9)),
            stray=rng.choice((0.0, 0.0, 0.1, 0.3)),
        )

    def make(self, profile: Profile) -> Instance:
        """A new instance; it may have fewer rows than the profile asks for where a key or parent forbids more."""
        pools: dict[tuple[BaseColumn, str], list[Value]] = {}
        instance: Instance = {}
        for layout in self._layout.tables:
            rows: Rows = []
            instance[layout.table.name] = rows
            for _ in range(profile.rows.get(layout.table.name, 0)):
                row = self._copied(rows, layout, profile, pools) if rows else None
                row = row or self._drawn(layout, profile, pools, len(rows))
                self._place(layout, row, rows, instance)
        return instance

    def mutate(self, instance: Instance) -> Instance:
        """A neighbour of ``instance``: one to three small changes, repaired to satisfy the constraints."""
        changed: Instance = {name: [dict(row) for row in rows] for name, rows in instance.items()}
        for _ in range(self._rng.choice((1, 1, 2, 3))):
            layout = self._rng.choice(self._layout.tables)
            self._change(layout, changed[layout.table.name])
        return self.repair(changed)

    def repair(self, instance: Mapping[str, Sequence[Row]]) -> Instance:
        """The rows of ``instance`` that fit together: repeated keys renewed, dangling references pointed elsewhere."""
        repaired: Instance = {}
        for layout in self._layout.tables:
            rows: Rows = []
            repaired[layout.table.name] = rows
            for row in instance.get(layout.table.name, ()):
                self._place(layout, dict(row), rows, repaired)
        return repaired

    def _change(self, layout: TableLayout, rows: Rows) -> None:
        rng = self._rng
        action = rng.random()
        if not rows or action < 0.15:
            rows.append(dict(rng.choice(rows)) if rows else self._drawn(layout, _FREE, {}, 0))
            return
        if action < 0.3:
            rows.pop(rng.randrange(len(rows)))
            return
        if not layout.varied:
            return
        row, column = rng.choice(rows), rng.choice(layout.varied)
        domain = layout.domains[column.name]
        if action < 0.5:
            row[column.name] = rng.choice(rows).get(column.name)
        elif action < 0.6 and domain.nullable:
            row[column.name] = None
        else:
            row[column.name] = self._value(domain)

    def _picked(self, domain: Domain, likely: float) -> Value:
        """A value of ``domain``; among the likely ones the surest come up most."""
        rng = self._rng
        if domain.likely and rng.random() < likely:
            return domain.likely[int(len(domain.likely) * rng.random() ** 2)]
        return rng.choice(domain.values) if domain.values else None

    def _value(self, domain: Domain) -> Value:
        return self._picked(domain, 0.5)

    def _pool(
        self, layout: TableLayout, column: str, profile: Profile, pools: dict[tuple[BaseColumn, str], list[Value]]
    ) -> list[Value]:
        domain = layout.domains[column]
        key = (layout.groups[column], domain.family)
        pool = pools.get(key)
        if pool is None:
            wanted = self._rng.choice(profile.pools)
            if not domain.likely and self._rng.random() < 0.4:
                wanted = max(profile.pools)  # what no condition mentions is there to tell rows apart
            likely = profile.likely * self._rng.choice((0.0, 1.0, 1.0, 1.0)) if wanted > 1 else profile.likely
            pool = [self._picked(domain, likely) for _ in range(wanted)]
            if wanted > 4 and not domain.closed:
                pool = list(dict.fromkeys(pool + [domain.fresh(n) for n in range(wanted)]))[:wanted]
            pools[key] = pool
        return pool

    def _drawn(
        self, layout: TableLayout, profile: Profile, pools: dict[tuple[BaseColumn, str], list[Value]], turn: int
    ) -> dict[str, Value]:
        """A row of independent draws, except that a wide pool is dealt out in turn: drawing would repeat values."""
        row: dict[str, Value] = dict(layout.constant)
        for column in layout.varied:
            value = self._draw(layout, column.name, profile, pools)
            pool = pools.get((layout.groups[column.name], layout.domains[column.name].family), [])
            dealt = value in pool and len(pool) > _DEALT
            row[column.name] = pool[turn % len(pool)] if dealt else value
        return row

    def _draw(
        self, layout: TableLayout, column: str, profile: Profile, pools: dict[tuple[BaseColumn, str], list[Value]]
    ) -> Value:
        rng, domain = self._rng, layout.domains[column]
        if domain.nullable and profile.nulls and rng.random() < profile.nulls:
            return None
        if profile.stray and rng.random() < profile.stray:
            return self._value(domain)
        pool = self._pool(layout, column, profile, pools)
        return rng.choice(pool) if pool else None

    def _copied(
        self,
        rows: Rows,
        layout: TableLayout,
        profile: Profile,
        pools: dict[tuple[BaseColumn, str], list[Value]],
    ) -> dict[str, Value] | None:
        if not profile.repeat or self._rng.random() >= profile.repeat:
            return None
        row = dict(self._rng.choice(rows))
        if layout.varied and self._rng.random() < 0.7:
            column = self._rng.choice(layout.varied).name
            row[column] = self._draw(layout, column, profile, pools)
        return row

    def _place(self, layout: TableLayout, row: dict[str, Value], rows: Rows, instance: Instance) -> None:
        """Adds ``row`` to ``rows`` after making it fit; leaves it out when nothing makes it fit."""
        for key in layout.foreign_keys:
            if not self._point(layout, key, row, rows, instance):
                return
        for refers, target in layout.climbs:
            self._climb(layout, refers, target, row, rows)
        for column in layout.varied:
            if row.get(column.name) is None and not layout.domains[column.name].nullable:
                row[column.name] = layout.domains[column.name].fresh(0)
        for names in layout.keys:
            if not self._renew(layout, names, row, rows):
                return
        rows.append(row)

    def _point(
        self, layout: TableLayout, key: ForeignKey, row: dict[str, Value], rows: Rows, instance: Instance
    ) -> bool:
        """Makes ``row`` refer to a parent that exists, or to none where NULL may stand."""
        columns = [layout.table.column(name).name for name in key.columns]
        if any(row.get(name) is None for name in columns) and any(layout.domains[n].nullable for n in columns):
            return True
        parent = self._layout.schema.table(key.ref_table)
        targets = [parent.column(name).name for name in key.ref_columns]
        same = parent.name == layout.table.name
        known = [tuple(other.get(name) for name in targets) for other in instance.get(parent.name, ())]
        known = [values for values in known if None not in values]
        own = tuple(row.get(name) for name in targets) if same else None
        current = tuple(row.get(name) for name in columns)
        if current in known or (same and current == own):
            return True
        nullable = next((name for name in columns if layout.domains[name].nullable), None)
        if known:
            row.update(zip(columns, self._rng.choice(known), strict=True))
            return True
        if nullable is not None:
            row[nullable] = None
            return True
        if own is not None and None not in own:
            row.update(zip(columns, own, strict=True))
            return True
        return False

    def _climb(self, layout: TableLayout, refers: str, key: str, row: dict[str, Value], rows: Rows) -> None:
        """Lets ``row`` refer to earlier rows only, nearly always: a recursive query need not end on a cycle."""
        earlier = [other.get(key) for other in rows if other.get(key) is not None]
        if row.get(refers) is None or row.get(refers) in earlier or self._rng.random() < self._cycles:
            return
        if earlier:
            row[refers] = self._rng.choice(earlier)
        elif layout.domains[refers].nullable:
            row[refers] = None

    def _renew(self, layout: TableLayout, names: tuple[str, ...], row: dict[str, Value], rows: Rows) -> bool:
        """Gives ``row`` a key that no other row has; changes no foreign key unless the key is made of nothing else."""
        values = tuple(row.get(name) for name in names)
        if None in values:
            return True
        taken = {tuple(other.get(name) for name in names) for other in rows}
        if values not in taken:
            return True
        bound = {layout.table.column(n).name for key in layout.foreign_keys for n in key.columns}
        free = [name for name in names if name not in bound]
        for name in self._rng.sample(free, len(free)):
            domain = layout.domains[name]
            candidates = [self._value(domain) for _ in range(2)]
            candidates += [domain.fresh(n) for n in range(len(rows) + 2)]
            for candidate in candidates:
                trial = tuple(candidate if part == name else row.get(part) for part in names)
                if candidate is not None and trial not in taken:
                    row[name] = candidate
                    return True
        return False


_DEALT = 4
_CYCLES = 0.03
_MOST_CHILDREN = 14
_FREE = Profile({}, (6,), 0.1, 0.5, 0.0, 0.0)
