"""What only webhooks have: creating one for a URL, and rotating its secret."""

from uuid import UUID

from fastapi import APIRouter, Request

from services.kernel.http import Problem
from services.kernel.problems import problems
from services.notifier.adapters.receivers import TooMany
from services.notifier.adapters.webhooks import WebhooksTable
from services.notifier.api.receivers import BODY, COMMON, ONE, Owner
from services.notifier.receivers import Webhook, WebhookRequest, WebhookSecret
from services.notifier.webhooks.addresses import AddressRefused, check_url
from services.notifier.webhooks.signing import new_secret

MAX_WEBHOOKS = 10


def add_webhook_routes(
    routes: APIRouter, owner: Owner[Webhook], webhooks: WebhooksTable, *, allow_loopback: bool
) -> None:
    @routes.post(
        "",
        status_code=201,
        responses=problems(
            **COMMON, **BODY, _403="Only administrators receive everything", _409="The caller has too many webhooks"
        ),
    )
    async def create(request: Request, wanted: WebhookRequest) -> WebhookSecret:
        """Have notifications posted to a URL, signed as Standard Webhooks describe."""
        identity = await owner.asking(request, wanted)
        try:
            check_url(wanted.url, allow_loopback=allow_loopback)
        except AddressRefused as refused:
            errors = [{"field": "url", "message": str(refused)}]
            raise Problem(422, "invalid-request", "The request is not valid", errors=errors) from refused
        secret = new_secret()
        try:
            made = await webhooks.add(identity.user_id, wanted, secret, most=MAX_WEBHOOKS)
        except TooMany as error:
            title = f"One user may have {MAX_WEBHOOKS} webhooks; remove one first"
            raise Problem(409, "too-many-webhooks", title) from error
        return WebhookSecret(**made.model_dump(), secret=secret)

    @routes.post("/{receiver_id}/rotate", responses=problems(**ONE))
    async def rotate_secret(request: Request, receiver_id: UUID) -> WebhookSecret:
        """A new secret; for a day every post carries the signatures of both."""
        secret = new_secret()
        rotated = await webhooks.rotate(receiver_id, (await owner.of(request)).user_id, secret)
        return WebhookSecret(**owner.found(rotated, receiver_id).model_dump(), secret=secret)
