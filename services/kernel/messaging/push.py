"""The endpoint that Pub/Sub pushes to: ``POST /push/{subscription}``, wrapped or unwrapped.

Any 2xx acknowledges, anything else makes Pub/Sub deliver again after the subscription's backoff.
Source: https://cloud.google.com/pubsub/docs/push, https://cloud.google.com/pubsub/docs/payload-unwrapping
"""

import base64
import binascii
import math
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Literal

from fastapi import APIRouter, Request
from fastapi.responses import Response
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from contracts.manifest import Subscription
from services.kernel.errors import BusyError, TransientError
from services.kernel.http import Problem
from services.kernel.messaging.broker import Delivery
from services.kernel.messaging.envelope import Envelope
from services.kernel.messaging.oidc import Unauthenticated, Verifier

MAX_PUSH_BYTES = 14_000_000
"""A message of 10 MB, in base64, with its attributes. An app's own body limit must leave room for it."""

Dispatch = Callable[[Delivery], Awaitable[Literal["ack", "nack"]]]
"""Handles one delivery and buries what is malformed. May raise TransientError (nacked, 503; 429 when busy)."""

_METADATA = "x-goog-pubsub-"


@dataclass(frozen=True)
class PushHandler:
    subscription: Subscription
    dispatch: Dispatch


class _Message(BaseModel):
    """``PubsubMessage`` in its JSON form."""

    model_config = ConfigDict(extra="ignore")

    data: str = ""
    attributes: dict[str, str] = Field(default_factory=dict)
    ordering_key: Annotated[str, Field(alias="orderingKey")] = ""


class _Push(BaseModel):
    """The wrapper around it."""

    model_config = ConfigDict(extra="ignore")

    message: _Message
    subscription: str
    delivery_attempt: Annotated[int, Field(alias="deliveryAttempt", ge=0)] = 1


def push_router(handlers: Sequence[PushHandler], verifier: Verifier) -> APIRouter:
    """Routes for the subscriptions that are pushed to this service.

    Answers: 204 acknowledged; 400, 401, 404, 413 as problem+json for a request that is no push of
    theirs; 503 (429 when the service is busy) with ``Retry-After`` to have it delivered again.
    """
    router = APIRouter()
    by_name = {handler.subscription.name: handler for handler in handlers}

    @router.post("/push/{subscription}", status_code=204, include_in_schema=False)
    async def push(subscription: str, request: Request) -> Response:
        try:
            await _authenticate(verifier, request)
            handler = _named(by_name, subscription)
            delivery = _delivery(handler.subscription, request, await _body(request))
            await _handle(handler, delivery)
        except Problem as problem:
            return problem.response()
        return Response(status_code=204)

    return router


def _named(handlers: Mapping[str, PushHandler], subscription: str) -> PushHandler:
    handler = handlers.get(subscription)
    if handler is None:
        raise Problem(404, "unknown-subscription", "No such subscription", f"{subscription!r} is not pushed here")
    return handler


async def _authenticate(verifier: Verifier, request: Request) -> None:
    try:
        await verifier.verify(request.headers.get("authorization"))
    except Unauthenticated as error:
        raise Problem(
            401, error.code, "The push is not authenticated", str(error), headers={"WWW-Authenticate": "Bearer"}
        ) from error
    except TransientError as error:
        raise _again(503, "verification-unavailable", str(error), error.retry_after) from error


async def _body(request: Request) -> bytes:
    """Raises Problem: more than ``MAX_PUSH_BYTES`` come, whatever the headers say."""
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > MAX_PUSH_BYTES:
            raise Problem(413, "too-large", "The push is too large", f"at most {MAX_PUSH_BYTES:,} bytes are taken")
    return bytes(body)


def _delivery(subscription: Subscription, request: Request, body: bytes) -> Delivery:
    headers = request.headers
    if "ce-id" in headers or any(name.startswith(_METADATA) for name in headers):
        return _unwrapped(subscription, request, body)
    return _wrapped(subscription, body)


def _wrapped(subscription: Subscription, body: bytes) -> Delivery:
    try:
        push = _Push.model_validate_json(body)
    except ValidationError as error:
        errors = [
            {"field": ".".join(map(str, wrong["loc"])) or "body", "message": wrong["msg"]}
            for wrong in error.errors(include_url=False, include_context=False, include_input=False)
        ]
        raise Problem(400, "malformed-push", "The body is not a Pub/Sub push", errors=errors) from error
    _check_origin(subscription, push.subscription)
    try:
        data = base64.b64decode(push.message.data, validate=True)
    except (binascii.Error, ValueError) as error:
        wrong = {"field": "message.data", "message": f"not base64: {error}"}
        raise Problem(400, "malformed-push", "The body is not a Pub/Sub push", errors=[wrong]) from error
    envelope = Envelope(subscription.topic, push.message.attributes, data, push.message.ordering_key)
    return Delivery(envelope, max(1, push.delivery_attempt))


def _unwrapped(subscription: Subscription, request: Request, body: bytes) -> Delivery:
    """Attributes come as headers; of all headers those are taken that our messages carry."""
    headers = request.headers
    _check_origin(subscription, headers.get(f"{_METADATA}subscription-name", subscription.name))
    ours = {"content-type", "traceparent", *subscription.message.FILTERABLE, *subscription.filter}
    attributes = {name: value for name, value in headers.items() if name.startswith("ce-") or name in ours}
    attempt = headers.get(f"{_METADATA}delivery-attempt", "1")
    envelope = Envelope(subscription.topic, attributes, body, headers.get(f"{_METADATA}ordering-key", ""))
    return Delivery(envelope, max(1, int(attempt)) if attempt.isascii() and attempt.isdigit() else 1)


def _check_origin(subscription: Subscription, stated: str) -> None:
    if stated.rsplit("/", 1)[-1] != subscription.name:
        raise Problem(
            400,
            "wrong-subscription",
            "The push is of another subscription",
            f"{stated!r} pushes to the endpoint of {subscription.name!r}; correct its push configuration",
        )


async def _handle(handler: PushHandler, delivery: Delivery) -> None:
    subscription = handler.subscription
    if not subscription.accepts(dict(delivery.envelope.attributes)):
        return  # the service filters before it delivers; its emulator does not
    try:
        verdict = await handler.dispatch(delivery)
    except BusyError as error:
        raise _again(429, error.code, str(error), error.retry_after) from error
    except TransientError as error:
        raise _again(503, error.code, str(error), error.retry_after) from error
    if verdict == "nack":
        raise _again(503, "retry", "the message will be handled when it is delivered again", subscription.min_backoff)


def _again(status: int, code: str, detail: str, seconds: float | None) -> Problem:
    wait = str(max(1, math.ceil(seconds or 1.0)))
    return Problem(status, code, "Deliver the message again", detail, headers={"Retry-After": wait})
