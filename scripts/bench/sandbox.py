"""What a fresh confined process per grading costs, beside the two bare DuckDB executions it cannot do without.

Three figures: one learner on one core; twenty at once on all cores, with a hostile one among them; and memory and
descriptors over many gradings. A grading here runs a reference and an answer on the stored data set and compares them.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import time
from collections.abc import Callable
from typing import Any, Final

from scripts.bench.percentiles import percentiles
from scripts.bench.resident import Resident
from services.kernel.sql.compare import ComparisonPolicy, compare
from services.kernel.sql.guard import check
from services.kernel.sql.results import ResultSet
from services.kernel.sql.sandbox import DatasetFiles, LimitExceeded, Limits, SandboxPool, engine
from services.kernel.sql.sandbox.stored import fill
from services.kernel.sql.sandbox.tasks import TaskContext

TASKS: Final = {"grade": "scripts.bench.sandbox:grade", "query": "services.kernel.sql.sandbox.query:run_query"}
DDL: Final = [
    "CREATE TABLE customers (id INTEGER PRIMARY KEY, name VARCHAR NOT NULL, country VARCHAR)",
    "CREATE TABLE orders (id INTEGER PRIMARY KEY, customer_id INTEGER, placed DATE, amount DECIMAL(10, 2))",
]
# (reference, answer): what learners send, right and wrong.
PAIRS: Final = [
    (
        "SELECT country, count(*) AS n FROM customers GROUP BY country ORDER BY n DESC, country",
        "SELECT country, count(id) AS n FROM customers GROUP BY 1 ORDER BY 2 DESC, 1",
    ),
    (
        "SELECT c.name, sum(o.amount) AS total FROM customers c LEFT JOIN orders o ON o.customer_id = c.id"
        " GROUP BY c.name",
        "SELECT c.name, sum(o.amount) AS total FROM customers c JOIN orders o ON o.customer_id = c.id GROUP BY c.name",
    ),
    (
        "SELECT id FROM orders WHERE amount >= 50 AND placed < DATE '2024-06-01'",
        "SELECT id FROM orders WHERE amount > 50 AND placed < DATE '2024-06-01'",
    ),
    (
        "SELECT customer_id, placed, sum(amount) OVER (PARTITION BY customer_id ORDER BY placed, id) AS running"
        " FROM orders",
        "SELECT customer_id, placed, sum(amount) OVER (PARTITION BY customer_id ORDER BY placed, id ROWS UNBOUNDED"
        " PRECEDING) AS running FROM orders",
    ),
    (
        "SELECT name FROM customers WHERE id NOT IN (SELECT customer_id FROM orders WHERE customer_id IS NOT NULL)",
        "SELECT name FROM customers c WHERE NOT EXISTS (SELECT 1 FROM orders o WHERE o.customer_id = c.id)",
    ),
    (
        "SELECT date_trunc('month', placed) AS month, avg(amount) FROM orders GROUP BY 1",
        "WITH m AS (SELECT date_trunc('month', placed) AS month, amount FROM orders) SELECT month, avg(amount) FROM m"
        " GROUP BY month",
    ),
]
HOSTILE: Final = "SELECT count(*) FROM range(1000000000000)"


def grade(payload: dict[str, Any], context: TaskContext) -> bool:
    """The task: both queries checked and run on the stored data set; whether their results agree."""
    stored = context.stored[payload["stored"]]
    results = []
    for sql in (payload["reference"], payload["answer"]):
        check(sql, "duckdb", stored.tables)
        results.append(ResultSet.fetch(stored.connection, sql))
    return compare(results[0], results[1], ComparisonPolicy()) is None


def content(rows: int, seed: int = 7) -> dict[str, Any]:
    """``rows`` orders of a tenth as many customers."""
    chance = random.Random(seed)
    customers = [{"id": n, "name": f"customer {n}", "country": chance.choice("ABCDE")} for n in range(rows // 10)]
    orders = [
        {
            "id": n,
            "customer_id": chance.choice([None, *range(rows // 12)]),
            "placed": f"2024-{chance.randint(1, 12):02}-{chance.randint(1, 28):02}",
            "amount": f"{chance.randint(0, 9999) / 100:.2f}",
        }
        for n in range(rows)
    ]
    return {"ddl": DDL, "rows": {"customers": customers, "orders": orders}}


def measure(rows: int = 5_000, gradings: int = 300, memory_gradings: int = 2_000) -> dict[str, Any]:
    """Latencies in milliseconds, sizes in MiB."""
    return {
        "rows": rows,
        "one_core": asyncio.run(_interactive(rows, gradings)),
        "crowd": asyncio.run(_crowd(rows, learners=20, each=15)),
        "memory": asyncio.run(_memory(rows, memory_gradings)),
    }


def _payload(number: int) -> dict[str, Any]:
    reference, answer = PAIRS[number % len(PAIRS)]
    return {"stored": "base", "reference": reference, "answer": answer}


async def _interactive(rows: int, gradings: int) -> dict[str, Any]:
    """One grading at a time on one core, each beside the same two queries on a connection of this process."""
    cores = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(cores)})
    try:
        data = content(rows)
        connection = engine.connect_locked()
        fill(connection, data)
        ours: list[float] = []
        bare: list[float] = []
        async with SandboxPool(1, tasks=TASKS) as pool:
            await pool.store("base", DatasetFiles.rows(data["ddl"], data["rows"]))
            for number in range(gradings):
                payload = _payload(number)
                bare.append(_timed(lambda payload=payload: _bare(connection, payload)))  # type: ignore[misc]
                started = time.perf_counter()
                await pool.call("grade", payload)
                ours.append(time.perf_counter() - started)
    finally:
        os.sched_setaffinity(0, cores)
    return {"sandbox": _milliseconds(ours), "two_bare_executions": _milliseconds(bare)}


def _bare(connection: Any, payload: dict[str, Any]) -> None:
    connection.execute(payload["reference"]).fetchall()
    connection.execute(payload["answer"]).fetchall()


async def _crowd(rows: int, learners: int, each: int) -> dict[str, Any]:
    """``learners`` at once, each sending an answer when its last is graded; then the same beside a hostile one."""
    data = content(rows)
    async with SandboxPool(2, tasks=TASKS) as pool:
        await pool.store("base", DatasetFiles.rows(data["ddl"], data["rows"]))
        alone = await _learners(pool, learners, each)
        hostile = asyncio.create_task(_hostile(pool))
        beside = await _learners(pool, learners, each)
        stopped = await hostile
    return {
        "learners": _milliseconds(alone),
        "beside_a_hostile_one": _milliseconds(beside),
        "hostile_ended_by": stopped,
    }


async def _learners(pool: SandboxPool, learners: int, each: int) -> list[float]:
    taken: list[float] = []

    async def learner(number: int) -> None:
        for attempt in range(each):
            started = time.perf_counter()
            await pool.call("grade", _payload(number + attempt))
            taken.append(time.perf_counter() - started)

    await asyncio.gather(*(learner(number) for number in range(learners)))
    return taken


async def _hostile(pool: SandboxPool) -> str:
    try:
        await pool.call("query", {"sql": HOSTILE, "source": {"stored": "base"}}, Limits(wall_seconds=2))
    except LimitExceeded as error:
        return error.kind
    return "nothing"


async def _memory(rows: int, gradings: int) -> dict[str, Any]:
    data = content(rows)
    async with SandboxPool(2, tasks=TASKS) as pool:
        await pool.store("base", DatasetFiles.rows(data["ddl"], data["rows"]))
        resident = Resident(pool)
        while resident.graded < gradings:
            await pool.call("grade", _payload(resident.graded))
            resident.count(every=max(1, gradings // 40))
        return resident.summary()


def _timed(work: Callable[[], None]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def _milliseconds(seconds: list[float]) -> dict[str, float]:
    return percentiles([each * 1_000 for each in seconds], unit="_ms")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=5_000)
    parser.add_argument("--gradings", type=int, default=300)
    parser.add_argument("--memory-gradings", type=int, default=2_000)
    arguments = parser.parse_args()
    print(json.dumps(measure(arguments.rows, arguments.gradings, arguments.memory_gradings), indent=2))


if __name__ == "__main__":
    main()
