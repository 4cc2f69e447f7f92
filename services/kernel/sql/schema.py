"""Tables, keys and constraints of a problem, read from DuckDB DDL or JSON."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

from services.kernel.errors import PermanentError

if TYPE_CHECKING:
    from sqlglot import exp


class InvalidSchema(PermanentError):
    """The DDL or its JSON form does not describe tables that DuckDB could create."""

    code = "invalid_schema"


def quote_identifier(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def quote_identifiers(names: Sequence[str]) -> str:
    return ", ".join(quote_identifier(name) for name in names)


@dataclass(frozen=True, slots=True)
class Column:
    """``type`` is DuckDB's name for it, as written in DDL (``INTEGER``, ``DECIMAL(10, 2)``, ``INTEGER[]``)."""

    name: str
    type: str
    not_null: bool = False


@dataclass(frozen=True, slots=True)
class ForeignKey:
    columns: tuple[str, ...]
    ref_table: str
    ref_columns: tuple[str, ...]


@dataclass(frozen=True)
class Table:
    """``unique`` excludes the primary key; ``checks`` are SQL expressions over the table's columns."""

    name: str
    columns: tuple[Column, ...]
    primary_key: tuple[str, ...] = ()
    unique: tuple[tuple[str, ...], ...] = ()
    foreign_keys: tuple[ForeignKey, ...] = ()
    checks: tuple[str, ...] = ()

    @cached_property
    def _by_name(self) -> Mapping[str, Column]:
        return {column.name.lower(): column for column in self.columns}

    @property
    def column_names(self) -> tuple[str, ...]:
        return tuple(column.name for column in self.columns)

    @property
    def keys(self) -> tuple[tuple[str, ...], ...]:
        """Every column list whose values identify a row, the primary key first."""
        return ((self.primary_key,) if self.primary_key else ()) + self.unique

    def column(self, name: str) -> Column:
        """The column of this name in any case; raises KeyError when there is none."""
        return self._by_name[name.lower()]

    def has(self, name: str) -> bool:
        return name.lower() in self._by_name

    def is_required(self, name: str) -> bool:
        """True when NULL may not stand in the column."""
        return self.column(name).not_null or name.lower() in {part.lower() for part in self.primary_key}

    def ddl(self) -> str:
        parts = [
            f"{quote_identifier(column.name)} {column.type}{' NOT NULL' if column.not_null else ''}"
            for column in self.columns
        ]
        if self.primary_key:
            parts.append(f"PRIMARY KEY ({quote_identifiers(self.primary_key)})")
        parts += [f"UNIQUE ({quote_identifiers(key)})" for key in self.unique]
        parts += [f"CHECK ({check})" for check in self.checks]
        parts += [
            f"FOREIGN KEY ({quote_identifiers(key.columns)}) REFERENCES {quote_identifier(key.ref_table)}"
            f" ({quote_identifiers(key.ref_columns)})"
            for key in self.foreign_keys
        ]
        return f"CREATE TABLE {quote_identifier(self.name)} ({', '.join(parts)})"


@dataclass(frozen=True)
class Schema:
    """``tables`` stand in an order in which they can be created: a referenced table before those that reference it."""

    tables: tuple[Table, ...]
    _by_name: Mapping[str, Table] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        by_name = {table.name.lower(): table for table in self.tables}
        if len(by_name) != len(self.tables):
            raise InvalidSchema("two tables have the same name")
        object.__setattr__(self, "_by_name", by_name)
        object.__setattr__(self, "tables", tuple(_creation_order(self.tables, by_name)))

    def table(self, name: str) -> Table:
        """The table of this name in any case; raises KeyError when there is none."""
        return self._by_name[name.lower()]

    def has(self, name: str) -> bool:
        return name.lower() in self._by_name

    def closure(self, names: Iterable[str]) -> Schema:
        """The part with the tables of these ``names``, and every table that their foreign keys lead to."""
        wanted = {self.table(name).name for name in names}
        for table in reversed(self.tables):
            if table.name in wanted:
                wanted |= {self.table(key.ref_table).name for key in table.foreign_keys}
        return Schema(tuple(table for table in self.tables if table.name in wanted))

    def ddl(self) -> list[str]:
        """One CREATE TABLE statement per table, in creation order, with every constraint."""
        return [table.ddl() for table in self.tables]

    @classmethod
    def from_ddl(cls, statements: Sequence[str]) -> Schema:
        """Reads DuckDB CREATE TABLE statements; raises InvalidSchema naming the statement that is none."""
        return cls(tuple(_parse_table(statement) for statement in statements))

    def to_json(self) -> dict[str, Any]:
        """``{"tables": {name: {"columns": [{name, type, not_null}], "pk": [], "unique": [[]], "fk": [...]}}}``."""
        return {"tables": {table.name: _table_to_json(table) for table in self.tables}}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Schema:
        """The inverse of ``to_json``; raises InvalidSchema when a part is missing."""
        try:
            return cls(tuple(_table_from_json(name, table) for name, table in data["tables"].items()))
        except (KeyError, TypeError, AttributeError) as error:
            raise InvalidSchema(f"the schema's JSON lacks or misuses {error}") from error


def _creation_order(tables: Sequence[Table], by_name: Mapping[str, Table]) -> Iterator[Table]:
    done: set[str] = set()
    waiting = list(tables)
    while waiting:
        ready = [table for table in waiting if _references(table) <= done | {table.name.lower()}]
        if not ready:
            stuck = waiting[0]
            missing = sorted(_references(stuck) - set(by_name))
            reason = f"a table that does not exist: {', '.join(missing)}" if missing else "a cycle of foreign keys"
            raise InvalidSchema(f"table {stuck.name} references {reason}")
        yield from ready
        done.update(table.name.lower() for table in ready)
        waiting = [table for table in waiting if table.name.lower() not in done]


