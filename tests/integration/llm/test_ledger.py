"""The quota ledger in Postgres."""

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from services.kernel.database.unit_of_work import Database
from services.kernel.llm.catalogue import Limits, Model, Purpose
from services.kernel.llm.client import TokenUse
from services.kernel.llm.ledger import GRACE_SECONDS, THROTTLED, QuotaLedger, Reservation
from services.kernel.llm.quota import Spent, TooLarge, Wait
from tests.integration.llm.conftest import FIRST, Clock, reopened

TIGHT = Model("tight", Limits(requests_per_minute=2, tokens_per_minute=1_000, requests_per_day=3))


@pytest.fixture
def ledger(database: Database, clock: Clock) -> QuotaLedger:
    return QuotaLedger(database, clock)


async def take(ledger: QuotaLedger, model: Model, tokens: int = 100, *, send: bool = True) -> Reservation:
    reservation = await ledger.reserve(model, Purpose.TIPS, tokens, 10.0)
    assert isinstance(reservation, Reservation), reservation
    if send:
        assert await ledger.sent(reservation)
    return reservation


async def test_a_minutes_requests_leave_one_by_one(ledger: QuotaLedger, clock: Clock) -> None:
    await take(ledger, TIGHT)
    clock.now += timedelta(seconds=20)
    await take(ledger, TIGHT)
    clock.now += timedelta(seconds=10)
    assert await ledger.reserve(TIGHT, Purpose.TIPS, 100, 10.0) == Wait(30.0)
    clock.now += timedelta(seconds=30)
    await take(ledger, TIGHT)


async def test_a_minutes_tokens_are_estimates_until_they_are_settled(ledger: QuotaLedger, clock: Clock) -> None:
    first = await take(ledger, TIGHT, 900)
    clock.now += timedelta(seconds=5)
    assert await ledger.reserve(TIGHT, Purpose.TIPS, 200, 10.0) == Wait(55.0)
    await ledger.settle(first, TokenUse(prompt=50, candidates=20, thought=30, cached=40, tool=10))
    await take(ledger, TIGHT, 200)
    [standing] = await ledger.report([TIGHT])
    assert standing.tokens == TokenUse(50, 20, 30, 40, 10)
    assert standing.minute_tokens == 110 + 200


async def test_a_call_larger_than_a_minute_is_refused_at_once(ledger: QuotaLedger) -> None:
    assert await ledger.reserve(TIGHT, Purpose.TIPS, 1_001, 10.0) == TooLarge(1_000)


async def test_a_spent_day_begins_anew_at_midnight_in_los_angeles(ledger: QuotaLedger, clock: Clock) -> None:
    for _ in range(3):
        await take(ledger, TIGHT)
        clock.now += timedelta(minutes=1)
    refused = await ledger.reserve(TIGHT, Purpose.TIPS, 100, 10.0)
    assert isinstance(refused, Spent)
    assert refused.until == datetime(2026, 11, 22, 8, 0, tzinfo=UTC)
    clock.now = refused.until - timedelta(seconds=1)
    assert isinstance(await ledger.reserve(TIGHT, Purpose.TIPS, 100, 10.0), Spent)
    clock.now = refused.until
    await take(ledger, TIGHT)
    [standing] = await ledger.report([TIGHT])
    assert (standing.used, standing.left) == (1, 2)


async def test_what_was_spent_survives_a_restart(database_url: str) -> None:
    async with reopened(database_url) as before:
        for _ in range(2):
            await take(before, replace(TIGHT, limits=Limits(100, 10_000, 2)))
    async with reopened(database_url) as after:
        refused = await after.reserve(replace(TIGHT, limits=Limits(100, 10_000, 2)), Purpose.TIPS, 100, 10.0)
        assert isinstance(refused, Spent)


async def test_a_reservation_that_was_never_sent_expires(ledger: QuotaLedger, clock: Clock) -> None:
    abandoned = await take(ledger, TIGHT, send=False)
    assert [s.used for s in await ledger.report([TIGHT])] == [1]
    clock.now += timedelta(seconds=10 + GRACE_SECONDS + 1)
    await take(ledger, TIGHT)
    assert [s.used for s in await ledger.report([TIGHT])] == [1]
    assert not await ledger.sent(abandoned), "its worker comes back too late and must reserve again"


async def test_a_call_whose_worker_died_stays_counted(ledger: QuotaLedger, clock: Clock) -> None:
    await take(ledger, TIGHT)
    clock.now += timedelta(hours=1)
    await take(ledger, TIGHT)
    [standing] = await ledger.report([TIGHT])
    assert (standing.used, standing.abandoned) == (2, 1)


async def test_releasing_gives_back_what_was_not_sent(ledger: QuotaLedger) -> None:
    unsent, sent = await take(ledger, TIGHT, send=False), await take(ledger, TIGHT)
    for reservation in (unsent, unsent, sent):
        await ledger.release(reservation)
    assert [s.used for s in await ledger.report([TIGHT])] == [1]


async def test_settling_twice_counts_once(ledger: QuotaLedger) -> None:
    reservation = await take(ledger, FIRST)
    for _ in range(2):
        await ledger.settle(reservation, TokenUse(prompt=7))
    assert [s.tokens for s in await ledger.report([FIRST])] == [TokenUse(prompt=7)]


async def test_a_throttle_is_waited_out_and_a_longer_parking_stands(ledger: QuotaLedger, clock: Clock) -> None:
    await ledger.park(FIRST.name, 12.0, THROTTLED)
    assert await ledger.reserve(FIRST, Purpose.TIPS, 1, 1.0) == Wait(12.0)
    await ledger.park_until_reset(FIRST.name, "the provider says so")
    await ledger.park(FIRST.name, 3.0, THROTTLED)
    assert await ledger.reserve(FIRST, Purpose.TIPS, 1, 1.0) == Spent(
        datetime(2026, 11, 22, 8, 0, tzinfo=UTC), "the provider says so"
    )
    clock.now = datetime(2026, 11, 22, 8, 0, tzinfo=UTC)
    await take(ledger, FIRST)


async def test_replicas_at_once_never_overspend_a_day(database_url: str) -> None:
    scarce = Model("scarce", Limits(10_000, 10_000_000, 50))

    async def replica() -> int:
        async with reopened(database_url) as ledger:
            found = await asyncio.gather(*(ledger.reserve(scarce, Purpose.TIPS, 10, 10.0) for _ in range(20)))
            return sum(isinstance(outcome, Reservation) for outcome in found)

    assert sum(await asyncio.gather(*(replica() for _ in range(5)))) == 50


async def test_replicas_at_once_never_overspend_a_minute(database_url: str) -> None:
    narrow = Model("narrow", Limits(30, 500, 10_000))

    async def replica() -> int:
        async with reopened(database_url) as ledger:
            found = await asyncio.gather(*(ledger.reserve(narrow, Purpose.TIPS, 25, 10.0) for _ in range(10)))
            assert all(isinstance(outcome, Reservation | Wait) for outcome in found)
            return sum(isinstance(outcome, Reservation) for outcome in found)

    assert sum(await asyncio.gather(*(replica() for _ in range(4)))) == 20, "500 tokens a minute, 25 each"


async def test_old_reservations_are_pruned_when_a_day_begins(
    ledger: QuotaLedger, clock: Clock, database: Database
) -> None:
    await take(ledger, FIRST)
    clock.now += timedelta(days=4)
    await take(ledger, FIRST)
    assert await database.pool.fetchval("SELECT count(*) FROM llm_reservations") == 1
