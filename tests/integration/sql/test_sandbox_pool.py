"""How the pool shares its workers, and what it leaves behind: nothing."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

import services
from services.kernel.errors import ConfigurationError
from services.kernel.sql.sandbox import (
    LimitExceeded,
    Limits,
    SandboxBusy,
    SandboxPool,
    SandboxUnavailable,
    SyncSandbox,
    TaskFailed,
    WorkerDied,
)
from tests.integration.sql.sandbox_tasks import TASKS

LONG = Limits(wall_seconds=60, cpu_seconds=60)


@pytest.fixture
async def pool() -> AsyncIterator[SandboxPool]:
    async with SandboxPool(2, max_waiting=2, tasks=TASKS) as pool:
        yield pool


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not condition():  # noqa: ASYNC110 - what is awaited is the kernel's, no event tells of it
            await asyncio.sleep(0.01)


def children_of(process_id: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{process_id}/task/{process_id}/children").read_text().split()]


def zygote_of(pool: SandboxPool) -> int:
    process_id = pool.zygote_process_id
    assert process_id is not None
    return process_id


def is_running(process_id: int) -> bool:
    try:
        return Path(f"/proc/{process_id}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


async def test_a_hostile_task_does_not_hold_up_the_other_slot(pool: SandboxPool) -> None:
    hostile = asyncio.create_task(pool.call("spin", None, LONG))
    assert [await pool.call("echo", n) for n in range(5)] == [0, 1, 2, 3, 4]
    assert not hostile.done()
    hostile.cancel()
    with pytest.raises(asyncio.CancelledError):
        await hostile


async def test_who_waits_behind_hostile_tasks_waits_for_their_limits_and_no_longer() -> None:
    """With one slot the line moves each time a limit ends a task: the last one served is honest."""
    ended: list[object] = []

    async def call(task: str, payload: object, limits: Limits) -> None:
        try:
            ended.append(await pool.call(task, payload, limits))
        except LimitExceeded as error:
            ended.append(error.kind)

    async with SandboxPool(1, tasks=TASKS) as pool:
        brief = Limits(wall_seconds=0.2, cpu_seconds=60)
        async with asyncio.timeout(20):  # two hostile tasks that were not held to their limit would never end
            async with asyncio.TaskGroup() as group:
                for task, payload, limits in (("spin", None, brief), ("sleep", 60, brief), ("echo", "honest", LONG)):
                    group.create_task(call(task, payload, limits))
    assert ended == ["wall", "wall", "honest"]


async def test_an_idle_worker_rehearses_and_then_serves_like_any_other() -> None:
    async with SandboxPool(1, tasks=TASKS) as pool:
        [worker] = children_of(zygote_of(pool))
        before = own_pages(worker)
        await until(lambda: own_pages(worker) > before + 900)  # 4 MiB have 1,024
        assert await pool.call("rehearsals", None) == 2


def own_pages(process_id: int) -> int:
    """Resident, files mapped into memory aside."""
    _, resident, shared = map(int, Path(f"/proc/{process_id}/statm").read_text().split()[:3])
    return resident - shared


async def test_a_full_line_is_refused_with_a_time_to_come_back(pool: SandboxPool) -> None:
    calls = [asyncio.create_task(pool.call("sleep", 60, LONG)) for _ in range(4)]
    await until(lambda: pool._waiting == 2)
    with pytest.raises(SandboxBusy) as caught:
        await pool.call("echo", 1)
    assert caught.value.retry_after is not None
    assert caught.value.retry_after > 0
    for call in calls:
        call.cancel()
    await asyncio.gather(*calls, return_exceptions=True)
    assert await pool.call("echo", 1) == 1


async def test_cancelling_a_call_kills_its_process(pool: SandboxPool) -> None:
    call = asyncio.create_task(pool.call("sleep", 60, LONG))
    await until(lambda: len(pool._workers) == 1)
    (worker,) = pool._workers
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    await until(lambda: not is_running(worker.process_id))


async def test_calls_waiting_for_a_slot_are_cancellable(pool: SandboxPool) -> None:
    running = [asyncio.create_task(pool.call("sleep", 60, LONG)) for _ in range(2)]
    await until(lambda: len(pool._workers) == 2)
    waiting = asyncio.create_task(pool.call("echo", 1))
    await until(lambda: pool._waiting == 1)
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    assert pool._waiting == 0
    for call in running:
        call.cancel()
    await asyncio.gather(*running, return_exceptions=True)
    assert await asyncio.gather(*(pool.call("echo", n) for n in range(2))) == [0, 1]


async def test_neither_processes_nor_descriptors_pile_up(pool: SandboxPool) -> None:
    async def one(number: int) -> None:
        if number % 10 == 0:
            with pytest.raises(LimitExceeded):
                await pool.call("sleep", 60, Limits(wall_seconds=0.01))
        else:
            await pool.call("echo", number)

    for number in range(20):
        await one(number)
    await until(lambda: not pool._running)
    descriptors, children = len(os.listdir("/proc/self/fd")), len(children_of(zygote_of(pool)))
    for number in range(200):
        await one(number)
    await until(lambda: not pool._running)
    assert len(os.listdir("/proc/self/fd")) == descriptors
    assert len(children_of(zygote_of(pool))) == children == 2


async def test_close_lets_running_calls_end() -> None:
    async with SandboxPool(1, tasks=TASKS) as pool:
        call = asyncio.create_task(pool.call("sleep", 0.2, LONG))
        await until(lambda: len(pool._workers) == 1)
    assert await call is None
    with pytest.raises(SandboxUnavailable):
        await pool.call("echo", 1)


async def test_close_ends_what_outlasts_the_drain_and_every_process() -> None:
    pool = await SandboxPool(2, tasks=TASKS).__aenter__()
    zygote = zygote_of(pool)
    children = children_of(zygote)
    call = asyncio.create_task(pool.call("sleep", 60, LONG))
    await until(lambda: len(pool._workers) == 1)
    await pool.close(drain_seconds=0)
    with pytest.raises((WorkerDied, SandboxUnavailable)) as caught:
        await call
    assert caught.value.code in {"worker_died", "sandbox_unavailable"}
    assert not any(is_running(process) for process in [zygote, *children])


async def test_a_lost_zygote_is_replaced_with_its_data_sets(pool: SandboxPool, rows_source: object) -> None:
    await pool.store("numbers", rows_source)  # type: ignore[arg-type]
    call = asyncio.create_task(pool.call("sleep", 60, LONG))
    await until(lambda: len(pool._workers) == 1)
    os.kill(zygote_of(pool), signal.SIGKILL)
    with pytest.raises(SandboxUnavailable):
        await call
    result = await pool.call("query", {"sql": "SELECT sum(n) FROM numbers", "source": {"stored": "numbers"}})
    assert result["rows"] == [[6]]


async def test_a_pool_whose_task_cannot_be_imported_says_which() -> None:
    with pytest.raises(ConfigurationError, match="nowhere"):
        async with SandboxPool(1, tasks={"lost": "services.nowhere:task"}):
            pass


async def test_an_unknown_task_is_a_programming_error(pool: SandboxPool) -> None:
    with pytest.raises(ValueError, match="no task named"):
        await pool.call("unheard_of", None)


def test_a_killed_service_leaves_no_process_behind() -> None:
    script = (
        "import asyncio\n"
        "from services.kernel.sql.sandbox import Limits, SandboxPool\n"
        "from tests.integration.sql.sandbox_tasks import TASKS\n"
        "async def main():\n"
        "    async with SandboxPool(2, tasks=TASKS) as pool:\n"
        "        print(pool.zygote_process_id, flush=True)\n"
        "        await pool.call('spin', None, Limits(wall_seconds=60, cpu_seconds=60))\n"
        "asyncio.run(main())\n"
    )
    root = Path(services.__file__).resolve().parent.parent
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, cwd=root) as service:
        assert service.stdout is not None
        zygote = int(service.stdout.readline())
        processes = [zygote, *children_of(zygote)]
        service.kill()
    asyncio.run(until(lambda: not any(is_running(process) for process in processes)))


def test_scripts_map_payloads_in_order_and_get_errors_as_outcomes() -> None:
    with SyncSandbox(2, tasks=TASKS) as sandbox:
        outcomes = list(sandbox.map("leave", [1], LONG)) + list(sandbox.map("echo", range(20)))
        assert getattr(outcomes[0], "code", None) == "worker_died"
        assert outcomes[1:] == list(range(20))
        with pytest.raises(TaskFailed):
            sandbox.call("fail", "no")


def test_a_map_that_is_closed_early_frees_its_workers() -> None:
    """Otherwise the call after it would wait for tasks that outlast this test's own time limit."""
    forever = Limits(wall_seconds=600, cpu_seconds=60)
    with SyncSandbox(1, tasks=TASKS) as sandbox:
        outcomes = sandbox.map("sleep", [0, 600, 600], forever)
        assert next(outcomes) is None
        outcomes.close()
        assert sandbox.call("echo", 1) == 1