def _references(table: Table) -> set[str]:
    return {key.ref_table.lower() for key in table.foreign_keys}


def _table_to_json(table: Table) -> dict[str, Any]:
    data: dict[str, Any] = {
        "columns": [{"name": c.name, "type": c.type, "not_null": c.not_null} for c in table.columns],
        "pk": list(table.primary_key),
        "unique": [list(key) for key in table.unique],
        "fk": [
            {"cols": list(key.columns), "ref": key.ref_table, "ref_cols": list(key.ref_columns)}
            for key in table.foreign_keys
        ],
    }
    if table.checks:
        data["checks"] = list(table.checks)
    return data


def _table_from_json(name: str, data: Mapping[str, Any]) -> Table:
    return Table(
        name,
        tuple(Column(c["name"], c["type"], bool(c.get("not_null"))) for c in data["columns"]),
        tuple(data.get("pk", ())),
        tuple(tuple(key) for key in data.get("unique", ())),
        tuple(ForeignKey(tuple(k["cols"]), k["ref"], tuple(k["ref_cols"])) for k in data.get("fk", ())),
        tuple(data.get("checks", ())),
    )


def _parse_table(statement: str) -> Table:
    import sqlglot
    from sqlglot import exp

    try:
        create = sqlglot.parse_one(statement, read="duckdb")
    except sqlglot.errors.SqlglotError as error:
        raise InvalidSchema(f"not a CREATE TABLE statement: {statement[:80]!r}: {error}") from error
    body = create.this if isinstance(create, exp.Create) else None
    if not isinstance(body, exp.Schema):
        raise InvalidSchema(f"not a CREATE TABLE statement with columns: {statement[:80]!r}")
    return _TableReader(body).read()


# sqlglot writes these aliases; DuckDB's catalog and its results name the types like this.
_TYPE_NAMES = {"INT": "INTEGER", "TEXT": "VARCHAR", "STRING": "VARCHAR", "REAL": "FLOAT"}


class _TableReader:
    """Collects a table's columns and constraints, wherever the DDL writes them."""

    def __init__(self, body: exp.Schema) -> None:
        self._body = body
        self._columns: list[Column] = []
        self._primary_key: tuple[str, ...] = ()
        self._unique: list[tuple[str, ...]] = []
        self._foreign_keys: list[ForeignKey] = []
        self._checks: list[str] = []

    def read(self) -> Table:
        from sqlglot import exp

        for part in self._body.expressions:
            if isinstance(part, exp.ColumnDef):
                self._read_column(part)
            elif isinstance(part, exp.Constraint):
                for inner in part.expressions:
                    self._read_constraint(inner)
            else:
                self._read_constraint(part)
        return Table(
            self._body.this.name,
            tuple(self._columns),
            self._primary_key,
            tuple(self._unique),
            tuple(self._foreign_keys),
            tuple(self._checks),
        )

    def _read_column(self, definition: exp.ColumnDef) -> None:
        from sqlglot import exp

        name, not_null = definition.name, False
        for constraint in definition.find_all(exp.ColumnConstraint):
            kind = constraint.args.get("kind")
            if isinstance(kind, exp.NotNullColumnConstraint):
                not_null = not kind.args.get("allow_null")
            elif isinstance(kind, exp.PrimaryKeyColumnConstraint):
                self._primary_key = (name,)
            elif isinstance(kind, exp.UniqueColumnConstraint):
                self._unique.append((name,))
            elif isinstance(kind, exp.CheckColumnConstraint):
                self._checks.append(kind.this.sql(dialect="duckdb"))
            elif isinstance(kind, exp.Reference):
                self._foreign_keys.append(_reference((name,), kind))
        declared = definition.args.get("kind")
        if declared is None:
            raise InvalidSchema(f"column {name} of table {self._body.this.name} has no type")
        written = declared.sql(dialect="duckdb")
        self._columns.append(Column(name, _TYPE_NAMES.get(written.upper(), written), not_null))

    def _read_constraint(self, constraint: exp.Expr) -> None:
        from sqlglot import exp

        if isinstance(constraint, exp.PrimaryKey):
            self._primary_key = tuple(_name(part) for part in constraint.expressions)
        elif isinstance(constraint, exp.UniqueColumnConstraint):
            self._unique.append(tuple(_name(part) for part in constraint.this.expressions))
        elif isinstance(constraint, exp.ForeignKey):
            columns = tuple(_name(part) for part in constraint.expressions)
            self._foreign_keys.append(_reference(columns, constraint.args["reference"]))
        elif isinstance(constraint, exp.CheckColumnConstraint):
            self._checks.append(constraint.this.sql(dialect="duckdb"))
        else:
            raise InvalidSchema(f"unknown constraint in table {self._body.this.name}: {constraint.sql('duckdb')}")


def _name(part: exp.Expr) -> str:
    return str(part.this.name if hasattr(part.this, "name") else part.name)


def _reference(columns: tuple[str, ...], reference: exp.Expr) -> ForeignKey:
    target = reference.this
    ref_columns = tuple(_name(part) for part in target.expressions) or columns
    return ForeignKey(columns, target.this.name if target.expressions else target.name, ref_columns)
