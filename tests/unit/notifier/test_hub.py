"""The hub against a table in memory: nothing between replay and live is lost or told twice."""

import asyncio
import uuid
from collections.abc import Sequence
from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.kernel.errors import BusyError
from services.notifier.domain import Audience, Notification, Origin, Viewer, decide
from services.notifier.hub import Client, End, Hub
from services.notifier.ports import Filter, Stored
from services.notifier.views import Event
from tests.support.notifier_events import alert

MINA = Viewer("mina")


class MemoryTable:
    """``during_read`` runs in the middle of every read: what commits there is the dangerous moment."""

    def __init__(self) -> None:
        self.rows: list[Stored] = []
        self.reads = 0

    def add(self, user_id: str = "mina") -> None:
        notification = decide(alert(user_id=user_id), Origin("", ""))
        assert notification is not None
        self.rows.append(Stored(len(self.rows) + 1, datetime.now(UTC), notification))

    async def latest(self) -> int:
        found = len(self.rows)
        await asyncio.sleep(0)
        return found

    async def after(self, position: int, viewer: Viewer, limit: int) -> Sequence[Stored]:
        self.reads += 1
        found = [row for row in self.rows[position:] if viewer.administrator or _is_for(row.notification, viewer)]
        await asyncio.sleep(0)
        return found[:limit]

    async def before(self, position: int | None, viewer: Viewer, wanted: Filter, limit: int) -> Sequence[Stored]:
        raise NotImplementedError("the hub reads forwards")

    async def one(self, notification_id: uuid.UUID, viewer: Viewer) -> Stored | None:
        raise NotImplementedError("the hub reads forwards")


def _is_for(notification: Notification, viewer: Viewer) -> bool:
    return notification.audience is Audience.USER and notification.user_id == viewer.user_id


async def listen(hub: Hub, viewer: Viewer, after: int | None, heard: list[int]) -> None:
    async with hub.join(viewer) as client:
        async for item in hub.events(client, after):
            heard.append(item.sequence if isinstance(item, Event) else -item)  # noqa: PERF401 - read while it grows


async def settle(turns: int = 50) -> None:
    for _ in range(turns):
        await asyncio.sleep(0)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 6), st.integers(0, 4)), min_size=1, max_size=12),
    st.integers(0, 10),
    st.sampled_from([1, 2, 5]),
)
async def test_every_notification_is_heard_once_in_order_whenever_it_commits(
    commits: list[tuple[int, int]], already: int, page: int
) -> None:
    """``commits``: (how many are added, how many turns of the loop pass)."""
    table = MemoryTable()
    for _ in range(already):
        table.add()
    hub = Hub(table, max_clients=5, queue=1_000, page=page)
    running = asyncio.create_task(hub.run())
    from_start: list[int] = []
    listener = asyncio.create_task(listen(hub, MINA, 0, from_start))
    for number, turns in commits:
        for _ in range(number):
            table.add()
            table.add("jun")
        hub.wake()
        await settle(turns)
    hub.wake()
    await settle(400)
    expected = [row.sequence for row in table.rows if row.notification.user_id == "mina"]
    for task in (listener, running):
        task.cancel()
    await asyncio.gather(listener, running, return_exceptions=True)
    assert from_start == [0, *expected]


async def test_a_client_that_falls_behind_is_ended_and_the_others_are_not() -> None:
    table = MemoryTable()
    hub = Hub(table, max_clients=5, queue=3)
    heard: list[int] = []
    async with hub.join(MINA) as slow:
        events = hub.events(slow, 0)
        assert await anext(events) == 0
        reading = asyncio.ensure_future(anext(events))
        await settle()  # it is live now, and waits
        listener = asyncio.create_task(listen(hub, MINA, 0, heard))
        await settle()
        table.add()
        await hub.poll()
        await reading
        for _ in range(3):
            table.add()
            await hub.poll()
            await settle()
        assert slow.ended is None
        table.add()
        await hub.poll()
        await settle()
        assert slow.ended is End.LAGGING
    assert heard == [0, 1, 2, 3, 4, 5]
    listener.cancel()


async def test_nothing_is_read_while_nobody_is_connected() -> None:
    table = MemoryTable()
    hub = Hub(table, max_clients=5)
    table.add()
    await hub.poll()
    assert table.reads == 0


async def test_a_stopping_hub_ends_its_clients_and_takes_no_more() -> None:
    hub = Hub(MemoryTable(), max_clients=5)
    running = asyncio.create_task(hub.run())
    ended: list[Client] = []
    async with hub.join(MINA) as client:
        client.on_end = lambda: ended.append(client)
        await settle()
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        assert client.ended is End.CLOSING
        assert ended == [client]
        with pytest.raises(BusyError):
            await hub.join(MINA).__aenter__()


async def test_a_client_that_joins_after_a_pause_starts_at_the_present() -> None:
    table = MemoryTable()
    hub = Hub(table, max_clients=5)
    async with hub.join(MINA):
        await hub.poll()
    for _ in range(1_000):
        table.add()
    async with hub.join(MINA):
        table.reads = 0
        await hub.poll()
        assert table.reads == 1
