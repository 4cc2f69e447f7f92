"""Wrong answers to show what grading catches: for demonstrations and tests, never for grading."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from services.generator.verify.engine import database, run
from services.kernel.sql.compare import ComparisonPolicy, compare
from services.kernel.sql.dataset import Dataset
from services.kernel.sql.mutation import make_mutants
from services.kernel.sql.results import ResultSet
from services.kernel.sql.schema import Schema

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection


def wrong_queries(
    schema: Schema, datasets: tuple[Dataset, ...], sql: str, *, ordered: bool
) -> Iterator[tuple[str, frozenset[int]]]:
    """Mutants of `sql` that some data set tells from it, with the positions of those data sets."""
    mutants = [m.sql for m in make_mutants(sql, ordered=ordered, schema=schema)]
    told: dict[str, set[int]] = {mutant: set() for mutant in mutants}
    for position, dataset in enumerate(datasets):
        with database(schema, dataset) as connection:
            expected = run(connection, sql)
            for mutant in mutants:
                if (answer := _try(connection, mutant)) is None:
                    told.pop(mutant, None)
                elif mutant in told and compare(expected, answer, ComparisonPolicy(ordered=ordered)) is not None:
                    told[mutant].add(position)
    yield from ((mutant, frozenset(positions)) for mutant, positions in told.items() if positions)


def _try(connection: DuckDBPyConnection, sql: str) -> ResultSet | None:
    import duckdb

    try:
        return run(connection, sql)
    except duckdb.Error:
        return None
