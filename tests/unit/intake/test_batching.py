"""Micro-batches: nothing waits on purpose, one bad item hurts nobody else, memory is bounded."""

import asyncio
from collections.abc import Sequence

import pytest

from services.intake.adapters.batching import MicroBatcher
from services.kernel.errors import BusyError


class Recorder:
    """Doubles numbers; holds a batch until ``gate`` opens; refuses batches with a negative number."""

    def __init__(self) -> None:
        self.batches: list[list[int]] = []
        self.gate = asyncio.Event()
        self.gate.set()

    async def execute(self, items: Sequence[int]) -> list[int]:
        self.batches.append(list(items))
        await self.gate.wait()
        if any(item < 0 for item in items):
            raise ValueError("negative")
        return [item * 2 for item in items]


async def test_what_waits_while_a_batch_runs_goes_together() -> None:
    recorder = Recorder()
    recorder.gate.clear()
    batcher: MicroBatcher[int, int] = MicroBatcher(recorder.execute)
    asked = [asyncio.create_task(batcher.submit(number)) for number in range(5)]
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    late = [asyncio.create_task(batcher.submit(number)) for number in range(5, 9)]
    await asyncio.sleep(0)
    recorder.gate.set()
    assert await asyncio.gather(*asked, *late) == [number * 2 for number in range(9)]
    assert recorder.batches == [[0, 1, 2, 3, 4], [5, 6, 7, 8]]


async def test_one_failing_item_fails_alone() -> None:
    recorder = Recorder()
    batcher: MicroBatcher[int, int] = MicroBatcher(recorder.execute)
    outcomes = await asyncio.gather(*(batcher.submit(item) for item in (1, -1, 2)), return_exceptions=True)
    assert outcomes[0] == 2
    assert isinstance(outcomes[1], ValueError)
    assert outcomes[2] == 4


async def test_an_outage_fails_the_batch_at_once() -> None:
    calls = 0

    async def unreachable(items: Sequence[int]) -> list[int]:
        nonlocal calls
        calls += 1
        raise OSError("no database")

    batcher: MicroBatcher[int, int] = MicroBatcher(unreachable)
    outcomes = await asyncio.gather(*(batcher.submit(item) for item in range(3)), return_exceptions=True)
    assert all(isinstance(outcome, OSError) for outcome in outcomes)
    assert calls == 1


async def test_items_with_one_key_take_turns() -> None:
    recorder = Recorder()
    batcher: MicroBatcher[int, int] = MicroBatcher(recorder.execute, key=lambda item: item % 2 or None)
    assert await asyncio.gather(*(batcher.submit(item) for item in (1, 2, 3, 4))) == [2, 4, 6, 8]
    assert recorder.batches == [[1, 2, 4], [3]]


async def test_more_than_may_wait_is_refused() -> None:
    recorder = Recorder()
    recorder.gate.clear()
    batcher: MicroBatcher[int, int] = MicroBatcher(recorder.execute, limit=1, max_waiting=2)
    held = [asyncio.create_task(batcher.submit(item)) for item in range(2)]
    await asyncio.sleep(0)
    with pytest.raises(BusyError):
        await batcher.submit(9)
    recorder.gate.set()
    assert await asyncio.gather(*held) == [0, 2]


async def test_who_has_gone_is_left_out() -> None:
    recorder = Recorder()
    recorder.gate.clear()
    batcher: MicroBatcher[int, int] = MicroBatcher(recorder.execute)
    first = asyncio.create_task(batcher.submit(1))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    gone = asyncio.create_task(batcher.submit(2))
    stays = asyncio.create_task(batcher.submit(3))
    await asyncio.sleep(0)
    gone.cancel()
    recorder.gate.set()
    assert await first == 2
    assert await stays == 6
    assert recorder.batches == [[1], [3]]
