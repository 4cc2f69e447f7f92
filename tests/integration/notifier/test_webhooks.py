"""Webhooks from registration to the receiver: signed, once, retried, disabled, replayed."""

import asyncio
import base64
import hashlib
import hmac
import json
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from tests.integration.notifier.conftest import Running, Settings, running, told
from tests.support.notifier_events import alert, failed, succeeded
from tests.support.running import bearer
from tests.support.services import until
from tests.support.webhook_receiver import Post, Receiver

MINA = bearer("mina")
ROOT = bearer("root", "admin")


@pytest.fixture
async def notifier(settings: Settings) -> AsyncIterator[Running]:
    async with running(settings(webhook_allow_loopback=True)) as service:
        yield service


async def create(http: httpx.AsyncClient, url: str, headers: dict[str, str] = MINA, **fields: Any) -> dict[str, Any]:
    answer = await http.post("/webhooks", json={"url": url, **fields}, headers=headers)
    assert answer.status_code == 201, answer.text
    return answer.json()


async def log(http: httpx.AsyncClient, webhook: dict[str, Any], headers: dict[str, str] = MINA) -> list[dict[str, Any]]:
    answer = await http.get(f"/webhooks/{webhook['id']}/deliveries?limit=200", headers=headers)
    assert answer.status_code == 200, answer.text
    return answer.json()["items"]


async def logged(http: httpx.AsyncClient, webhook: dict[str, Any], *states: str) -> list[dict[str, Any]]:
    """The log once its entries, newest first, are in these states."""

    async def so() -> bool:
        return [entry["status"] for entry in await log(http, webhook)] == list(states)

    await until(so)
    return await log(http, webhook)


def verified(post: Post, secret: str) -> bool:
    """As a receiver checks it."""
    key = base64.b64decode(secret.removeprefix("whsec_"))
    signed = f"{post.headers['webhook-id']}.{post.headers['webhook-timestamp']}.".encode() + post.body
    expected = "v1," + base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()
    return expected in post.headers["webhook-signature"].split(" ")


async def make_due(notifier: Running) -> None:
    """As if the backoff had passed."""
    await notifier.service.database.execute("UPDATE deliveries SET next_attempt_at = now() WHERE status = 'pending'")


async def test_an_event_is_posted_once_signed_and_only_to_whom_it_is_for(
    notifier: Running, http: httpx.AsyncClient, receiver: Receiver
) -> None:
    webhook = await create(http, receiver.url())
    event = failed(user_id="mina")
    await notifier.publish(event, failed(user_id="jun"), failed())
    await notifier.publish(event, message_id="told again")
    await told(notifier, 3)
    [entry] = await logged(http, webhook, "delivered")
    [post] = receiver.posts
    assert verified(post, webhook["secret"])
    body = json.loads(post.body)
    assert (body["type"], body["data"]["about"], body["data"]["stack_trace"]) == ("job_failed", event.job_id, "")
    assert post.headers["webhook-id"] == body["data"]["notification_id"] == entry["notification_id"]
    assert (entry["attempts"], entry["response_status"]) == (1, 204)


async def test_filters_choose_and_administrators_may_have_everything(
    notifier: Running, http: httpx.AsyncClient, receiver: Receiver
) -> None:
    await create(http, receiver.url(), ROOT, everything=True, min_severity="error", kinds=["alert"])
    await create(http, receiver.url(), ROOT, everything=True, types=["job_succeeded"])
    loud = alert(stack_trace="line 1", severity="critical")
    await notifier.publish(loud, alert(severity="warning"), succeeded(user_id="jun"), failed(user_id="jun"))
    await told(notifier, 4)

    async def three() -> bool:
        return len(receiver.posts) == 3

    await until(three)
    bodies = [json.loads(post.body) for post in receiver.posts]
    assert sorted(body["type"] for body in bodies) == ["dead_letter", "job_failed", "job_succeeded"]
    assert {body["data"]["stack_trace"] for body in bodies} == {"", "line 1"}


async def test_a_failing_receiver_is_tried_again_with_the_same_id(
    notifier: Running, http: httpx.AsyncClient, receiver: Receiver
) -> None:
    webhook = await create(http, receiver.url())
    receiver.answers = [500, 0]
    await notifier.publish(failed(user_id="mina"))

    for number in (1, 2):

        async def now(number: int = number) -> bool:
            rows = await notifier.service.database.fetch(
                "SELECT 1 FROM deliveries WHERE attempts = $1 AND lease_token IS NULL AND next_attempt_at > now()",
                number,
            )
            return bool(rows)

        await until(now)
        await make_due(notifier)
    [entry] = await logged(http, webhook, "delivered")
    assert entry["attempts"] == 3
    assert len({post.headers["webhook-id"] for post in receiver.posts}) == 1


