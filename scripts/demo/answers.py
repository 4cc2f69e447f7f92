"""A lucky, a wrong and a right answer to a published problem, found as its author could, from the stored problem."""

import json
import urllib.parse
from dataclasses import dataclass
from pathlib import Path

import duckdb
import httpx
import psycopg

from contracts.problems import GradingDataSet
from services.generator.verify.examples import wrong_queries
from services.kernel.sql.dataset import Dataset
from services.kernel.sql.schema import Schema
from services.kernel.storage import split_uri, table_object

_PROBLEM = "SELECT ddl, reference_sql, ordered, datasets FROM generator.problems WHERE id = %s"


@dataclass(frozen=True)
class Answers:
    """``lucky`` agrees with the reference on the base data set and is wrong all the same."""

    lucky: str
    wrong: str
    right: str


def find_answers(database_url: str, storage_url: str, problem_id: str, directory: Path) -> Answers | None:
    """None when no lucky answer to this problem is known: every mistake shows on its base data set already."""
    with psycopg.connect(database_url) as connection:
        row = connection.execute(_PROBLEM, [problem_id]).fetchone()
    if row is None:
        raise LookupError(f"the generator has no problem {problem_id}")
    ddl, reference, ordered, stored = row
    schema = Schema.from_ddl(ddl)
    datasets = tuple(_load(GradingDataSet.model_validate(entry), schema, storage_url, directory) for entry in stored)
    lucky = wrong = None
    for sql, told in wrong_queries(schema, datasets, reference, ordered=ordered):
        if 0 in told:
            wrong = wrong or sql
        else:
            lucky = lucky or sql
        if lucky and wrong:
            return Answers(lucky, wrong, _in_another_form(reference, ordered=ordered))
    return None


def _in_another_form(reference: str, *, ordered: bool) -> str:
    """The reference as somebody else would have written it."""
    if ordered:
        return f"-- my answer\n{reference}"  # wrapping would lose the order that is asked for
    return f"WITH my_answer AS (\n{reference}\n)\nSELECT * FROM my_answer"


def _load(stored: GradingDataSet, schema: Schema, storage_url: str, directory: Path) -> Dataset:
    if not stored.uri:
        return Dataset.from_json(json.loads(stored.inline), schema, stored.name)
    tables = {}
    with duckdb.connect() as connection, httpx.Client(base_url=storage_url) as storage:
        for table in schema.tables:
            bucket, name = split_uri(table_object(stored.uri, table.name))
            path = f"/storage/v1/b/{bucket}/o/{urllib.parse.quote(name, safe='')}"
            answer = storage.get(path, params={"alt": "media"}).raise_for_status()
            local = directory / "table.parquet"
            local.write_bytes(answer.content)
            result = connection.execute("SELECT * FROM read_parquet(?)", [str(local)])
            names = [column[0] for column in result.description or ()]
            tables[table.name] = [dict(zip(names, values, strict=True)) for values in result.fetchall()]
    return Dataset(tables, stored.name)
