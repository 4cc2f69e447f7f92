"""Names of expected columns never quote the reference's expressions."""

import duckdb
import pytest

from services.kernel.sql.columns import shown_columns


@pytest.mark.parametrize(
    "expression",
    [
        "count(a.x)",
        "count(*)",
        "a.x + 1",
        "NOT a.b",
        "-a.x",
        "CASE WHEN a.b THEN a.x END",
        "a.x IS NULL",
        "a.b AND a.b",
        "CAST(a.x AS VARCHAR)",
        "a.x BETWEEN 1 AND 2",
        "(SELECT max(y) FROM (SELECT 1 AS y))",
        "sum(a.x) OVER ()",
        "EXISTS (SELECT 1)",
        "a.x IN (1, 2)",
        "DATE '2026-01-01'",
    ],
)
def test_an_expression_is_not_shown_as_a_column_name(expression: str) -> None:
    aggregate = expression.startswith("count")
    sql = f"SELECT {expression}{'' if aggregate else ', a.x'} FROM (SELECT 1 AS x, TRUE AS b) AS a"
    with duckdb.connect() as connection:
        names = [column[0] for column in connection.execute(sql).description or []]
    assert shown_columns(names)[0] == "column 1"


def test_aliases_and_columns_keep_their_names() -> None:
    names = ["country", "orders_2026", "총 매출", "Total sales"]
    assert shown_columns(names) == names
