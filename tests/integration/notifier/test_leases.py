"""Deliveries are leased: two dispatchers never hold the same one, and a lost lease settles nothing."""

import asyncio
import uuid

from services.kernel.database.unit_of_work import Database
from services.notifier.adapters.deliveries import Claimed, DeliveriesTable
from services.notifier.adapters.recording import record
from services.notifier.adapters.webhooks import WebhooksTable
from services.notifier.domain import Origin, decide
from services.notifier.receivers import WebhookRequest
from services.notifier.schedule import Delivered, Failed, Outcome, Postponed
from tests.support.notifier_events import failed


async def webhook_with(database: Database, number: int, user_id: str = "mina") -> uuid.UUID:
    """A webhook and this many deliveries to it."""
    wanted = WebhookRequest(url="https://hooks.example")
    made = await WebhooksTable(database.pool).add(user_id, wanted, "whsec_AAAA", most=10)
    async with database.transaction() as unit:
        decided = [decide(failed(user_id=user_id), Origin("", "")) for _ in range(number)]
        notifications = [notification for notification in decided if notification is not None]
        assert len(await record(unit.connection, notifications)) == number
    return made.id


async def claim(database: Database, lease: float = 60.0, per_webhook: int = 100, busy: tuple[uuid.UUID, ...] = ()):
    return await DeliveriesTable(database.pool).claim(uuid.uuid4(), lease, 100, per_webhook, busy)


async def settle(database: Database, claimed: Claimed, outcome: Outcome) -> bool:
    async with database.transaction() as unit:
        return await DeliveriesTable(database.pool).settle(unit.connection, claimed, outcome)


async def states(database: Database) -> dict[str, int]:
    rows = await database.fetch("SELECT status, count(*) AS number FROM deliveries GROUP BY status")
    return {row["status"]: row["number"] for row in rows}


async def test_claims_at_the_same_moment_share_nothing(database: Database) -> None:
    await webhook_with(database, 60)
    claims = await asyncio.gather(*(claim(database, per_webhook=20) for _ in range(5)))
    ids = [one.id for claimed in claims for one in claimed]
    assert len(ids) == len(set(ids))
    while more := await claim(database, per_webhook=20):
        ids += [one.id for one in more]
    assert len(set(ids)) == len(ids) == 60


async def test_a_lease_that_ended_is_claimed_again_and_its_first_holder_settles_nothing(database: Database) -> None:
    await webhook_with(database, 1)
    [first] = await claim(database, lease=0.0)
    [second] = await claim(database)
    assert (first.attempt, second.attempt) == (1, 2)
    for outcome in (Delivered(200), Postponed(1.0, 500, "no"), Failed(410, "gone", disable=True)):
        assert not await settle(database, first, outcome)
        assert await states(database) == {"pending": 1}
    await settle(database, second, Delivered(204))
    assert await states(database) == {"delivered": 1}
    assert await claim(database) == []


async def test_what_is_handed_back_was_never_attempted(database: Database) -> None:
    await webhook_with(database, 2)
    await DeliveriesTable(database.pool).hand_back(await claim(database))
    assert [one.attempt for one in await claim(database)] == [1, 1]


async def test_a_busy_webhook_leaves_room_for_others(database: Database) -> None:
    crowded = await webhook_with(database, 50)
    quiet = await webhook_with(database, 1, "jun")
    claimed = await claim(database, per_webhook=4)
    assert sorted(one.receiver_id == quiet for one in claimed) == [False] * 4 + [True]
    assert await claim(database, busy=(crowded,)) == []


async def test_several_410_at_once_disable_once_and_block_nobody(database: Database) -> None:
    await webhook_with(database, 10)
    claims = await claim(database, per_webhook=6)
    disabled = await asyncio.gather(*(settle(database, one, Failed(410, "gone", disable=True)) for one in claims))
    assert disabled.count(True) == 1
    assert "pending" not in await states(database)
    assert await claim(database) == []
