"""One judgement of each common kind, run before workers are forked: what it imports, builds and caches they inherit."""

from __future__ import annotations

from typing import Final

_TABLES: Final = (
    "CREATE TABLE authors (id INTEGER PRIMARY KEY, name VARCHAR, born DATE)",
    "CREATE TABLE books (id INTEGER PRIMARY KEY, author_id INTEGER REFERENCES authors (id), price DECIMAL(8, 2))",
)
_REFERENCE: Final = """
SELECT a.name, count(b.id) AS books, sum(b.price) AS total
FROM authors AS a LEFT JOIN books AS b ON b.author_id = a.id
WHERE a.born >= DATE '1950-01-01' OR a.born IS NULL
GROUP BY a.name HAVING count(*) > 0 ORDER BY books DESC, a.name
"""
_ANSWER: Final = """
WITH priced AS (SELECT author_id, id, price FROM books WHERE price > 5)
SELECT name, count(*) AS books, sum(price) AS total FROM authors JOIN priced ON author_id = authors.id
WHERE born > DATE '1950-01-01' GROUP BY name ORDER BY 2 DESC, 1
"""
_ROWS: Final = {
    "authors": [{"id": n, "name": f"author {n}", "born": f"19{49 + n}-01-01"} for n in range(1, 6)],
    "books": [{"id": n, "author_id": 1 + n % 4, "price": f"{n}.50"} for n in range(1, 9)],
}


def rehearse() -> None:
    """Raises what the judge raises: a judge that fails here would fail for everybody."""
    from services.kernel.sql.dataset import Dataset
    from services.kernel.sql.judge import JudgeRequest, judge
    from services.kernel.sql.schema import Schema

    schema = Schema.from_ddl(list(_TABLES))
    rows = Dataset.from_json(_ROWS, schema, "rehearsal")
    judge(JudgeRequest(schema, _REFERENCE, _ANSWER, datasets=(rows,), budget_ms=100)).to_json()
