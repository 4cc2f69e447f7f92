"""Posting to a receiver: where it may go, whom it trusts, and how it gives up."""

import asyncio
from pathlib import Path

import pytest

from services.notifier.schedule import Delivered, Failed, Outcome, Postponed
from services.notifier.webhooks.sender import Sender
from tests.support.certificates import certificate
from tests.support.webhook_receiver import receiving


async def post(sender: Sender, url: str) -> Outcome:
    try:
        return await sender.send(url, {"webhook-id": "1"}, b"{}", 1)
    finally:
        await sender.close()


def local(name_to: list[str], asked: list[str]):
    async def resolver(host: str, port: int) -> list[str]:
        asked.append(host)
        return name_to

    return resolver


async def test_a_name_is_looked_up_once_and_that_address_is_used() -> None:
    asked: list[str] = []
    async with receiving() as receiver:
        sender = Sender(allow_loopback=True, resolver=local(["127.0.0.1"], asked))
        assert await post(sender, receiver.url("hooks.example")) == Delivered(204)
    assert asked == ["hooks.example"]
    assert receiver.posts[0].headers["host"] == f"hooks.example:{receiver.port}"
    assert receiver.posts[0].headers["webhook-id"] == "1"


@pytest.mark.parametrize(
    "addresses", [["127.0.0.1"], ["169.254.169.254"], ["::ffff:10.0.0.1"], ["8.8.8.8", "10.0.0.1"]]
)
async def test_a_name_that_leads_inside_is_refused_for_good(addresses: list[str]) -> None:
    async with receiving() as receiver:
        outcome = await post(Sender(resolver=local(addresses, [])), receiver.url("hooks.example", "https"))
        assert isinstance(outcome, Failed)
        assert "not a public address" in outcome.reason
    assert receiver.posts == []


async def test_plain_http_goes_nowhere_but_to_loopback_even_in_tests() -> None:
    outcome = await post(Sender(allow_loopback=True, resolver=local(["8.8.8.8"], [])), "http://hooks.example/hook")
    assert outcome == Failed(None, "a webhook's URL begins with https://")


async def test_redirects_are_not_followed() -> None:
    async with receiving() as receiver, receiving() as elsewhere:
        receiver.otherwise, receiver.headers = 302, {"Location": elsewhere.url()}
        outcome = await post(Sender(allow_loopback=True), receiver.url())
    assert isinstance(outcome, Postponed)
    assert (outcome.status, elsewhere.posts) == (302, [])


async def test_a_receiver_that_never_answers_is_given_up_in_time() -> None:
    async with receiving() as receiver:
        receiver.silent = True
        async with asyncio.timeout(20):
            outcome = await post(Sender(allow_loopback=True, timeout=0.3), receiver.url())
    assert isinstance(outcome, Postponed)
    assert "no answer within" in outcome.reason


async def test_a_receiver_that_hangs_up_or_is_not_there_is_tried_again() -> None:
    async with receiving() as receiver:
        receiver.otherwise = 0
        assert isinstance(await post(Sender(allow_loopback=True), receiver.url()), Postponed)
    assert isinstance(await post(Sender(allow_loopback=True), receiver.url()), Postponed)


async def test_a_name_that_cannot_be_resolved_is_tried_again() -> None:
    async def nobody(host: str, port: int) -> list[str]:
        raise OSError("no such host")

    assert isinstance(await post(Sender(resolver=nobody), "https://hooks.example/hook"), Postponed)


async def test_the_certificate_must_be_the_named_hosts(tmp_path: Path) -> None:
    server, client = certificate("hooks.example", tmp_path)
    async with receiving(server) as receiver:
        resolver = local(["127.0.0.1"], [])
        sender = Sender(allow_loopback=True, resolver=resolver, tls=client)
        assert await post(sender, receiver.url("hooks.example", "https")) == Delivered(204)
        for other in (Sender(allow_loopback=True, resolver=resolver, tls=client), Sender(allow_loopback=True)):
            outcome = await post(other, receiver.url("127.0.0.1", "https"))
            assert isinstance(outcome, Postponed)
            assert "CERTIFICATE_VERIFY_FAILED" in outcome.reason
    assert len(receiver.posts) == 1
