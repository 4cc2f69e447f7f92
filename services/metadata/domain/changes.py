"""What changed between two readings of a schema, and which examples it invalidates. Pure."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from contracts.metadata import ColumnChange
from services.kernel.metadata_cache import Column, Example, TableSchema

ADDED, DROPPED, RETYPED, RENAMED, DESCRIBED = "added", "dropped", "retyped", "renamed", "described"
_BREAKING = frozenset({DROPPED, RETYPED, RENAMED})


@dataclass(frozen=True)
class SchemaDifference:
    """``moved``: description, partitioning, clustering or the table's type changed, whatever the columns did."""

    columns: tuple[ColumnChange, ...]
    moved: bool

    def __bool__(self) -> bool:
        return bool(self.columns) or self.moved

    @property
    def broken(self) -> frozenset[str]:
        """Paths that a query written for the old schema may no longer use."""
        return frozenset(change.column for change in self.columns if change.change in _BREAKING)

    @property
    def new(self) -> frozenset[str]:
        """Paths that no old example can cover."""
        renamed = frozenset(change.after for change in self.columns if change.change == RENAMED)
        return renamed | frozenset(change.column for change in self.columns if change.change == ADDED)


def difference(before: TableSchema, after: TableSchema) -> SchemaDifference:
    """Changes by dotted path, in the new schema's order, dropped columns last."""
    old, new = before.paths(), after.paths()
    gone = [path for path in old if path not in new]
    come = [path for path in new if path not in old]
    renamed = _renamed(gone, come, old, new)
    changes = []
    for path, column in new.items():
        if path in renamed.values():
            continue
        changes += _changes(path, old.get(path), column)
    changes += [ColumnChange(column=a, change=RENAMED, before=a, after=b) for a, b in renamed.items()]
    changes += [
        ColumnChange(column=path, change=DROPPED, before=written(old[path])) for path in gone if path not in renamed
    ]
    return SchemaDifference(tuple(changes), _frame(before) != _frame(after))


def _frame(schema: TableSchema) -> tuple[object, ...]:
    return schema.description, schema.table_type, schema.partitioning, schema.clustering


def _changes(path: str, old: Column | None, new: Column) -> list[ColumnChange]:
    if old is None:
        return [ColumnChange(column=path, change=ADDED, after=written(new))]
    changes = []
    if written(old) != written(new):
        changes.append(ColumnChange(column=path, change=RETYPED, before=written(old), after=written(new)))
    if old.description != new.description:
        changes.append(
            ColumnChange(column=path, change=DESCRIBED, before=old.description[:500], after=new.description[:500])
        )
    return changes


def _renamed(
    gone: Sequence[str], come: Sequence[str], old: Mapping[str, Column], new: Mapping[str, Column]
) -> dict[str, str]:
    """BigQuery reports a rename as one column less and one more. It keeps the column's place, type and description."""
    places = {_place(path, new): path for path in come}
    renamed = {}
    for path in gone:
        candidate = places.get(_place(path, old))
        if candidate is not None and _same_but_name(old[path], new[candidate]):
            renamed[path] = candidate
    return renamed


def _place(path: str, columns: Mapping[str, Column]) -> tuple[str, int]:
    parent = path.rpartition(".")[0]
    siblings = [other for other in columns if other.rpartition(".")[0] == parent]
    return parent, siblings.index(path)


def _same_but_name(old: Column, new: Column) -> bool:
    return written(old) == written(new) and old.description == new.description and old.fields == new.fields


def written(column: Column) -> str:
    """A column's type with its mode, as people read it."""
    if column.mode == "REPEATED":
        return f"ARRAY<{column.type}>"
    return f"{column.type} NOT NULL" if column.mode == "REQUIRED" else column.type


def affected(example: Example, broken: Collection[str]) -> bool:
    """Whether the example reads a broken column, something inside one, or a whole record around one."""
    return any(_overlap(used.lower(), path.lower()) for used in example.columns for path in broken)


def _overlap(used: str, path: str) -> bool:
    return used == path or used.startswith(f"{path}.") or path.startswith(f"{used}.")
