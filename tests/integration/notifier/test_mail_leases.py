"""E-mail is leased a group at a time: no two dispatchers share a digest, a lost lease settles nothing."""

import asyncio
import uuid

from services.kernel.database.unit_of_work import Database
from services.notifier.adapters.grouping import EMAIL
from services.notifier.adapters.groups import GroupClaim, GroupsTable
from services.notifier.adapters.mail_subscriptions import MailSubscriptionsTable
from services.notifier.adapters.notifications import NotificationsTable
from services.notifier.adapters.recording import record
from services.notifier.domain import Notification, Origin, Severity, Viewer, decide
from services.notifier.receivers import SubscriptionRequest
from services.notifier.schedule import Delivered, Failed, Outcome, Postponed
from tests.support.notifier_events import alert


async def subscribe(database: Database, digest_seconds: int = 300) -> uuid.UUID:
    table = MailSubscriptionsTable(database.pool)
    wanted = SubscriptionRequest(address="mina@example.com", min_severity=Severity.INFO, digest_seconds=digest_seconds)
    made = await table.add("mina", wanted, b"hash", most=5, most_confirmations=10)
    assert await table.confirm(made.id, "mina", b"another") is None
    assert await table.confirm(made.id, "mina", b"hash") is not None
    assert await table.confirm(made.id, "mina", b"hash") is None
    return made.id


async def tell(database: Database, types: list[str]) -> list[Notification]:
    """Alerts of these types for mina, in one batch."""
    decided = [decide(alert(alert_type=one, user_id="mina"), Origin("", "")) for one in types]
    notifications = [notification for notification in decided if notification is not None]
    async with database.transaction() as unit:
        assert len(await record(unit.connection, notifications)) == len(types)
    return notifications


async def claim(database: Database, lease: float = 60.0) -> list[GroupClaim]:
    return await GroupsTable(database.pool, EMAIL).claim(uuid.uuid4(), lease, 100)


async def settle(database: Database, mail: GroupClaim, outcome: Outcome) -> bool:
    async with database.transaction() as unit:
        return await GroupsTable(database.pool, EMAIL).settle(unit.connection, mail, outcome)


async def states(database: Database) -> dict[str, int]:
    rows = await database.fetch("SELECT status, count(*) AS number FROM deliveries GROUP BY status")
    return {row["status"]: row["number"] for row in rows}


async def test_claims_at_the_same_moment_never_split_a_digest(database: Database) -> None:
    await subscribe(database)
    await tell(database, [f"type {number % 10}" for number in range(300)])
    kept = await NotificationsTable(database.pool).after(0, Viewer(administrator=True), 1_000)
    mails = [mail for mails in await asyncio.gather(*(claim(database) for _ in range(5))) for mail in mails]
    while more := await claim(database):
        mails += more
    assert [len(mail.ids) for mail in mails] == [30] * 10
    assert len({delivery for mail in mails for delivery in mail.ids}) == 300
    assert {len(mail.shown) for mail in mails} == {20}
    for mail in mails:
        of_its_type = sorted(
            each.sequence for each in kept if each.notification.type == mail.shown[0].notification.type
        )
        assert [each.sequence for each in mail.shown] == of_its_type[:20], "the oldest first"


async def test_what_is_told_again_is_not_planned_again(database: Database) -> None:
    await subscribe(database)
    notifications = await tell(database, ["a", "b"])
    async with database.transaction() as unit:
        assert await record(unit.connection, [*notifications, *notifications]) == set()
    assert await states(database) == {"pending": 2}


async def test_without_a_window_every_batch_is_a_mail_of_its_own_and_with_one_the_second_waits(
    database: Database,
) -> None:
    subscription = await subscribe(database, digest_seconds=0)
    for _ in range(2):
        await tell(database, ["a"])
        [mail] = await claim(database)
        await settle(database, mail, Delivered(250))
    await database.execute("UPDATE email_subscriptions SET digest_seconds = 3600 WHERE id = $1", subscription)
    await tell(database, ["a"])
    assert await claim(database) == []
    gap = await database.fetchrow(
        "SELECT max(next_attempt_at) - (SELECT max(finished_at) FROM deliveries) AS wait FROM deliveries"
    )
    assert gap is not None
    assert 3_500 < gap["wait"].total_seconds() <= 3_600


async def test_a_lease_that_ended_is_claimed_again_and_its_first_holder_settles_nothing(database: Database) -> None:
    await subscribe(database)
    await tell(database, ["a", "a"])
    [first] = await claim(database, lease=0.0)
    [second] = await claim(database)
    assert (first.attempt, second.attempt, first.ids) == (1, 2, second.ids)
    for outcome in (Delivered(250), Postponed(1.0, 450, "no"), Failed(550, "gone", disable=True)):
        assert not await settle(database, first, outcome)
        assert await states(database) == {"pending": 2}
    await GroupsTable(database.pool, EMAIL).hand_back(first)
    assert await claim(database) == []
    assert not await settle(database, second, Delivered(250))
    assert await states(database) == {"delivered": 2}


async def test_several_refusals_at_once_disable_once_and_cancel_the_rest(database: Database) -> None:
    await subscribe(database)
    await tell(database, [f"type {number}" for number in range(10)])
    mails = await GroupsTable(database.pool, EMAIL).claim(uuid.uuid4(), 60.0, 6)
    disabled = await asyncio.gather(*(settle(database, mail, Failed(550, "gone", disable=True)) for mail in mails))
    assert disabled.count(True) == 1
    assert "pending" not in await states(database)
    assert await claim(database) == []
    await tell(database, ["a"])
    assert await claim(database) == []
