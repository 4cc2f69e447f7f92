"""What a task may spend and touch. The limits are given to the sandbox; the tests look at how calls end."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator

import pytest

from services.kernel.sql.sandbox import LimitExceeded, Limits, SandboxPool, TaskFailed, WorkerDied
from services.kernel.sql.sandbox.confinement import HELD
from services.kernel.sql.sandbox.limits import MIB
from tests.integration.sql.sandbox_tasks import TASKS


@pytest.fixture
async def pool() -> AsyncIterator[SandboxPool]:
    async with SandboxPool(1, tasks=TASKS) as pool:
        yield pool


async def test_a_result_comes_back_as_json(pool: SandboxPool) -> None:
    payload = {"text": "한글 🙂 \ud800", "numbers": [1, 2.5, -0.0, 10**30], "none": None}
    assert await pool.call("echo", payload) == payload


@pytest.mark.parametrize(
    ("task", "payload", "limits", "kind"),
    [
        ("spin", None, Limits(wall_seconds=0.2, cpu_seconds=5), "wall"),
        ("sleep", 60, Limits(wall_seconds=0.2), "wall"),
        ("spin", None, Limits(wall_seconds=30, cpu_seconds=1), "cpu"),
        ("allocate", 200 * MIB, Limits(memory_bytes=100 * MIB), "memory"),
        ("flood", 2 * MIB, Limits(result_bytes=MIB), "bytes"),
    ],
)
async def test_each_limit_ends_the_task_and_says_which_it_was(
    pool: SandboxPool, task: str, payload: object, limits: Limits, kind: str
) -> None:
    with pytest.raises(LimitExceeded) as caught:
        await pool.call(task, payload, limits)
    assert caught.value.kind == kind
    assert await pool.call("echo", "next") == "next"


async def test_memory_within_the_limit_is_granted(pool: SandboxPool) -> None:
    assert await pool.call("allocate", 80 * MIB, Limits(memory_bytes=100 * MIB)) == 80 * MIB


@pytest.mark.parametrize(("task", "payload", "status"), [("crash", None, -11), ("leave", 3, 3)])
async def test_a_dead_worker_is_reported_and_replaced(
    pool: SandboxPool, task: str, payload: object, status: int
) -> None:
    with pytest.raises(WorkerDied) as caught:
        await pool.call(task, payload)
    assert caught.value.status == status
    assert await pool.call("echo", 1) == 1


async def test_a_tasks_own_error_keeps_its_code_and_details(pool: SandboxPool) -> None:
    with pytest.raises(TaskFailed) as caught:
        await pool.call("fail", "try again tomorrow")
    assert (caught.value.code, str(caught.value)) == ("no_luck", "try again tomorrow")
    assert caught.value.details == {"seven": 7}


async def test_nothing_is_left_for_the_next_task(pool: SandboxPool) -> None:
    assert await pool.call("remember", "secret") == ["secret"]
    assert await pool.call("remember", "mine") == ["mine"]
    assert await pool.call("pid", None) != await pool.call("pid", None)


async def test_every_measure_holds_on_this_machine(pool: SandboxPool) -> None:
    assert set(pool.confinement.values()) == {HELD}, pool.confinement


@pytest.mark.parametrize(
    ("attempt", "outcome"),
    [
        ("socket", "PermissionError"),
        ("fork", "PermissionError"),
        ("execute", "PermissionError"),
        ("/etc/passwd", "PermissionError"),
        pytest.param(f"/proc/{os.getpid()}/environ", "PermissionError", id="environment-of-the-service"),
        ("write", "PermissionError"),
        ("kill_parent", "PermissionError"),
        ("raise_limit", "PermissionError"),
        ("environment", "empty"),
    ],
)
async def test_a_worker_that_code_took_over_can_do_no_harm(pool: SandboxPool, attempt: str, outcome: str) -> None:
    assert await pool.call("attempt", attempt) == outcome


async def test_a_task_may_use_threads(pool: SandboxPool) -> None:
    assert await pool.call("attempt", "thread") == "done"


async def test_a_worker_has_its_own_socket_and_no_other_descriptor(pool: SandboxPool) -> None:
    descriptors = (await pool.call("attempt", "descriptors")).split(",")
    assert descriptors[:3] == ["0", "1", "2"]
    assert len(descriptors) == 4
