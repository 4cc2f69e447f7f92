"""E-mail from subscription to the mail server: confirmed, once, grouped, quiet, retried, disabled, replayed."""

import re
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from tests.integration.notifier.conftest import Running, Settings, running, told
from tests.support.notifier_events import alert, failed
from tests.support.running import bearer
from tests.support.services import until
from tests.support.smtp_receiver import Mailbox

MINA = bearer("mina")
ROOT = bearer("root", "admin")
PATH = "/email-subscriptions"


@pytest.fixture
async def notifier(settings: Settings, mailbox: Mailbox) -> AsyncIterator[Running]:
    smtp = {"smtp_host": "127.0.0.1", "smtp_port": mailbox.port, "smtp_security": "none"}
    async with running(settings(**smtp, smtp_from="alerts@querycraft.example")) as service:
        yield service


async def subscribe(
    http: httpx.AsyncClient, mailbox: Mailbox, headers: dict[str, str] = MINA, **fields: Any
) -> dict[str, Any]:
    """A confirmed subscription; its confirmation mail is taken out of the mailbox."""
    wanted = {"address": "mina@example.com", "locale": "en", **fields}
    answer = await http.post(PATH, json=wanted, headers=headers)
    assert answer.status_code == 201, answer.text
    made = answer.json()
    code = re.search(r"Code: (\S+)|코드: (\S+)", mailbox.mails.pop().get_content())
    assert code is not None
    body = {"token": code.group(1) or code.group(2)}
    confirmed = await http.post(f"{PATH}/{made['id']}/confirm", json=body, headers=headers)
    assert confirmed.status_code == 200, confirmed.text
    return confirmed.json()


async def log(http: httpx.AsyncClient, made: dict[str, Any], headers: dict[str, str] = MINA) -> list[dict[str, Any]]:
    answer = await http.get(f"{PATH}/{made['id']}/deliveries?limit=200", headers=headers)
    assert answer.status_code == 200, answer.text
    return answer.json()["items"]


async def logged(http: httpx.AsyncClient, made: dict[str, Any], *states: str) -> list[dict[str, Any]]:
    async def so() -> bool:
        return [entry["status"] for entry in await log(http, made)] == list(states)

    await until(so)
    return await log(http, made)


async def make_due(notifier: Running) -> None:
    """As if the time had come."""
    await notifier.service.database.execute("UPDATE deliveries SET next_attempt_at = now() WHERE status = 'pending'")


async def test_an_event_is_mailed_once_and_only_to_whom_it_is_for(
    notifier: Running, http: httpx.AsyncClient, mailbox: Mailbox
) -> None:
    made = await subscribe(http, mailbox)
    event = failed(user_id="mina")
    await notifier.publish(event, failed(user_id="jun"), failed())
    await notifier.publish(event, message_id="told again")
    await told(notifier, 3)
    [entry] = await logged(http, made, "delivered")
    assert (entry["channel"], entry["attempts"], entry["response_status"]) == ("email", 1, 250)
    [mail] = mailbox.mails
    assert mailbox.recipients[-1] == ["mina@example.com"]
    assert mail["Subject"] == "[QueryCraft] The report job has failed."
    assert event.job_id in mail.get_content()
    assert "the table is gone" in mail.get_content()


async def test_a_storm_is_one_mail_and_one_digest(notifier: Running, http: httpx.AsyncClient, mailbox: Mailbox) -> None:
    made = await subscribe(http, mailbox, ROOT, address="root@example.com", locale="ko", everything=True)
    await notifier.publish(alert())
    await told(notifier, 1)

    async def mails(number: int) -> bool:
        return len(mailbox.mails) == number

    await until(lambda: mails(1))
    await notifier.publish(*[alert(error_message=f"number {number}") for number in range(60)])
    await notifier.publish(alert(alert_type="another type"), alert(severity="critical"))
    await told(notifier, 63)
    await until(lambda: mails(3))  # another type and a critical one are groups of their own

    async def sixty_wait() -> bool:
        states = [entry["status"] for entry in await log(http, made, ROOT)]
        return (states.count("pending"), states.count("delivered")) == (60, 3)

    await until(sixty_wait)
    await make_due(notifier)
    await until(lambda: mails(4))
    digest = mailbox.mails[-1]
    assert digest["Subject"].startswith("[QueryCraft] 알림 60건: ")
    assert "그 밖에 40건" in digest.get_content()
    assert "number 19" in digest.get_content()

    async def all_settled() -> bool:
        return {entry["status"] for entry in await log(http, made, ROOT)} == {"delivered"}

    await until(all_settled)
    assert len(mailbox.mails) == 4


