"""The sandbox task "agree": whether two queries give the same result on every data set a problem is graded on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from services.generator.verify.engine import MAX_ANSWER_ROWS, database
from services.kernel.sql.compare import ComparisonPolicy, Difference, compare
from services.kernel.sql.dataset import Dataset
from services.kernel.sql.guard import Refused, check
from services.kernel.sql.results import ResultSet
from services.kernel.sql.schema import Schema

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

    from services.kernel.sql.sandbox.tasks import TaskContext

TASK: Final = "services.generator.models.agreement:run_agree"
_SHOWN_ROWS: Final = 3


def run_agree(payload: dict[str, Any], context: TaskContext) -> dict[str, Any]:
    """``payload``: {schema, stored, small: [rows by table], reference, solution, ordered}. Returns {"finding"}: empty
    when the results are equal, else what differs, for whoever repairs the problem."""
    schema = Schema.from_json(payload["schema"])
    tables = [table.name for table in schema.tables]
    try:
        check(payload["solution"], "duckdb", tables)
    except Refused as refusal:
        return {"finding": f"the reader's query is not allowed: {refusal}"}
    policy = ComparisonPolicy(ordered=payload["ordered"])
    queries = payload["reference"], payload["solution"]
    finding = _compare(context.stored[payload["stored"]].connection, *queries, policy)
    for small in payload["small"]:
        if finding:
            break
        with database(schema, Dataset.from_json(small, schema)) as connection:
            finding = _compare(connection, *queries, policy)
    return {"finding": finding}


def _compare(connection: DuckDBPyConnection, reference: str, solution: str, policy: ComparisonPolicy) -> str:
    import duckdb

    expected = ResultSet.fetch(connection, reference, MAX_ANSWER_ROWS)
    try:
        found = ResultSet.fetch(connection, solution, MAX_ANSWER_ROWS)
    except duckdb.Error as error:
        return f"the reader's query fails: {str(error)[:300]}\nIt was: {solution}"
    difference = compare(expected, found, policy)
    return "" if difference is None else _told(difference, expected, found, solution)


def _told(difference: Difference, expected: ResultSet, found: ResultSet, solution: str) -> str:
    lines = [
        f"difference: {difference.kind}",
        f"the query's columns: {', '.join(expected.columns)}; the reader's: {', '.join(found.columns)}",
        f"rows only in the query's result: {[list(map(str, row)) for row in difference.missing[:_SHOWN_ROWS]]}",
        f"rows only in the reader's result: {[list(map(str, row)) for row in difference.extra[:_SHOWN_ROWS]]}",
        f"the reader's query: {solution}",
    ]
    return "\n".join(lines)
