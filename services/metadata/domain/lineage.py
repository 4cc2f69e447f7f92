"""Which columns of its table an example's SQL reads, by sqlglot's scopes. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from services.kernel.metadata_cache import Column, TableSchema

if TYPE_CHECKING:
    from sqlglot import exp
    from sqlglot.optimizer.scope import Scope


def columns_read(tree: exp.Expr, schema: TableSchema) -> tuple[str, ...]:
    """Dotted paths, sorted; ``tree`` is a GoogleSQL query on this one table (aliases, CTEs, UNNEST and all).

    ``SELECT *`` reads every column; ``record`` without a field reads that whole record.
    """
    from sqlglot.optimizer.scope import traverse_scope

    paths = {path.lower(): path for path in schema.paths()}
    top = {column.name.lower(): column for column in schema.columns}
    found: set[str] = set()
    arrays: set[str] = set()
    for scope in traverse_scope(tree):
        read, unnested = _Reader(scope, paths, top).read()
        found |= read
        arrays |= unnested
    # An array that is only unnested is read through the fields of its elements, if through any.
    found |= {array for array in arrays if not any(path.startswith(f"{array}.") for path in found)}
    return tuple(sorted(found))


class _Reader:
    """One SELECT: its references resolved to the table's paths, through UNNEST aliases."""

    def __init__(self, scope: Scope, paths: Mapping[str, str], top: Mapping[str, Column]) -> None:
        from sqlglot import exp

        self._scope, self._paths, self._top = scope, paths, top
        self._tables = {
            name.lower() for name, source in _visible(scope).items() if isinstance(source, exp.Table) and source.db
        }
        self._unnested = self._aliases()

    def read(self) -> tuple[set[str], set[str]]:
        """Paths read, and arrays that are unnested."""
        from sqlglot import exp

        found: set[str] = set()
        own = self._scope.sources.values()
        reads_table = any(isinstance(source, exp.Table) and source.db for source in own)
        for star in self._scope.find_all(exp.Star):
            # COUNT(*) counts rows and reads nothing; record.* reads the record.
            qualifier = self._dotted(star.parent)[:-1] if isinstance(star.parent, exp.Column) else ()
            record = self._resolve(qualifier) if qualifier and qualifier[0] not in self._tables else None
            if record is not None:
                found.add(record)
            elif reads_table and not isinstance(star.parent, exp.Count) and not self._is_derived(qualifier):
                found |= self._starred(star)
        arrays: set[str] = set()
        for column in self._scope.find_all(exp.Column):
            path = self._resolve(self._dotted(column))
            if path:
                (arrays if column.find_ancestor(exp.Unnest) else found).add(path)
        return found, arrays

    def _is_derived(self, qualifier: tuple[str, ...]) -> bool:
        return bool(qualifier) and qualifier[0] not in self._tables

    def _starred(self, star: exp.Expr) -> set[str]:
        excepted = {part.name.lower() for part in star.args.get("except_") or ()}
        return {column.name for name, column in self._top.items() if name not in excepted}

    def _aliases(self) -> dict[str, str]:
        """UNNEST(record.items) AS item  ->  {item: record.items}; what it is taken from may be an alias itself."""
        from sqlglot import exp

        found: dict[str, str] = {}
        scope: Scope | None = self._scope
        while scope is not None:
            for unnest in scope.find_all(exp.Unnest):
                alias = unnest.args.get("alias")
                names = [] if alias is None else [*([alias.this] if alias.this else []), *alias.columns]
                for array in unnest.expressions:
                    source = self._dotted(array)
                    for name in names[:1]:
                        found.setdefault(name.name.lower(), ".".join(source))
            scope = scope.parent
        return found

    def _resolve(self, parts: tuple[str, ...]) -> str | None:
        """The longest path of the table that begins these parts, or None when they name something else."""
        seen: set[str] = set()
        while parts and parts[0] in self._unnested and parts[0] not in seen:
            seen.add(parts[0])
            parts = (*self._unnested[parts[0]].split("."), *parts[1:])
        candidates = [parts]
        if len(parts) > 1 and parts[0] in self._tables:
            candidates.insert(0, parts[1:])
        elif not self._tables:
            return None
        # A bare name may be a field of an unnested element.
        candidates += [(*prefix.split("."), *parts) for prefix in self._elements()]
        for candidate in candidates:
            for length in range(len(candidate), 0, -1):
                path = self._paths.get(".".join(candidate[:length]))
                if path is not None:
                    return path
        return None

    def _elements(self) -> list[str]:
        """Paths of the arrays unnested here, without the table's own alias before them."""
        from sqlglot import exp

        found = []
        for unnest in self._scope.find_all(exp.Unnest):
            for array in unnest.expressions:
                parts = self._dotted(array)
                found.append(".".join(parts[1:] if len(parts) > 1 and parts[0] in self._tables else parts))
        return found

    @staticmethod
    def _dotted(node: exp.Expr) -> tuple[str, ...]:
        """``t.record.field`` as its lower-case parts, whether sqlglot reads a qualified column or field accesses."""
        from sqlglot import exp

        if isinstance(node, exp.Column):
            inner = tuple(part.name.lower() for part in node.parts)
            outer: list[str] = []
            parent = node.parent
            child: exp.Expr = node
            while isinstance(parent, exp.Dot | exp.Bracket) and parent.this is child:
                if isinstance(parent, exp.Dot):
                    outer.append(parent.expression.name.lower())
                child, parent = parent, parent.parent
            return (*inner, *outer)
        if isinstance(node, exp.Dot):
            return tuple(part.name.lower() for part in node.parts)
        return ()


def _visible(scope: Scope) -> dict[str, object]:
    """Sources by alias, those of enclosing queries included: a correlated subquery reads them too."""
    found: dict[str, object] = {}
    current: Scope | None = scope
    while current is not None:
        for name, source in current.sources.items():
            found.setdefault(name, source)
        current = current.parent
    return found
