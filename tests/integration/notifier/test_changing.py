"""A receiver's preferences may be changed at any time: nothing waits by the old ones, and nothing is lost between."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from services.kernel.database.unit_of_work import Database
from services.notifier.adapters.recording import record
from services.notifier.adapters.webhooks import WebhooksTable
from services.notifier.domain import Origin, decide
from services.notifier.receivers import PreferencesChange, WebhookRequest
from tests.integration.notifier.conftest import Running, Settings, running, told
from tests.integration.notifier.test_mail import PATH, subscribe
from tests.integration.notifier.test_webhook_digests import posts
from tests.integration.notifier.test_webhooks import MINA, create, log
from tests.support.notifier_events import alert, failed
from tests.support.smtp_receiver import Mailbox
from tests.support.webhook_receiver import Receiver


@pytest.fixture
async def notifier(settings: Settings, mailbox: Mailbox) -> AsyncIterator[Running]:
    smtp = {"smtp_host": "127.0.0.1", "smtp_port": mailbox.port, "smtp_security": "none"}
    chosen = settings(**smtp, smtp_from="alerts@querycraft.example", webhook_allow_loopback=True)
    async with running(chosen) as service:
        yield service


async def change(http: httpx.AsyncClient, path: str, **fields: Any) -> dict[str, Any]:
    answer = await http.patch(path, json=fields, headers=MINA)
    assert answer.status_code == 200, answer.text
    assert (await http.get(path, headers=MINA)).json() == answer.json()
    return answer.json()


async def test_a_webhook_is_grouped_and_no_longer_without_being_made_anew(
    notifier: Running, http: httpx.AsyncClient, receiver: Receiver
) -> None:
    webhook = await create(http, receiver.url(), kinds=["alert"])
    path = f"/webhooks/{webhook['id']}"
    webhook.pop("secret")
    assert await change(http, path, digest_seconds=300) == {**webhook, "digest_seconds": 300}
    await notifier.publish(failed(user_id="mina"))
    await posts(receiver, 1)
    await notifier.publish(*[failed(user_id="mina") for _ in range(3)])
    await told(notifier, 4)
    assert [entry["status"] for entry in await log(http, webhook)].count("pending") == 3
    await change(http, path, digest_seconds=0)
    digest = (await posts(receiver, 2))[-1]
    assert (digest["type"], digest["data"]["total"]) == ("digest", 3), "what waited has left at once"
    await notifier.publish(*[failed(user_id="mina") for _ in range(2)])
    assert [body["type"] for body in (await posts(receiver, 4))[2:]] == ["job_failed"] * 2


async def test_quiet_hours_begin_and_end_by_a_change(
    notifier: Running, http: httpx.AsyncClient, receiver: Receiver
) -> None:
    webhook = await create(http, receiver.url())
    path = f"/webhooks/{webhook['id']}"
    now = datetime.now(UTC)
    quiet = {"start": f"{now - timedelta(hours=1):%H:%M}", "end": f"{now + timedelta(hours=2):%H:%M}"}
    changed = await change(http, path, time_zone="UTC", quiet_hours=quiet)
    assert (changed["quiet_from"], changed["quiet_until"]) == (f"{quiet['start']}:00", f"{quiet['end']}:00")
    await notifier.publish(alert(user_id="mina"), alert(user_id="mina", severity="critical"))
    await told(notifier, 2)
    [first] = await posts(receiver, 1)
    assert first["data"]["severity"] == "critical"
    await change(http, path, min_severity="info")  # says which, not when: what waits goes on waiting
    assert sorted(entry["status"] for entry in await log(http, webhook)) == ["delivered", "pending"]
    assert (await change(http, path, quiet_hours=None))["quiet_from"] is None
    assert (await posts(receiver, 2))[-1]["type"] == "dead_letter"


async def test_a_subscription_changes_alike(notifier: Running, http: httpx.AsyncClient, mailbox: Mailbox) -> None:
    made = await subscribe(http, mailbox)
    wanted = {"min_severity": "critical", "types": ["job_failed"], "digest_seconds": 0}
    assert await change(http, f"{PATH}/{made['id']}", **wanted) == {**made, **wanted}
    await notifier.publish(failed(user_id="mina"))
    await told(notifier, 1)
    assert await notifier.count("deliveries") == 0


WRONG: list[tuple[dict[str, Any], str, str]] = [
    ({}, "body", "name what is to change, one or more of: kinds, types"),
    ({"url": "https://example.com"}, "body", "url cannot be changed: create another, then remove this one"),
    ({"everything": True, "address": "a@example.com"}, "body", "address, everything cannot be changed"),
    ({"colour": "red"}, "colour", "not permitted"),
    ({"digest_seconds": -1}, "digest_seconds", "greater than or equal to 0"),
    ({"digest_seconds": 86_401}, "digest_seconds", "less than or equal to 86400"),
    ({"digest_seconds": None}, "digest_seconds", "valid integer"),
    ({"time_zone": "Mars/Olympus"}, "time_zone", "such as Asia/Seoul"),
    ({"quiet_hours": {"start": "07:00", "end": "07:00"}}, "quiet_hours", "must differ"),
    ({"quiet_hours": {"start": "07:00"}}, "quiet_hours.end", "required"),
]


async def test_a_wrong_change_says_what_to_do_and_changes_nothing(
    notifier: Running, http: httpx.AsyncClient, mailbox: Mailbox, receiver: Receiver
) -> None:
    webhook = await create(http, receiver.url())
    subscription = await subscribe(http, mailbox)
    for path in (f"/webhooks/{webhook['id']}", f"{PATH}/{subscription['id']}"):
        before = (await http.get(path, headers=MINA)).json()
        for fields, field, said in WRONG:
            answer = await http.patch(path, json=fields, headers=MINA)
            assert (answer.status_code, answer.headers["content-type"]) == (422, "application/problem+json"), fields
            [error] = answer.json()["errors"]
            assert error["field"] == field, fields
            assert said in error["message"], fields
        broken = await http.patch(path, content=b"{", headers={**MINA, "content-type": "application/json"})
        assert (broken.status_code, "JSON" in broken.text) == (422, True)
        assert (await http.get(path, headers=MINA)).json() == before


async def test_changes_amid_a_storm_lose_nothing_and_deliver_nothing_twice(database: Database) -> None:
    webhooks = WebhooksTable(database.pool)
    made = await webhooks.add("mina", WebhookRequest(url="https://hooks.example"), "whsec_AAAA", most=1)
    over = asyncio.Event()

    async def storm() -> int:
        for _ in range(60):
            decided = [decide(failed(user_id="mina"), Origin("", "")) for _ in range(3)]
            async with database.transaction() as unit:
                await record(unit.connection, [one for one in decided if one is not None])
        over.set()
        return 180

    async def change_often() -> int:
        number = 0
        while not over.is_set():
            number += 1
            await webhooks.change(made.id, "mina", PreferencesChange(digest_seconds=300 * (number % 2)))
        return number

    told_of, changes = await asyncio.gather(storm(), change_often())
    assert changes > 10
    rows = await database.fetch("SELECT webhook_group_id IS NULL AS single, count(*) FROM deliveries GROUP BY 1")
    counts = {row["single"]: row["count"] for row in rows}
    assert sum(counts.values()) == told_of
    assert set(counts) == {True, False}, "both groupings were met"
