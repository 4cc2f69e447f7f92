"""Webhooks that ask for it get storms as one digest and nothing at night; others get each notification by itself."""

import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from tests.integration.notifier.conftest import Running, Settings, running, told
from tests.integration.notifier.test_webhooks import MINA, ROOT, create, log, logged, make_due, verified
from tests.support.notifier_events import alert, failed
from tests.support.services import until
from tests.support.webhook_receiver import Receiver


@pytest.fixture
async def notifier(settings: Settings) -> AsyncIterator[Running]:
    async with running(settings(webhook_allow_loopback=True)) as service:
        yield service


async def posts(receiver: Receiver, number: int) -> list[dict[str, Any]]:
    """The bodies, once there are so many posts."""

    async def there() -> bool:
        return len(receiver.posts) >= number

    await until(there)
    assert len(receiver.posts) == number
    return [json.loads(post.body) for post in receiver.posts]


async def test_a_storm_is_one_post_and_one_digest(
    notifier: Running, http: httpx.AsyncClient, receiver: Receiver
) -> None:
    webhook = await create(http, receiver.url(), ROOT, everything=True, digest_seconds=300)
    await notifier.publish(alert(error_message="the first"))
    [first] = await posts(receiver, 1)
    assert (first["type"], first["data"]["error_message"]) == ("dead_letter", "the first")
    await notifier.publish(*[alert(error_message=f"number {number}", stack_trace="line 1") for number in range(60)])
    await notifier.publish(alert(alert_type="another type"), alert(severity="critical"))
    await told(notifier, 63)
    await posts(receiver, 3)  # another type and a critical one are groups of their own

    async def sixty_wait() -> bool:
        states = [entry["status"] for entry in await log(http, webhook, ROOT)]
        return (states.count("pending"), states.count("delivered")) == (60, 3)

    await until(sixty_wait)
    await make_due(notifier)
    digest = (await posts(receiver, 4))[-1]
    assert (digest["type"], digest["data"]["total"]) == ("digest", 60)
    shown = digest["data"]["notifications"]
    sequences = [one["sequence"] for one in shown]
    assert len(sequences) == 20
    assert sequences == sorted(sequences), "the oldest first"
    assert {one["stack_trace"] for one in shown} == {"line 1"}, "an administrator sees it"
    assert verified(receiver.posts[-1], webhook["secret"])

    async def all_settled() -> bool:
        return {entry["status"] for entry in await log(http, webhook, ROOT)} == {"delivered"}

    await until(all_settled)
    assert len(receiver.posts) == 4


async def test_a_digest_that_failed_comes_again_under_the_same_id(
    notifier: Running, http: httpx.AsyncClient, receiver: Receiver
) -> None:
    webhook = await create(http, receiver.url(), digest_seconds=300)
    await notifier.publish(failed(user_id="mina"))
    await posts(receiver, 1)
    receiver.answers = [500]
    await notifier.publish(*[failed(user_id="mina") for _ in range(3)])
    await told(notifier, 4)
    for number in (2, 3):
        await make_due(notifier)
        await posts(receiver, number)

        async def noted() -> bool:
            return not await notifier.service.database.fetch("SELECT 1 FROM deliveries WHERE lease_token IS NOT NULL")

        await until(noted)
    assert receiver.posts[1].headers["webhook-id"] == receiver.posts[2].headers["webhook-id"]
    entries = await logged(http, webhook, *["delivered"] * 4)
    assert [entry["attempts"] for entry in entries] == [2, 2, 2, 1]


async def test_at_night_only_the_critical_one_comes(
    notifier: Running, http: httpx.AsyncClient, receiver: Receiver
) -> None:
    now = datetime.now(UTC)
    start, end = now - timedelta(hours=1), now + timedelta(hours=2)
    quiet = {"start": f"{start:%H:%M}", "end": f"{end:%H:%M}"}
    webhook = await create(http, receiver.url(), time_zone="UTC", quiet_hours=quiet)
    assert webhook["quiet_from"] == f"{start:%H:%M}:00"
    await notifier.publish(alert(user_id="mina"), alert(user_id="mina", severity="critical"))
    await told(notifier, 2)
    [critical] = await posts(receiver, 1)
    assert critical["data"]["severity"] == "critical"
    [waiting] = [entry for entry in await log(http, webhook) if entry["status"] == "pending"]
    assert datetime.fromisoformat(waiting["next_attempt_at"]) == end.replace(second=0, microsecond=0)


async def test_410_disables_and_cancels_what_waits_in_every_group(
    notifier: Running, http: httpx.AsyncClient, receiver: Receiver
) -> None:
    webhook = await create(http, receiver.url(), digest_seconds=300)
    await notifier.publish(failed(user_id="mina"))
    await posts(receiver, 1)
    receiver.otherwise = 410
    await notifier.publish(failed(user_id="mina"))
    await told(notifier, 2)
    await notifier.publish(alert(user_id="mina", severity="critical"))
    await told(notifier, 4)  # with the alert about the webhook itself
    states = [entry["status"] for entry in await log(http, webhook)]
    assert sorted(states) == ["cancelled", "delivered", "failed"]
    listed = (await http.get("/notifications?type=webhook_disabled", headers=MINA)).json()["items"]
    assert [item["about"] for item in listed] == [webhook["id"]]


async def test_wrong_groupings_are_refused_by_field(http: httpx.AsyncClient, receiver: Receiver) -> None:
    wrong: list[tuple[dict[str, Any], str]] = [
        ({"digest_seconds": -1}, "digest_seconds"),
        ({"digest_seconds": 86_401}, "digest_seconds"),
        ({"time_zone": "Mars/Olympus"}, "time_zone"),
        ({"quiet_hours": {"start": "07:00", "end": "07:00"}}, "quiet_hours"),
    ]
    for fields, field in wrong:
        answer = await http.post("/webhooks", json={"url": receiver.url(), **fields}, headers=MINA)
        assert answer.status_code == 422, fields
        assert answer.json()["errors"][0]["field"].startswith(field), fields
