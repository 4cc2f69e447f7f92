"""The push endpoint: what it takes, what it refuses, what its answers make Pub/Sub do."""

import base64
import json

import httpx
import pytest
from fastapi import FastAPI

from contracts.manifest import Subscription
from services.kernel.errors import BusyError, TransientError
from services.kernel.messaging.envelope import seal
from services.kernel.messaging.oidc import TrustEveryone, Unauthenticated
from services.kernel.messaging.push import MAX_PUSH_BYTES, PushHandler, push_router
from tests.support.brokers import Ping

SUBSCRIPTION = Subscription(Ping, "reader", filter={"kind": ("red",)}, min_backoff=2.5)
ENVELOPE = seal(Ping(number=7, kind="red", text="눈사람 ☃"), "tests")
PATH = f"/push/{SUBSCRIPTION.name}"


class Dispatcher:
    """Remembers deliveries and answers as told."""

    def __init__(self) -> None:
        self.deliveries = []
        self.answer = "ack"

    async def __call__(self, delivery):
        self.deliveries.append(delivery)
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


@pytest.fixture
def dispatcher():
    return Dispatcher()


@pytest.fixture
async def client(dispatcher):
    async with _client(dispatcher, TrustEveryone()) as made:
        yield made


def _client(dispatcher, verifier):
    app = FastAPI()
    app.include_router(push_router([PushHandler(SUBSCRIPTION, dispatcher)], verifier))
    return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://push")


def wrapped(envelope=ENVELOPE, **changes):
    message = {
        "data": base64.b64encode(envelope.data).decode(),
        "attributes": dict(envelope.attributes),
        "messageId": "1",
        "orderingKey": envelope.ordering_key,
    }
    return {"message": message, "subscription": f"projects/p/subscriptions/{SUBSCRIPTION.name}"} | changes


async def test_a_wrapped_push_is_delivered_and_acknowledged(client, dispatcher):
    response = await client.post(PATH, json=wrapped(deliveryAttempt=3))
    assert response.status_code == 204
    [delivery] = dispatcher.deliveries
    assert (delivery.envelope, delivery.attempt) == (ENVELOPE, 3)


async def test_an_unwrapped_push_is_delivered_with_its_headers_as_attributes(client, dispatcher):
    headers = {
        "kind": "red",
        "x-goog-pubsub-subscription-name": f"projects/p/subscriptions/{SUBSCRIPTION.name}",
        "x-goog-pubsub-ordering-key": "k",
        "cookie": "not an attribute",
    }
    headers |= {name: value for name, value in ENVELOPE.attributes.items() if name.startswith(("ce-", "content"))}
    response = await client.post(PATH, content=ENVELOPE.data, headers=headers)
    assert response.status_code == 204
    [delivery] = dispatcher.deliveries
    assert delivery.envelope.data == ENVELOPE.data
    assert delivery.envelope.ordering_key == "k"
    expected = {name: value for name, value in ENVELOPE.attributes.items() if name != "size"}
    assert delivery.envelope.attributes == expected


@pytest.mark.parametrize(
    ("answer", "status", "wait"),
    [
        ("nack", 503, "3"),
        (TransientError("database is away", retry_after=7), 503, "7"),
        (BusyError("full"), 429, "1"),
    ],
)
async def test_what_must_come_again_is_refused_with_a_delay(client, dispatcher, answer, status, wait):
    dispatcher.answer = answer
    response = await client.post(PATH, json=wrapped())
    assert (response.status_code, response.headers["retry-after"]) == (status, wait)
    assert response.headers["content-type"] == "application/problem+json"


async def test_a_message_the_filter_declines_is_acknowledged_and_not_handled(client, dispatcher):
    push = wrapped()
    push["message"]["attributes"]["kind"] = "green"
    assert (await client.post(PATH, json=push)).status_code == 204
    assert dispatcher.deliveries == []


@pytest.mark.parametrize(
    ("body", "field"),
    [
        (b"", "body"),
        (b"{", "body"),
        (b"\xff\xfe", "body"),
        (b"[]", "body"),
        (b"{}", "message"),
        (json.dumps(wrapped(message={"data": 5})).encode(), "message.data"),
        (json.dumps(wrapped(message={"data": "!!!"})).encode(), "message.data"),
        (json.dumps(wrapped(message={"data": "", "attributes": {"a": 1}})).encode(), "message.attributes.a"),
        (json.dumps(wrapped(subscription=None)).encode(), "subscription"),
        (json.dumps(wrapped(deliveryAttempt=-1)).encode(), "deliveryAttempt"),
    ],
)
async def test_a_body_that_is_no_push_gets_a_400_naming_the_field(client, dispatcher, body, field):
    response = await client.post(PATH, content=body)
    assert response.status_code == 400
    problem = response.json()
    assert problem["type"] == "urn:querycraft:problem:malformed-push"
    assert field in [error["field"] for error in problem["errors"]]
    assert dispatcher.deliveries == []


async def test_a_push_of_another_subscription_is_refused(client, dispatcher):
    response = await client.post(PATH, json=wrapped(subscription="projects/p/subscriptions/other"))
    assert (response.status_code, dispatcher.deliveries) == (400, [])
    assert "other" in response.json()["detail"]


async def test_an_unknown_subscription_is_not_found(client):
    assert (await client.post("/push/nobody", json=wrapped())).status_code == 404


async def test_an_oversized_body_is_refused_whatever_its_length_claims(client, dispatcher):
    async def chunks():
        for _ in range(MAX_PUSH_BYTES // 1_000_000 + 1):
            yield b"x" * 1_000_000

    response = await client.post(PATH, content=chunks())
    assert (response.status_code, dispatcher.deliveries) == (413, [])


@pytest.mark.parametrize(
    ("error", "status"), [(Unauthenticated("who are you"), 401), (TransientError("no certificates"), 503)]
)
async def test_nothing_is_read_before_the_caller_is_known(dispatcher, error, status):
    class Refusing:
        async def verify(self, authorization):
            assert authorization == "Bearer t"
            raise error

    async with _client(dispatcher, Refusing()) as client:
        response = await client.post(PATH, content=b"not even json", headers={"authorization": "Bearer t"})
    assert (response.status_code, dispatcher.deliveries) == (status, [])