async def test_after_the_last_attempt_it_has_failed_and_can_be_replayed(
    notifier: Running, http: httpx.AsyncClient, receiver: Receiver
) -> None:
    webhook = await create(http, receiver.url())
    receiver.otherwise = 500
    await notifier.publish(failed(user_id="mina"))

    async def failed_for_good() -> bool:
        await make_due(notifier)
        return [entry["status"] for entry in await log(http, webhook)] == ["failed"]

    await until(failed_for_good, 40)
    [entry] = await log(http, webhook)
    assert (entry["attempts"], entry["response_status"]) == (8, 500)
    receiver.otherwise = 200
    for ids, replayed in (([], 1), ([], 0), ([entry["id"]], 1)):
        answer = await http.post(f"/webhooks/{webhook['id']}/deliveries/replay", json={"ids": ids}, headers=MINA)
        assert (answer.status_code, answer.json()) == (202, {"replayed": replayed})
        await logged(http, webhook, "delivered")
    assert len(receiver.posts) == 10


async def test_410_disables_cancels_what_waits_and_tells_the_owner(
    notifier: Running, http: httpx.AsyncClient, receiver: Receiver
) -> None:
    webhook = await create(http, receiver.url())
    receiver.otherwise = 410
    await notifier.publish(*[failed(user_id="mina") for _ in range(20)])

    async def disabled() -> bool:
        return (await http.get(f"/webhooks/{webhook['id']}", headers=MINA)).json()["disabled_at"] is not None

    await until(disabled)
    await told(notifier, 21)
    listed = (await http.get("/notifications?type=webhook_disabled", headers=MINA)).json()["items"]
    assert [item["about"] for item in listed] == [webhook["id"]]

    async def settled() -> bool:
        return {entry["status"] for entry in await log(http, webhook)} <= {"failed", "cancelled"}

    await until(settled)
    posted = len(receiver.posts)
    receiver.otherwise = 204
    assert (await http.post(f"/webhooks/{webhook['id']}/enable", headers=MINA)).json()["disabled_at"] is None
    answer = await http.post(f"/webhooks/{webhook['id']}/deliveries/replay", json={}, headers=MINA)
    number = answer.json()["replayed"]
    assert number >= 20
    await logged(http, webhook, *["delivered"] * number)
    assert len(receiver.posts) == posted + number


async def test_for_a_day_after_rotation_both_secrets_verify(
    notifier: Running, http: httpx.AsyncClient, receiver: Receiver
) -> None:
    old = await create(http, receiver.url())
    new = (await http.post(f"/webhooks/{old['id']}/rotate", headers=MINA)).json()
    assert new["secret"] != old["secret"]
    assert new["previous_secret_until"] is not None
    await notifier.publish(failed(user_id="mina"))
    await logged(http, old, "delivered")
    assert verified(receiver.posts[0], old["secret"])
    assert verified(receiver.posts[0], new["secret"])
    await notifier.service.database.execute("UPDATE webhooks SET previous_until = now()")
    await notifier.publish(failed(user_id="mina"))
    await logged(http, old, "delivered", "delivered")
    assert not verified(receiver.posts[1], old["secret"])
    assert verified(receiver.posts[1], new["secret"])


async def test_webhooks_are_their_owners_alone(http: httpx.AsyncClient, receiver: Receiver) -> None:
    webhook = await create(http, receiver.url())
    assert "secret" not in (await http.get(f"/webhooks/{webhook['id']}", headers=MINA)).json()
    for method, path in (
        ("GET", ""),
        ("DELETE", ""),
        ("POST", "/rotate"),
        ("POST", "/enable"),
        ("GET", "/deliveries"),
        ("PATCH", ""),
    ):
        body = {"digest_seconds": 60} if method == "PATCH" else None
        for headers, status in ((bearer("jun"), 404), (ROOT, 404), ({}, 401)):
            answer = await http.request(method, f"/webhooks/{webhook['id']}{path}", headers=headers, json=body)
            assert answer.status_code == status, (method, path)
    assert (await http.get("/webhooks", headers=bearer("jun"))).json() == []
    assert [one["id"] for one in (await http.get("/webhooks", headers=MINA)).json()] == [webhook["id"]]
    assert (await http.delete(f"/webhooks/{webhook['id']}", headers=MINA)).status_code == 204
    assert (await http.get("/webhooks", headers=MINA)).json() == []


async def test_what_may_not_be_registered(http: httpx.AsyncClient, receiver: Receiver) -> None:
    for fields, status, field in (
        ({"url": "https://169.254.169.254/latest/meta-data"}, 422, "url"),
        ({"url": "ftp://example.com"}, 422, "url"),
        ({"url": receiver.url(), "kinds": ["noise"]}, 422, "kinds.0"),
        ({"url": receiver.url(), "types": ["a\0"]}, 422, "types.0"),
        ({"url": receiver.url(), "colour": "red"}, 422, "colour"),
        ({"url": receiver.url(), "everything": True}, 403, None),
    ):
        answer = await http.post("/webhooks", json=fields, headers=MINA)
        assert (answer.status_code, answer.headers["content-type"]) == (status, "application/problem+json"), fields
        if field:
            assert answer.json()["errors"][0]["field"] == field
    made = await asyncio.gather(
        *(http.post("/webhooks", json={"url": receiver.url()}, headers=MINA) for _ in range(15))
    )
    assert sorted(answer.status_code for answer in made) == [201] * 10 + [409] * 5
