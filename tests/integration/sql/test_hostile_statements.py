"""Every statement of the table is held: refused, stopped or answered harmlessly, and the next query is served."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Final

import pytest
import pytest_asyncio

from services.kernel.sql.sandbox import DatasetFiles, LimitExceeded, Limits, SandboxPool, TaskFailed, WorkerDied
from services.kernel.sql.sandbox.limits import MIB
from tests.integration.sql.hostile import HOSTILE

LIMITS: Final = Limits(wall_seconds=2.0, cpu_seconds=2)
ORDERS: Final = DatasetFiles.rows(
    ["CREATE TABLE orders (id INTEGER PRIMARY KEY, customer INTEGER, amount DECIMAL(10, 2))"],
    {"orders": [{"id": n, "customer": n % 3, "amount": f"{n}.50"} for n in range(100)]},
)
SERVICE_BYTES: Final = 1_500 * MIB
IDLE_SERVICE_BYTES: Final = 150 * MIB
"""What a service may have resident when it starts."""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def pool() -> AsyncIterator[SandboxPool]:
    async with SandboxPool(1) as pool:
        await pool.store("orders", ORDERS)
        yield pool


async def outcome_of(pool: SandboxPool, sql: str) -> str:
    try:
        await pool.call("query", {"sql": sql, "source": {"stored": "orders"}}, LIMITS)
    except LimitExceeded as error:
        return f"limit:{error.kind}"
    except TaskFailed as error:
        kind = error.details["code"] if error.code == "refused" else error.details["exception_type"]
        return f"{error.code}:{str(kind).replace(' ', '')}"
    except WorkerDied:
        return "died"
    return "rows"


def peak_bytes(process_id: int) -> int:
    for line in Path(f"/proc/{process_id}/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    raise AssertionError("no peak in /proc")


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize(("sql", "held"), [row[1:] for row in HOSTILE], ids=[row[0] for row in HOSTILE])
async def test_held(pool: SandboxPool, sql: str, held: str) -> None:
    assert await outcome_of(pool, sql) in held.split()
    after = await pool.call("query", {"sql": "SELECT count(*) FROM orders", "source": {"stored": "orders"}})
    assert after["rows"] == [[100]]


@pytest.mark.asyncio(loop_scope="module")
async def test_four_memory_bombs_on_two_workers_stay_within_the_services_memory() -> None:
    before = peak_bytes(os.getpid())  # this process has run other tests, a service has not
    async with SandboxPool(2) as pool:
        await pool.store("orders", ORDERS)
        bombs = [
            sql for name, sql, _ in HOSTILE if name in {"unnest_range", "list_of_lists", "sort_flood", "string_agg"}
        ]
        await asyncio.gather(*(outcome_of(pool, sql) for sql in bombs))
        zygote = pool.zygote_process_id
        assert zygote is not None
        grown = peak_bytes(os.getpid()) - before
        assert IDLE_SERVICE_BYTES + grown + peak_bytes(zygote) + 2 * pool.peak_worker_bytes < SERVICE_BYTES


def test_the_table_is_large_and_its_names_are_unique() -> None:
    assert len(HOSTILE) >= 80
    assert len({name for name, _, _ in HOSTILE}) == len(HOSTILE)