async def test_at_night_only_the_critical_one_comes(
    notifier: Running, http: httpx.AsyncClient, mailbox: Mailbox
) -> None:
    now = datetime.now(UTC)
    start, end = now - timedelta(hours=1), now + timedelta(hours=2)
    quiet = {"start": f"{start:%H:%M}", "end": f"{end:%H:%M}"}
    made = await subscribe(http, mailbox, time_zone="UTC", quiet_hours=quiet)
    await notifier.publish(alert(user_id="mina"), alert(user_id="mina", severity="critical"))
    await told(notifier, 2)

    async def one_delivered() -> bool:
        return sorted(entry["status"] for entry in await log(http, made)) == ["delivered", "pending"]

    await until(one_delivered)
    for _ in range(2):  # as planned, and again when it comes due too early
        [waiting] = [entry for entry in await log(http, made) if entry["status"] == "pending"]
        due = datetime.fromisoformat(waiting["next_attempt_at"])
        assert due == end.replace(second=0, microsecond=0)
        await make_due(notifier)

        async def deferred() -> bool:
            rows = await notifier.service.database.fetch(
                "SELECT 1 FROM deliveries WHERE status = 'pending' AND lease_token IS NULL AND next_attempt_at > now()"
            )
            return bool(rows)

        await until(deferred)
    assert len(mailbox.mails) == 1
    assert "critical" in mailbox.mails[0].get_content()
    assert waiting["attempts"] == 0


async def test_a_refusal_for_now_is_tried_again_under_the_same_id(
    notifier: Running, http: httpx.AsyncClient, mailbox: Mailbox
) -> None:
    made = await subscribe(http, mailbox)
    mailbox.rcpt = ["450 4.2.0 greylisted"]
    await notifier.publish(failed(user_id="mina"))

    async def postponed() -> bool:
        rows = await notifier.service.database.fetch(
            "SELECT 1 FROM deliveries WHERE attempts = 1 AND lease_token IS NULL AND next_attempt_at > now()"
        )
        return bool(rows)

    await until(postponed)
    await make_due(notifier)
    [entry] = await logged(http, made, "delivered")
    assert entry["attempts"] == 2
    answer = await http.post(f"{PATH}/{made['id']}/deliveries/replay", json={"ids": [entry["id"]]}, headers=MINA)
    assert (answer.status_code, answer.json()) == (202, {"replayed": 1})

    async def twice() -> bool:
        return len(mailbox.mails) == 2

    await until(twice)
    assert mailbox.mails[0]["Message-ID"] == mailbox.mails[1]["Message-ID"]


async def test_an_address_that_is_gone_disables_cancels_and_tells_the_owner(
    notifier: Running, http: httpx.AsyncClient, mailbox: Mailbox
) -> None:
    made = await subscribe(http, mailbox)
    mailbox.rcpt = ["550 5.1.1 no such user"]
    await notifier.publish(failed(user_id="mina"))
    await told(notifier, 2)
    listed = (await http.get("/notifications?type=email_disabled", headers=MINA)).json()["items"]
    assert [item["about"] for item in listed] == [made["id"]]
    now = (await http.get(f"{PATH}/{made['id']}", headers=MINA)).json()
    assert "no such user" in now["disabled_reason"]
    await notifier.publish(failed(user_id="mina"))
    await told(notifier, 3)
    assert len(await log(http, made)) == 1
    enabled = await http.post(f"{PATH}/{made['id']}/enable", headers=MINA)
    assert enabled.json()["disabled_at"] is None
    assert (await http.post(f"{PATH}/{made['id']}/deliveries/replay", json={}, headers=MINA)).json()["replayed"] == 1
    await logged(http, made, "delivered")


async def test_nothing_is_mailed_before_the_address_has_agreed(
    notifier: Running, http: httpx.AsyncClient, mailbox: Mailbox
) -> None:
    made = (await http.post(PATH, json={"address": "stranger@example.com"}, headers=MINA)).json()
    assert "코드" in mailbox.mails[0].get_content()
    wrong = await http.post(f"{PATH}/{made['id']}/confirm", json={"token": "guess"}, headers=MINA)
    assert wrong.status_code == 404
    await notifier.publish(failed(user_id="mina"))
    await told(notifier, 1)
    assert await notifier.count("deliveries") == 0
    again = await http.post(PATH, json={"address": "Stranger@example.com"}, headers=MINA)
    assert again.status_code == 409


async def test_an_address_the_server_refuses_does_not_stay(
    notifier: Running, http: httpx.AsyncClient, mailbox: Mailbox
) -> None:
    for answer, status in (("550 5.1.1 no such user", 422), ("450 4.2.0 later", 503)):
        mailbox.rcpt = [answer]
        refused = await http.post(PATH, json={"address": "mina@example.com"}, headers=MINA)
        assert refused.status_code == status, refused.text
    assert (await http.get(PATH, headers=MINA)).json() == []


async def test_a_user_causes_few_confirmations_a_day(
    notifier: Running, http: httpx.AsyncClient, mailbox: Mailbox
) -> None:
    statuses = []
    for number in range(12):
        answer = await http.post(PATH, json={"address": f"a{number}@example.com"}, headers=MINA)
        statuses.append(answer.status_code)
        if answer.status_code == 201:
            await http.delete(f"{PATH}/{answer.json()['id']}", headers=MINA)
    assert statuses == [201] * 10 + [409] * 2


WRONG: list[tuple[dict[str, Any], int, str | None]] = [
    ({"address": "mina@example.com\r\nBcc: jun@example.com"}, 422, "address"),
    ({"address": "mina@example.com, jun@example.com"}, 422, "address"),
    ({"address": "Mina <mina@example.com>"}, 422, "address"),
    ({"time_zone": "Mars/Olympus"}, 422, "time_zone"),
    ({"time_zone": "../../etc/passwd"}, 422, "time_zone"),
    ({"quiet_hours": {"start": "07:00", "end": "07:00"}}, 422, "quiet_hours"),
    ({"locale": "fr"}, 422, "locale"),
    ({"everything": True}, 403, None),
]


async def test_what_may_not_be_subscribed(notifier: Running, http: httpx.AsyncClient) -> None:
    for fields, status, field in WRONG:
        answer = await http.post(PATH, json={"address": "mina@example.com", **fields}, headers=MINA)
        assert answer.status_code == status, fields
        if field:
            assert answer.json()["errors"][0]["field"].startswith(field), fields


async def test_subscriptions_are_their_owners_alone(
    notifier: Running, http: httpx.AsyncClient, mailbox: Mailbox
) -> None:
    made = await subscribe(http, mailbox)
    for method, path in (("GET", ""), ("DELETE", ""), ("POST", "/enable"), ("GET", "/deliveries"), ("PATCH", "")):
        body = {"digest_seconds": 60} if method == "PATCH" else None
        for headers, status in ((bearer("jun"), 404), (ROOT, 404), ({}, 401)):
            answer = await http.request(method, f"{PATH}/{made['id']}{path}", headers=headers, json=body)
            assert answer.status_code == status, (method, path)
    assert (await http.get(PATH, headers=bearer("jun"))).json() == []
    assert (await http.delete(f"{PATH}/{made['id']}", headers=MINA)).status_code == 204
    assert (await http.get(PATH, headers=MINA)).json() == []


async def test_without_a_mail_server_the_api_says_so(settings: Settings) -> None:
    async with running(settings()) as service, httpx.AsyncClient(base_url=service.url) as client:
        answer = await client.post(PATH, json={"address": "mina@example.com"}, headers=MINA)
    assert answer.status_code == 501
